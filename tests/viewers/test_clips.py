import json
import re
from pathlib import Path

import numpy as np
import pytest

from tinylib.datasets.index import Clip, Index
from tinylib.errors import DataError, UsageError
from tinylib.viewers import clips


def clip(frames=6, side=10, width=None):
    """Each frame one grey: 20, 40, 60, ..."""
    values = (np.arange(1, frames + 1) * 20).astype(np.uint8)
    return np.broadcast_to(values[:, None, None, None], (frames, side, width or side, 3)).copy()


def index(count=30):
    labels = [("walking",), ("running", "carrying")]
    clips = [
        Clip(f"c{i:03d}", f"{i}.mp4", "v", labels[i % 2], 6, 10 + 5 * i, 10 + 5 * i, "virat" if i < 20 else "meva")
        for i in range(count)
    ]
    return Index("x", "train", Path("."), ("walking", "running", "carrying"), True, tuple(clips))


@pytest.fixture
def log(tmp_path):
    path = tmp_path / "run" / "log.jsonl"
    path.parent.mkdir()
    path.write_text(
        "".join(json.dumps({"epoch": e, "loss": 2.0 / (e + 1), "F1": e / 4, "who": "x"}) + "\n" for e in range(4))
    )
    return path


MAPS = {net: {layer: np.random.default_rng(0).random((3, 4, 4)) for layer in ("l1", "l2")} for net in ("T", "S")}


CLIPS = {"one": clip(), "two": 255 - clip()}


def transferred():
    """Two clips, three networks, the teacher always in sight; each map's first pixel tells whose it is."""
    maps = {
        name: {
            net: {layer: np.array([[[level, 9, 0]]]) for layer, level in (("l1", i), ("l2", i + 4))}
            for i, net in enumerate(("T-Net", "S-Net", "S-Net + STAT"))
        }
        for name in CLIPS
    }
    high = {name: np.repeat(np.repeat(of, 4, 1), 4, 2) for name, of in CLIPS.items()}
    return clips.attention_viewer(CLIPS, maps, restored=high, beside="T-Net", names=("low", "high"))


def viewers(log):
    return {
        "transferred": transferred(),
        "player": clips.player({"LR": clip(), "SR": clip(3, 40)}),
        "attention": clips.attention_viewer(clip(), MAPS, restored=clip(6, 40)),
        "browser": clips.browser(index(), lambda i: clip(), page=8),
        "monitor": clips.training_monitor(log),
    }


def test_viewers_are_self_contained_and_have_a_figure(log):
    for viewer in viewers(log).values():
        page = viewer._repr_html_()
        assert not re.search(r"""(src|href)=["']?(https?:)?//|import\(|fetch\(|require""", page)
        assert not re.search(r"\sid=", page)  # nothing for two viewers to fight over
        assert viewer.figure()._repr_png_()[:4] == b"\x89PNG"


def test_a_sprite_holds_every_frame_exactly():
    import base64
    import io

    from PIL import Image

    frames = np.random.default_rng(0).integers(0, 256, (7, 12, 20, 3), np.uint8)
    sprite = clips.sprite(frames)
    sheet = np.asarray(Image.open(io.BytesIO(base64.b64decode(sprite["src"].split(",")[1]))).convert("RGB"))
    for at, frame in enumerate(frames):
        y, x = at // sprite["cols"] * 12, at % sprite["cols"] * 20
        np.testing.assert_array_equal(sheet[y : y + 12, x : x + 20], frame)


def test_wrong_input_is_named():
    with pytest.raises(DataError, match=r"LR: expected uint8 frames \(T, H, W, 3\), got float64"):
        clips.player({"LR": np.zeros((2, 4, 4, 3))})
    with pytest.raises(UsageError, match="1 labels for 2 clips"):
        clips.player({"a": clip(), "b": clip()}, labels=["a"])
    with pytest.raises(UsageError, match="same layers"):
        clips.attention_viewer(clip(), {"T": MAPS["T"], "S": {"l1": MAPS["S"]["l1"]}})
    with pytest.raises(UsageError, match="maps and restored must be of the same clips, one, two"):
        clips.attention_viewer(CLIPS, {"one": MAPS})
    with pytest.raises(UsageError, match="no network 'U'; there are T, S"):
        clips.attention_viewer(clip(), MAPS, beside="U")


def test_labels_cannot_break_the_page():
    page = clips.player({"<script>alert(1)</script>": clip()})._repr_html_()
    assert "<script>alert" not in page


def test_heat_spans_the_colour_map():
    heat = clips.heat(np.array([[[0.0, 5.0]]]))
    assert heat.shape == (1, 1, 2, 3)
    assert heat[0, 0, 0].tolist() == [0, 0, 3]
    assert heat[0, 0, 1].tolist() == [252, 254, 164]


def test_the_browser_draws_its_sample_by_seed():
    def shown(seed):
        return re.findall(r"c\d{3}", clips.browser(index(50), lambda i: clip(), limit=10, seed=seed)._repr_html_())

    assert len(shown(0)) == 10
    assert shown(0) == shown(0) != shown(1)


def test_a_log_being_written_is_read_up_to_its_last_whole_line(log):
    log.write_text(log.read_text() + '{"epoch": 4, "lo')
    assert [row["loss"] for row in clips.read_log(log)] == [2.0, 1.0, 2 / 3, 0.5]
    log.write_text('{"epo\n{"epoch": 1}\n')
    with pytest.raises(DataError, match=r"log.jsonl:1: not a JSON line"):
        clips.read_log(log)


