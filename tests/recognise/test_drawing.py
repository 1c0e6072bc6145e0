from dataclasses import replace

import numpy as np
import pytest

from tinylib.annotations.tracks import Track
from tinylib.recognise.drawing import COLOURS, draw, drawn, label, overlay
from tinylib.recognise.timeline import Seen, Timeline

CLIP = Seen("c", "7", 0, 3, (2, 2, 12, 12), "clips/c.mp4", False, np.array([0.7, 0.6, 0.1], np.float32))
TIMELINE = Timeline(
    video="v.mp4",
    frames=8,
    fps=4.0,
    width=640,
    height=600,
    model="m",
    classes=("activity_walking", "vehicle_turning_left", "x"),
    calibrated=True,
    threshold=0.5,
    source="motion",
    times=np.array([0, 0.25, 0.5, 1.5, 1.75, 2, 2.25, 2.5]),
    tracks={"7": Track("7", "", dict.fromkeys(range(6), (100.0, 200, 140, 300)))},
    clips=(CLIP,),
)


def test_words_are_short_and_sure():
    assert label(TIMELINE, CLIP) == "7 walking 0.70, vehicle turning left 0.60"
    assert label(TIMELINE, CLIP, most=1) == "7 walking 0.70"
    assert label(replace(TIMELINE, threshold=0.9), CLIP) == "7 walking 0.70 ?"


def test_seconds_follow_the_frames_own_times():
    assert TIMELINE.seconds(CLIP) == (0.0, 1.75)
    assert TIMELINE.seconds(replace(CLIP, last=7)) == (0.0, 2.75)


def test_a_box_is_drawn_while_its_track_lasts_and_its_words_while_its_clip_does():
    frames = list(drawn((np.zeros((600, 640, 3), np.uint8) for _ in range(8)), TIMELINE))
    assert all(frame.shape == (600, 640, 3) for frame in frames)
    assert tuple(frames[2][250, 100]) == COLOURS[0]
    assert tuple(frames[4][250, 100]) == (128, 128, 128)  # no clip any more
    assert tuple(frames[7][250, 100]) == (0, 0, 0)
    assert frames[2][180:200, 100:300].any()
    assert not frames[4][150:199, 100:300].any()
    assert frames[7][-10:, :40].any()  # the time


@pytest.mark.parametrize(("shape", "out"), [((601, 333), (602, 334)), ((75, 51), (150, 102)), ((540, 2), (540, 2))])
def test_any_size_comes_out_even(shape, out):
    picture = draw(np.zeros((*shape, 3), np.uint8), [((-5.0, -5, 1e4, 1e4), "words", (1, 2, 3))], footer="1 s")
    assert picture.shape == (*out, 3)


def test_words_do_not_hide_each_other():
    marks = [((300.0 + 4 * n, 300, 340 + 4 * n, 400), f"{n} walking 0.50", COLOURS[n]) for n in range(5)]
    picture = draw(np.zeros((720, 1280, 3), np.uint8), marks)
    areas = [(picture == np.array(colour)).all(-1).sum() for colour in COLOURS[:5]]
    alone = [(draw(np.zeros((720, 1280, 3), np.uint8), [m]) == np.array(m[2])).all(-1).sum() for m in marks]
    assert all(area > 0.75 * whole for area, whole in zip(areas, alone, strict=True))


def test_the_frame_itself_is_left_as_it_was():
    frame = np.zeros((600, 640, 3), np.uint8)
    draw(frame, [((10.0, 10, 50, 50), "w", (9, 9, 9))])
    assert not frame.any()


def test_a_map_lies_over_its_clip():
    clip = np.full((2, 20, 20, 3), 100, np.uint8)
    maps = np.zeros((2, 5, 5), np.float32)
    maps[:, :, 3:] = 1
    frames = list(overlay(clip, maps))
    assert len(frames) == 2
    assert frames[0].shape == (220, 440, 3)
    assert (frames[0][:, :220] == 100).all()
    assert frames[0][110, 430].astype(int).sum() > frames[0][110, 230].astype(int).sum() + 100
