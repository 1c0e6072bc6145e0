"""A video in, a folder of results out; and every way in which that can fail, in one line."""

import csv
import json
import shutil
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.datasets.small import tree
from tests.moving import film
from tinylib import cli
from tinylib.annotations.tracks import Track
from tinylib.building.rules import Window
from tinylib.errors import ClipError, DataError, TinylibError, UsageError
from tinylib.evaluation.model_card import ModelCard, open_model
from tinylib.evaluation.scores import Scores
from tinylib.models import checkpoint
from tinylib.recognise.drawing import COLOURS
from tinylib.recognise.pipeline import CutConfig, cut_clips, recognise, track_windows
from tinylib.video import probe, read_frames, write_video

CARD = ModelCard(
    model="tiny_r3d",
    options={"widths": (4, 4, 8, 8), "stem": "paper"},
    classes=("activity_walking", "standing"),
    multi_label=True,
    frames=4,
    size=24,
    sampler="uniform",
)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with a film of two people, a run folder, and what comes of them."""
    folder = tmp_path_factory.mktemp("own")
    write_video(folder / "film.mp4", (frame for frame, _ in film(frames=90, actors=2)), fps=30)
    write_video(folder / "still.mp4", (frame for frame, _ in film(frames=45, still=True)), fps=30)
    write_video(folder / "short.mp4", (frame for frame, _ in film(frames=20)), fps=30)
    (folder / "broken.mp4").write_bytes(b"this is not a video")
    torch.manual_seed(0)
    checkpoint.save(folder / "run" / "model.safetensors", CARD.build(), CARD.description())
    (folder / "boxes.csv").write_text("frame,id,x0,y0,x1,y1\n0,a/b,20,20,40,60\n89,a/b,60,20,80,60\n")
    return folder


@pytest.fixture(scope="module")
def result(place):
    return recognise(place / "film.mp4", place / "run", place / "out", threshold=0.4)


def test_the_timeline_says_who_when_where_what(place, result):
    assert len(result.tracks) == 2
    assert {clip.track for clip in result.clips} == {"1", "2"}
    saved = json.loads((place / "out/timeline.json").read_text())
    assert (saved["video"], saved["frames"], saved["calibrated"], saved["source"]) == ("film.mp4", 90, False, "motion")
    assert [track["id"] for track in saved["tracks"]] == ["1", "2"]
    with open(place / "out/timeline.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert rows == [{name: str(value) for name, value in row.items()} for row in result.rows()]
    row = rows[0]
    assert float(row["first_second"]) == pytest.approx(int(row["first_frame"]) / 30, abs=1e-3)
    assert float(row["last_second"]) == pytest.approx((int(row["last_frame"]) + 1) / 30, abs=1e-3)
    assert row["calibrated"] == "no"
    assert "not calibrated" in result.summary()


def test_the_clips_are_what_the_timeline_says(place, result):
    for clip in result.clips:
        info = probe(place / "out" / clip.file)
        assert (info.frames, info.width, info.height) == (clip.last - clip.first + 1, clip.side, clip.side)
        assert 40 <= info.frames <= 150
        assert clip.side % 2 == 0
        x0, y0, x1, y1 = clip.box
        if x0 >= 0 and y0 >= 0 and x1 <= 160 and y1 <= 120:
            source = read_frames(place / "film.mp4", [clip.first])[0][y0:y1, x0:x1]
            cut = read_frames(place / "out" / clip.file, [0])[0]
            assert np.abs(source.astype(int) - cut).mean() < 12  # coded once more


def test_scores_and_maps_belong_to_the_clips(place, result):
    scores = Scores.load(place / "out/scores.npz")
    assert scores.clip_ids == tuple(clip.clip_id for clip in result.clips)
    np.testing.assert_array_equal(scores.scores, [clip.scores for clip in result.clips])
    for clip in result.clips:
        with np.load(place / "out" / clip.map_file) as saved:
            assert saved["map"].shape[1:] == (24, 24)
            assert 0 <= saved["map"].min() <= saved["map"].max() <= 1
            assert str(saved["target"]) == CARD.classes[clip.best]
        assert probe(place / "out/maps" / f"{clip.clip_id}.mp4").frames <= 24
    assert not list((place / "out").glob(".*store*"))


def test_the_annotated_video_has_every_frame_and_boxes_on_people(place, result):
    info = probe(place / "out/annotated.mp4")
    assert (info.frames, info.width, info.height) == (90, 320, 240)  # twice its size, so that words can be read
    frame = read_frames(place / "out/annotated.mp4", [45])[0].astype(int)
    for number, track in enumerate(result.tracks.values()):
        x0, _, x1, y1 = (round(2 * side) for side in track.boxes[45])
        sides = [frame[y1 - 25 : y1 - 5, x - 2 : x + 3] for x in (x0, x1)]
        near = [np.abs(side - COLOURS[number]).sum(-1).min(1) for side in sides]  # of each line, the nearest pixel
        assert np.median(near) < 90


def test_it_can_be_done_again_and_leaves_nothing_old(place, result, tmp_path):
    folder = tmp_path / "out"
    shutil.copytree(place / "out", folder)
    again = recognise(place / "film.mp4", place / "run", folder, boxes=place / "boxes.csv", maps=False)
    assert again.source == "boxes.csv"
    assert not (folder / "maps").exists()
    assert len(list((folder / "clips").iterdir())) == len(again.clips) == 1
    assert again.clips[0].clip_id == "0001_track_a_b"


def test_a_calibration_is_used(place, tmp_path, result):
    from tinylib.evaluation.calibration import Calibration

    shift = Calibration("platt", CARD.classes, (1.0, 1.0), (-20.0, 20.0), 10, 0.1, 0.0)
    timeline = recognise(
        place / "film.mp4",
        replace(open_model(place / "run"), calibration=shift),
        tmp_path / "out",
        boxes=place / "boxes.csv",
        maps=False,
        annotated=False,
    )
    assert timeline.calibrated
    assert all(clip.scores[0] < 0.01 and clip.scores[1] > 0.99 for clip in timeline.clips)


# cutting


@settings(max_examples=40, deadline=None)
@given(st.integers(40, 700), st.floats(-4, 4), st.integers(4, 90), st.integers(0, 50))
def test_clips_of_a_track_are_consecutive_even_and_of_the_dataset_s_lengths(length, speed, size, first):
    boxes = {first + t: (400 + speed * t, 50.0, 400 + speed * t + size, 50.0 + size) for t in range(length)}
    cut = track_windows("v", Track("1", "", boxes), CutConfig())
    assert cut[0].start == first
    assert cut[-1].end == first + length - 1
    assert all(b.start == a.end + 1 for a, b in pairwise(cut))
    for window in cut:
        assert 40 <= window.frames <= 150
        assert window.side % 2 == 0
        assert window.side >= 8
        for t in range(window.start, window.end + 1):
            x0, y0, x1, y1 = boxes[t]
            assert window.box[0] <= x0 + 1
            assert window.box[1] <= y0 + 1
            assert window.box[2] >= x1 - 1
            assert window.box[3] >= y1 - 1
    if max(window.side for window in cut) > 128:  # no shorter clips would have helped
        assert length // (len(cut) + 1) < 40


def test_short_tracks_give_no_clip_and_holes_none_either():
    assert track_windows("v", Track("1", "", dict.fromkeys(range(39), (0.0, 0, 9, 9))), CutConfig()) == []
    gap = Track("1", "", {0: (0.0, 0, 9, 9), 400: (0.0, 0, 9, 9)})
    assert [(w.start > 0, w.end) for w in track_windows("v", gap, CutConfig())] == [(False, 99), (True, 400)]


def test_large_clips_are_shrunk_while_they_are_cut(place):
    windows = [Window("v", "1", 5, 50, (0, 0, 140, 140), ()), Window("v", "2", 10, 20, (10, 10, 30, 30), ())]
    clips = dict(cut_clips(place / "film.mp4", windows, 30.0, 128))
    assert {key: clip.shape for key, clip in clips.items()} == {0: (46, 128, 128, 3), 1: (11, 20, 20, 3)}


@pytest.mark.parametrize("wrong", [{"min_frames": 1}, {"min_frames": 80}, {"max_side": 7}, {"max_side": 129}])
def test_configuration_is_checked(wrong):
    with pytest.raises(UsageError, match=next(iter(wrong))):
        CutConfig(**wrong)


# what can be wrong


@pytest.mark.parametrize(
    ("name", "kind", "error", "says"),
    [
        ("still.mp4", {}, DataError, "still.mp4: nothing in it moves about"),
        ("short.mp4", {}, ClipError, "short.mp4: it has 20 frames, and a clip needs 40"),
        ("broken.mp4", {}, ClipError, "broken.mp4: cannot be decoded"),
        (".", {}, ClipError, "is a directory"),
        ("film.mp4", {"boxes": "brief.csv"}, DataError, "brief.csv: the longest of 1 tracks has 30 frames, and a clip"),
        ("film.mp4", {"threshold": 1.5}, UsageError, "threshold: expected 0 to 1"),
        ("film.mp4", {"layer": "layer9"}, UsageError, "layer 'layer9': tiny_r3d has stem, layer1"),
    ],
)
def test_what_is_wrong_is_said_in_a_line(place, tmp_path, name, kind, error, says):
    (place / "brief.csv").write_text("frame,id,x0,y0,x1,y1\n0,a,20,20,40,60\n29,a,60,20,80,60\n")
    kind |= {"boxes": place / kind["boxes"]} if "boxes" in kind else {}
    with pytest.raises(error, match=says) as caught:
        recognise(place / name, place / "run", tmp_path / "out", **kind)
    assert "\n" not in str(caught.value)


def test_somebody_else_s_folder_is_left_alone(place, tmp_path):
    (tmp_path / "clips").mkdir()
    (tmp_path / "clips" / "mine.mp4").write_text("precious")
    with pytest.raises(UsageError, match="is not empty and holds no earlier result"):
        recognise(place / "film.mp4", place / "run", tmp_path)
    assert (tmp_path / "clips" / "mine.mp4").exists()
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="is a file"):
        recognise(place / "film.mp4", place / "run", tmp_path / "file")


def test_an_earlier_result_stays_until_a_new_one_is_whole(place, tmp_path, capsys):
    call = {"boxes": place / "boxes.csv", "maps": False, "annotated": False}
    recognise(place / "film.mp4", place / "run", tmp_path / "out", **call)
    before = tree(tmp_path / "out")
    whole = (place / "film.mp4").read_bytes()
    (tmp_path / "film.mp4").write_bytes(whole[: len(whole) * 2 // 3])
    with pytest.raises(TinylibError):
        recognise(tmp_path / "film.mp4", place / "run", tmp_path / "out", **call)
    assert tree(tmp_path / "out") == before
    recognise(place / "film.mp4", place / "run", tmp_path / "out", **call)
    (aside,) = tmp_path.glob("out.before-*")
    assert tree(aside) == before
    assert aside.name in capsys.readouterr().out
    recognise(place / "film.mp4", place / "run", tmp_path / "out", overwrite=True, **call)
    assert sorted(path.name for path in tmp_path.glob("out*")) == ["out", aside.name]


# the command


def call(capsys, *arguments):
    code = cli.main([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_the_command(place, tmp_path, capsys):
    arguments = ["predict", place / "film.mp4", "--model", place / "run", "--boxes", place / "boxes.csv", "--no-maps"]
    code, out, _ = call(capsys, *arguments, "--out", tmp_path / "out")
    assert code == 0
    assert "1 tracks (boxes.csv), 1 clips of 1 of them" in out
    assert out.endswith("out: timeline.csv, timeline.json, clips/, annotated.mp4\n")
    assert (tmp_path / "out/annotated.mp4").exists()


@pytest.mark.parametrize(
    ("change", "code", "says"),
    [
        ({"VIDEO": "nowhere.mp4"}, 2, "nowhere.mp4: no such file"),
        ({"VIDEO": "."}, 2, ": no such file"),
        ({"VIDEO": "still.mp4"}, 1, "nothing in it moves about"),
        ({"VIDEO": "short.mp4"}, 1, "it has 20 frames"),
        ({"VIDEO": "broken.mp4"}, 1, "cannot be decoded"),
        ({"--model": "nowhere"}, 2, "nowhere: no such folder"),
        ({"--model": "."}, 1, "no model.safetensors in it"),
        ({"--boxes": "film.mp4"}, 1, "expected text"),
        ({"--boxes": "late.csv"}, 1, "no box lies in the video: 1 boxes (track a, frame 500) past the end"),
        ({"--boxes": "outside.csv"}, 1, "box (900, 2, 930, 40)) outside the 160x120"),
        ({"--min-frames": "90"}, 2, "min_frames: expected 2 to 75, got 90"),
        ({"--threshold": "2"}, 2, "expected 0 to 1, got '2'"),
        ({"--motion": "-3"}, 2, "expected a positive number, got '-3'"),
        ({"--calibrate": "boxes.csv"}, 2, "ends in .npz"),
    ],
)
def test_a_wrong_call_or_bad_data_is_a_line_and_a_code(place, tmp_path, capsys, change, code, says):
    (place / "late.csv").write_text("frame,id,x0,y0,x1,y1\n500,a,1,2,30,40\n")
    (place / "outside.csv").write_text("frame,id,x0,y0,x1,y1\n5,a,900,2,930,40\n")
    given = {"VIDEO": "film.mp4", "--model": "run"} | change
    files = {
        name: place / v if name in ("VIDEO", "--model", "--boxes", "--calibrate") else v for name, v in given.items()
    }
    options = [part for name, value in files.items() if name != "VIDEO" for part in (f"{name}={value}",)]
    status, out, err = call(capsys, "predict", files["VIDEO"], "--out", tmp_path / "out", *options)
    assert (status, out) == (code, "")
    assert says in err
    assert err.startswith("tinylib: ")
    assert err.count("\n") == 1


# real videos


def test_a_real_video_with_its_annotators_boxes(shared_data, place, tmp_path):
    name = "VIRAT_S_010005_04_000299_000323"
    boxes = tmp_path / "some.csv"
    from tinylib.annotations.boxes import read_boxes

    tracks = read_boxes(shared_data / f"virat/annotations/{name}.viratdata.objects.txt")
    key, track = max(tracks.items(), key=lambda item: len(item[1].boxes))
    rows = [f"{n},{key},{','.join(map(str, box))}" for n, box in sorted(track.boxes.items()) if n < 60]
    boxes.write_text("\n".join(["frame,id,x0,y0,x1,y1", *rows]) + "\n")
    timeline = recognise(
        shared_data / f"virat/videos/{name}.mp4", place / "run", tmp_path / "out", boxes=boxes, annotated=False
    )
    assert [clip.track for clip in timeline.clips] == [key] * len(timeline.clips)
    assert len(timeline.clips) >= 1


@pytest.mark.parametrize("name", ["video_90.mov", "video_270.mov"])
def test_a_rotated_video_is_set_upright(shared_data, place, tmp_path, name):
    video = shared_data / "odd_files" / name
    info = probe(video)
    (tmp_path / "b.csv").write_text(
        f"frame,id,x0,y0,x1,y1\n0,a,10,10,30,{info.height}\n{info.frames - 1},a,10,10,30,{info.height}\n"
    )
    timeline = recognise(
        video, place / "run", tmp_path / "out", boxes=tmp_path / "b.csv", cut=CutConfig(min_frames=2), maps=False
    )
    assert (timeline.width, timeline.height) == (info.width, info.height)
    drawn = probe(tmp_path / "out/annotated.mp4")
    assert drawn.frames == info.frames
    assert drawn.width / drawn.height == pytest.approx(info.width / info.height, rel=0.02)
