"""The site: built by one command, whole without a network, every link to a file that is there."""

import os
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

ROOT = Path(__file__).resolve().parents[1]
LOADED = {"script": "src", "img": "src", "link": "href", "iframe": "src"}


class Links(HTMLParser):
    def __init__(self):
        super().__init__()
        self.loaded, self.links = [], []

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        if tag == "link" and given.get("rel") in ("canonical", "prev", "next"):
            return
        if tag in LOADED and given.get(LOADED[tag]):
            self.loaded.append(given[LOADED[tag]])
        if tag == "a" and given.get("href"):
            self.links.append(given["href"])


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    pytest.importorskip("mkdocs", reason="mkdocs is not installed")
    out = tmp_path_factory.mktemp("site")
    environment = os.environ | {"PYTHONPATH": str(ROOT), "NO_MKDOCS_2_WARNING": "1"}
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(out)]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return out


@pytest.mark.slow
def test_pages_load_nothing_from_elsewhere_and_link_to_what_is_there(site):
    pages = sorted(site.rglob("*.html"))
    names = {page.relative_to(site).as_posix() for page in pages}
    assert {
        "index.html",
        "CONTRIBUTING.html",
        "papers/stat.html",
        "api/datasets.html",
        "notebooks/03_baselines.html",
    } <= names
    for page in pages:
        links = Links()
        links.feed(page.read_text(encoding="utf-8"))
        for link in links.loaded:
            assert not urlsplit(link).netloc, f"{page.name} loads {link}"
        for link in (*links.loaded, *links.links):
            parts = urlsplit(link)
            if parts.scheme or parts.netloc or not parts.path or page.name == "404.html":
                continue
            assert (page.parent / unquote(parts.path)).exists(), f"{page.relative_to(site)}: {link}"


@pytest.mark.slow
def test_the_api_says_what_every_public_name_is(site):
    from importlib import import_module

    for face in sorted((ROOT / "tinylib").glob("*/__init__.pyi")):
        module = import_module(f"tinylib.{face.parent.name}")
        text = (site / "api" / f"{face.parent.name}.html").read_text(encoding="utf-8")
        for name in module.__all__:
            assert f'.{name}"' in text, f"{face.parent.name}.{name}"
