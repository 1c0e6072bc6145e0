"""What every test may ask for. Real data lives outside the repository; tests that need it skip where it is absent."""

import os
from pathlib import Path

import pytest

os.environ.setdefault("MPLBACKEND", "Agg")
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
