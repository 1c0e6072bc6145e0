"""Names in any script: a second font where one is installed, else one warning by name; threads share no style."""

import threading
import warnings
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen
from matplotlib import font_manager

from tinylib import figures
from tinylib.figures import fonts

NAMES = ["跌倒", "歩く", "달리기"]


def saved(names, path):
    """The warnings of drawing and saving a chart of these names."""
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        figures.class_counts({"train": dict.fromkeys(names, 5)}).savefig(path)
    return [str(warning.message) for warning in said]


@pytest.fixture
def only_latin(monkeypatch):
    keep = [entry for entry in font_manager.fontManager.ttflist if entry.name.startswith("DejaVu Sans")]
    monkeypatch.setattr(font_manager.fontManager, "ttflist", keep)
    fonts.second_fonts.cache_clear()
    yield
    fonts.second_fonts.cache_clear()


def test_without_a_font_there_is_one_warning_with_the_names(only_latin, tmp_path):
    (said,) = saved(NAMES, tmp_path / "x.png")
    assert said.startswith("no installed font has ")
    assert all(repr(name) in said for name in NAMES)
    assert "Noto Sans CJK" in said
    assert saved(["walk", "Ñandú", "يمشي"], tmp_path / "y.png") == []  # the first font has these


def a_font(path: Path, characters: str) -> None:
    builder = FontBuilder(1000)
    glyphs = {ord(c): f"u{ord(c):04X}" for c in characters}
    builder.setupGlyphOrder([".notdef", *glyphs.values()])
    builder.setupCharacterMap(glyphs)
    pen = TTGlyphPen(None)
    pen.moveTo((0, 0)), pen.lineTo((900, 0)), pen.lineTo((450, 800)), pen.closePath()
    shape = pen.glyph()
    builder.setupGlyf(dict.fromkeys([".notdef", *glyphs.values()], shape))
    builder.setupHorizontalMetrics(dict.fromkeys([".notdef", *glyphs.values()], (1000, 0)))
    builder.setupHorizontalHeader(ascent=800, descent=-200)
    builder.setupNameTable({"familyName": "Test Script", "styleName": "Regular"})
    builder.setupOS2(sTypoAscender=800, usWinAscent=800, usWinDescent=200)
    builder.setupPost()
    builder.save(path)


def test_an_installed_font_is_used_for_what_the_first_lacks(only_latin, tmp_path):
    without = tmp_path / "without.png"
    saved(NAMES[:1], without)
    a_font(tmp_path / "test.ttf", "跌倒")
    font_manager.fontManager.addfont(tmp_path / "test.ttf")
    fonts.second_fonts.cache_clear()
    assert saved(NAMES[:1], tmp_path / "with.png") == []
    assert (tmp_path / "with.png").read_bytes() != without.read_bytes()
    (said,) = saved([NAMES[0], NAMES[2]], tmp_path / "both.png")
    assert repr(NAMES[2]) in said
    assert NAMES[0] not in said


def test_threads_that_draw_leave_the_settings_as_they_were():
    before = dict(matplotlib.rcParams)
    start = threading.Barrier(6)
    styled = []

    def draw() -> None:
        start.wait()
        for _ in range(3):
            figure = figures.histograms({"a": np.arange(9.0)}, bins=4, label="x")
            styled.append(not figure.axes[0].spines["top"].get_visible())

    threads = [threading.Thread(target=draw) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert styled == [True] * 18
    assert dict(matplotlib.rcParams) == before
