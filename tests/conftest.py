"""What every test may ask for. Real data lives outside the repository; tests that need it skip where it is absent."""

import os
from pathlib import Path

import pytest

os.environ.setdefault("MPLBACKEND", "Agg")
CHROMIUM = Path("/usr/bin/chromium")
SHARED = Path(os.environ.get("TINYLIB_SHARED", Path(__file__).resolve().parents[2] / "shared"))


def _need(path: Path) -> Path:
    if not path.exists():
        pytest.skip(f"{path.relative_to(SHARED.parent)} is not here (real data is never part of the repository)")
    return path


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of real research data, or skip."""
    return _need(SHARED / "data")


@pytest.fixture(scope="session")
def parity() -> Path:
    """Folder of recorded outputs of the official implementations, or skip."""
    return _need(SHARED / "parity")


@pytest.fixture(scope="module")
def chromium():
    """A headless browser, or skip."""
    if not CHROMIUM.exists():
        pytest.skip("no Chromium on this machine: nothing is tried in a browser")
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()


def pytest_terminal_summary(terminalreporter):
    """One line on the tests that real data outside the repository would let run."""
    reasons = [str(report.longrepr) for report in terminalreporter.stats.get("skipped", ())]
    absent = sum("is not here (real data" in reason for reason in reasons)
    if absent:
        terminalreporter.write_line(
            f"{absent} tests were skipped for want of the shared files: TINYLIB_SHARED=FOLDER says where they are"
        )
