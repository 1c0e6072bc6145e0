"""The threshold explorer: what the page counts is what `metrics` counts."""

import re

import numpy as np
import pytest

from tinylib.errors import DataError, UsageError
from tinylib.evaluation import ensemble, metrics
from tinylib.viewers.thresholds import threshold_explorer

CLASSES = ("walking", "turning_left", "<b>odd & rare</b>")
RNG = np.random.default_rng(0)
TRUTH = RNG.random((60, 3)) < [0.5, 0.2, 0.1]
SCORES = np.clip(0.3 * TRUTH + 0.6 * RNG.random((60, 3)), 0, 1).astype(np.float32)
FITTED = ensemble.fit_thresholds(SCORES, TRUTH, monotone=False)


def explorer():
    return threshold_explorer(SCORES, TRUTH, CLASSES, fitted=FITTED, counts=[900, 30, 10])


def test_it_is_self_contained_and_has_a_figure():
    page = explorer()._repr_html_()
    assert not re.search(r"""(src|href)=["']?(https?:)?//|import\(|fetch\(|require""", page)
    assert not re.search(r"\sid=", page)
    assert "<b>odd" not in page
    assert 'title="30 in training"' in page
    figure = explorer().figure()
    assert figure._repr_png_()[:4] == b"\x89PNG"
    lines = {line.get_label(): line for line in figure.axes[0].lines}
    assert lines["fitted"].get_xdata()[0] == pytest.approx(FITTED[0])


def test_wrong_input_is_named():
    with pytest.raises(DataError, match="do not belong together"):
        threshold_explorer(SCORES, TRUTH[:, :2], CLASSES)
    with pytest.raises(UsageError, match="fitted: expected a threshold from 0 to 1 for each of the 3 classes"):
        threshold_explorer(SCORES, TRUTH, CLASSES, fitted=[0.1, 0.2])


@pytest.fixture
def page(chromium, tmp_path):
    """Two explorers on one page; any request beyond the page itself is refused and remembered."""
    file = tmp_path / "thresholds.html"
    parts = [explorer()._repr_html_(), threshold_explorer(SCORES, TRUTH, CLASSES)._repr_html_()]
    file.write_text('<!doctype html><meta charset="utf-8">' + "".join(parts), encoding="utf-8")
    page = chromium.new_page()
    page.problems = []
    page.on("pageerror", lambda error: page.problems.append(str(error)))
    page.route(
        lambda url: not url.startswith(("file:", "data:")),
        lambda route: (page.problems.append(route.request.url), route.abort()),
    )
    page.goto(file.as_uri())
    yield page
    assert page.problems == []
    page.close()


def text(rates):
    return " · ".join(f"{value:.3f}" for value in rates)


def check(view, thresholds):
    for average in ("macro", "micro"):
        expected = metrics.precision_recall_f1(SCORES, TRUTH, threshold=thresholds, average=average)
        assert view.locator(f"[data-part={average}]").inner_text() == text(expected)
    table = metrics.per_class(SCORES, TRUTH, CLASSES, threshold=thresholds)
    for row, (_, wanted) in zip(view.locator("[data-class]").all(), table.iterrows(), strict=True):
        shown = row.locator("[data-rate]").all_inner_texts()
        assert shown == [f"{wanted[name]:.3f}" for name in ("precision", "recall", "f1")]


def test_presets_sliders_and_keys_recount_everything(page):
    first, second = page.locator(".tl-view").nth(0), page.locator(".tl-view").nth(1)
    check(first, FITTED)
    check(second, 0.5)
    first.locator("button", has_text="0.5").click()
    check(first, 0.5)
    slider = first.locator("input[type=range]").nth(1)
    assert slider.get_attribute("aria-label") == "threshold of turning_left"
    slider.evaluate("s => { s.value = 0.3; s.dispatchEvent(new Event('input')); }")
    check(first, [0.5, 0.3, 0.5])
    assert first.locator("figcaption [data-part=name]").inner_text() == "turning_left"
    slider.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    check(first, [0.5, 0.31, 0.5])
    first.locator("[data-preset='0']").focus()
    page.keyboard.press("Enter")
    check(first, FITTED)
    check(second, 0.5)  # its neighbour on the page has not moved
    assert first.locator("[data-part=plot] polyline").count() == 3
