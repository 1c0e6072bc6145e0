"""Names from files are text wherever they are shown: in tables, viewers, pages and figures."""

import html
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest

from tinylib import figures, results, viewers
from tinylib.reports import pages
from tinylib.reports.status import Status

HOSTILE = [
    "<img src=x onerror=alert(1)>",
    "</script><script>alert(1)</script>",
    '"><svg onload=alert(1)>',
    "' onmouseover='alert(1)",
    "{{ 7 * 7 }}",
    r"$\frac{1}{$",
    "a & b",
    "${x}`",
]


class Page(HTMLParser):
    """Tags and attributes that a browser would see."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.attributes, self.text = set(), set(), []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attributes}
        self.text += [value for _, value in attributes if value]

    def handle_data(self, data):
        self.text.append(data)


def harmless(text, plain):
    """The page has the tags and attributes that the same page has with plain names, and shows the name."""
    page, same = Page(text), Page(plain)
    assert page.tags == same.tags
    assert page.attributes == same.attributes
    return " ".join(page.text)


def clip():
    return np.full((3, 8, 8, 3), 90, np.uint8)


def log_of(name, tmp_path):
    path = tmp_path / "log.jsonl"
    path.write_text(pd.Series({"epoch": 1, name: 2.0}).to_json() + "\n")
    return path


VIEWS = {
    "player": lambda name, tmp: viewers.player({name: clip()}).markup,
    "attention": lambda name, tmp: viewers.attention_viewer(clip(), {name: {name: np.ones((3, 8, 8))}}).markup,
    "training": lambda name, tmp: viewers.training_monitor(log_of(name, tmp), show=(name,)).markup,
    "thresholds": lambda name, tmp: (
        viewers.threshold_explorer(np.array([[0.9, 0.1], [0.2, 0.8]]), np.eye(2), [name, "b"]).markup
    ),
    "table": lambda name, tmp: results.shown(pd.DataFrame({name: [name], "F1": [0.5]})).to_html(),
}


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("view", VIEWS)
def test_viewers_and_tables_show_names_as_text(view, name, tmp_path):
    said = harmless(VIEWS[view](name, tmp_path), VIEWS[view]("plain", tmp_path))
    assert name in said or html.escape(name) in said or "\\" in name or '"' in name  # JSON spells these two otherwise


@pytest.mark.parametrize("name", HOSTILE)
def test_the_index_shows_names_as_text(name, tmp_path):
    def page(text):
        fields = {"profile": text, "data": text, "state": "failed", "error": text, "title": text, "hardware": text}
        status = Status(name="03_baselines", **fields)
        return pages.index_page(tmp_path, [status])

    assert name in harmless(page(name), page("plain"))


FIGURES = {
    "class_counts": lambda n: figures.class_counts({n: {n: 4, "b": 2}, "c": {n: 1}}, title=n),
    "contact_sheet": lambda n: figures.contact_sheet({n: clip()}),
    "side_by_side": lambda n: figures.side_by_side({n: clip()}),
    "grouped_bars": lambda n: figures.grouped_bars({n: {n: 4}, "b": {n: 2}}, title=n, label=n),
    "histograms": lambda n: figures.histograms({n: [1, 2, 2]}, title=n, label=n),
    "learning_curves": lambda n: figures.learning_curves({n: [{"epoch": 0, "loss": 2.0}, {"epoch": 1, "loss": 1.0}]}),
    "confusion": lambda n: figures.confusion(np.array([[3, 1], [0, 2]]), [n, "b"]),
    "class_scores": lambda n: figures.class_scores({n: {n: 0.2}, "b": {n: 0.4}}),
}


@pytest.mark.parametrize("name", [HOSTILE[0], HOSTILE[5]])
@pytest.mark.parametrize("figure", FIGURES)
def test_figures_draw_names_as_they_are(figure, name):
    assert figures.png(FIGURES[figure](name))[:4] == b"\x89PNG"