@pytest.fixture
def page(chromium, tmp_path, log):
    """All viewers, the player twice, on one page; any request beyond the page itself is refused and remembered."""
    pages = viewers(log)
    file = tmp_path / "viewers.html"
    parts = [pages[n]._repr_html_() for n in ("player", "player", "attention", "browser", "monitor", "transferred")]
    file.write_text('<!doctype html><meta charset="utf-8">' + "".join(parts), encoding="utf-8")
    page = chromium.new_page()
    page.problems = []
    page.on("pageerror", lambda error: page.problems.append(str(error)))
    page.route(
        lambda url: not url.startswith(("file:", "data:")),
        lambda route: (page.problems.append(route.request.url), route.abort()),
    )
    page.goto(file.as_uri())
    page.wait_for_function("""() => document.querySelector('.tl-view canvas').getContext('2d')
        .getImageData(5, 5, 1, 1).data[0] > 0""")
    yield page
    assert page.problems == []
    page.close()


def grey(page, viewer, canvas=0):
    return (
        page.locator(".tl-view")
        .nth(viewer)
        .locator("canvas")
        .nth(canvas)
        .evaluate("c => c.getContext('2d').getImageData(5, 5, 1, 1).data[0]")
    )


def test_the_slider_and_the_arrows_change_the_picture(page):
    first = page.locator(".tl-view").nth(0)
    assert grey(page, 0) == 20
    first.locator("[data-part=time]").evaluate("s => { s.value = 4; s.dispatchEvent(new Event('input')); }")
    assert grey(page, 0) == 100
    assert grey(page, 0, canvas=1) == 60  # the shorter clip: frame 2 of 3
    assert grey(page, 1) == 20  # its twin on the page has not moved
    first.locator("[data-part=time]").focus()
    page.keyboard.press("ArrowLeft")
    assert grey(page, 0) == 80
    assert first.locator("[data-part=out]").inner_text() == "4 / 6"


def test_playing_moves_and_pausing_stops(page):
    play = page.locator(".tl-view").nth(0).locator("[data-part=play]")
    play.click()
    page.wait_for_function("() => document.querySelector('[data-part=out]').textContent !== '1 / 6'")
    assert play.get_attribute("aria-label") == "pause"
    play.click()
    assert play.get_attribute("aria-label") == "play"


def test_choosing_a_layer_and_opacity_changes_the_overlay(page):
    viewer = page.locator(".tl-view").nth(2)
    overlay = "c => [...c.getContext('2d').getImageData(0, 0, c.width, c.height).data].reduce((a, b) => a + b)"
    before = viewer.locator("canvas").nth(3).evaluate(overlay)
    opacity = viewer.locator("[data-part=opacity]")
    opacity.evaluate("s => { s.value = 0; s.dispatchEvent(new Event('input')); }")
    assert viewer.locator("canvas").nth(3).evaluate(overlay) != before
    opacity.evaluate("s => { s.value = 55; s.dispatchEvent(new Event('input')); }")
    assert viewer.locator("canvas").nth(3).evaluate(overlay) == before
    assert viewer.locator("select").nth(1).locator("option").all_inner_texts() == ["l1", "l2"]


def test_choosing_a_clip_changes_every_pane_and_the_teacher_stays(page):
    def seen(canvas):
        return grey(page, 5, canvas=canvas)

    viewer = page.locator(".tl-view").nth(5)
    captions = viewer.locator("figcaption").all_inner_texts()
    assert captions == ["low", "high", "T-Net", "overlay", "map"]
    assert [s.locator("option").all_inner_texts() for s in viewer.locator("select").all()] == [
        ["one", "two"],
        ["T-Net", "S-Net", "S-Net + STAT"],
        ["l1", "l2"],
    ]
    page.wait_for_function("""() => document.querySelectorAll('.tl-view')[5].querySelectorAll('canvas')[4]
        .getContext('2d').getImageData(5, 5, 1, 1).data[3] > 0""")
    assert (seen(0), seen(1)) == (20, 20)
    teacher, chosen = seen(2), seen(4)
    assert seen(3) == teacher  # both lay T-Net's map over the same picture
    viewer.locator("select").nth(1).select_option("S-Net + STAT")
    page.wait_for_timeout(100)
    assert seen(2) == teacher
    assert seen(3) > teacher
    assert seen(4) > chosen
    viewer.locator("select").nth(2).select_option("l2")
    page.wait_for_timeout(100)
    assert seen(2) > teacher  # the layer is the teacher's too
    viewer.locator("select").nth(0).select_option("two")
    page.wait_for_timeout(100)
    assert (seen(0), seen(1)) == (235, 235)


def test_filtering_leaves_the_clips_that_fit(page):
    viewer = page.locator(".tl-view").nth(3)
    count = viewer.locator("[data-part=count]")
    assert count.inner_text() == "30 clips, page 1 / 4"
    viewer.locator("[data-filter=class]").select_option("running")
    assert count.inner_text() == "15 clips, page 1 / 2"
    viewer.locator("[data-filter=domain]").select_option("meva")
    assert count.inner_text() == "5 clips, page 1 / 1"
    assert viewer.locator("figure:visible").count() == 5
    viewer.locator("[data-filter=size]").select_option("over 128")
    captions = viewer.locator("figcaption:visible").all_inner_texts()
    assert [caption.split(" · ")[0] for caption in captions] == ["c025", "c027", "c029"]


def test_the_monitor_draws_the_ticked_columns(page):
    monitor = page.locator(".tl-view").nth(4)
    assert monitor.locator("polyline").count() == 1
    monitor.locator("[data-name=F1]").check()
    assert monitor.locator("polyline").count() == 2
