import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from tests.datasets.small import tree, write_kpf, write_scene, write_virat
from tinylib.building.builder import Part, build, union
from tinylib.building.cutting import crop
from tinylib.building.rules import MevaRule, ViratRule
from tinylib.building.sources import find_videos
from tinylib.datasets.index import read_tinyvirat
from tinylib.datasets.integrity import check
from tinylib.datasets.sources import open_split
from tinylib.errors import DataError, UsageError
from tinylib.files import locked, write_json
from tinylib.video import read_frames

MEVA_VIDEO = "2018-03-11.11-20-01.11-25-01.school.G638"
RULE = ViratRule(max_frames=60, min_clips=0)


@pytest.fixture(scope="module")
def footage(tmp_path_factory):
    """Three VIRAT-like videos with annotations in train/ and validate/."""
    root = tmp_path_factory.mktemp("footage")
    for k, (split, name) in enumerate([("train", "VIRAT_S_1"), ("train", "VIRAT_S_2"), ("validate", "VIRAT_S_3")]):
        events = [(9, 0, 99, 10, 60, 0), (10, 20, 119, 100, 90, 1), (12, 0, 119, 0, 0, 0)]
        write_virat(root / "annotations" / split, name, events)
        write_scene(root / "videos" / "ground" / f"{name}.mp4", 120, seed=k)
    return root


def run(footage, out, rule=RULE, **more):
    return build(footage / "annotations", footage / "videos", out, rule, **{"workers": 0} | more)


@pytest.fixture(scope="module")
def built(footage, tmp_path_factory):
    out = tmp_path_factory.mktemp("built")
    return out, run(footage, out)


def test_golden_dry_run_writes_the_released_meva_rows(shared_data, tmp_path):
    report = build(shared_data / "meva" / "annotations", None, tmp_path, MevaRule(), dry_run=True)
    expected = json.loads((shared_data / "meva" / "expected_clips.json").read_text())
    rows = [row for file in tmp_path.glob("tiny_*.json") for row in json.loads(file.read_text())]
    assert {path.name for path in tmp_path.iterdir()} == {"class_map.json", "tiny_train_v2.json", "tiny_val_v2.json"}
    assert sum(report.clips.values()) == len(rows) == len(expected) == 130
    assert report.quarantined == ()
    mine = {(row["video_id"], row["clip_id"]): row for row in rows}
    for row in expected:
        other = mine[row["video_id"], row["clip_id"]]
        assert set(other) == set(row)
        assert set(other["label"]) == set(row["label"])
        assert other["dim"][0] == row["dim"][0]
        assert abs(other["dim"][1] - row["dim"][1]) <= 2
        assert other["path"] == f"{row['video_id']}/{other['id']}.mp4"


def test_clips_are_the_annotated_pixels(footage, built):
    out, report = built
    assert report.quarantined == ()
    assert report.clips.keys() == {"train", "test"}  # v1 has no validation set: validate/ is the test split
    index = read_tinyvirat(out, "train")
    assert [c.clip_id for c in index.clips] == [f"{i:05d}" for i in range(len(index))]
    assert {c.video_id for c in index.clips} == {"VIRAT_S_1", "VIRAT_S_2"}
    assert {name for c in index.clips for name in c.labels} == {"activity_carrying", "activity_running"}
    still = next(c for c in index.clips if c.labels == ("activity_carrying",))
    assert (still.height, still.width) == (40, 40)  # 24 x 40 pixels of a person
    source = read_frames(footage / "videos" / "ground" / "VIRAT_S_1.mp4", np.arange(still.frames))
    clip = read_frames(index.file(still))
    assert clip.shape == (still.frames, 40, 40, 3)
    difference = np.abs(clip.astype(int) - source[:, 60:100, 2:42])  # centred: x from 10 + 12 - 20
    assert difference.mean() < 3
    assert report.labels.keys() == {"activity_carrying", "activity_running"}
    assert sum(report.clips.values()) == sum(len(read_tinyvirat(out, s)) for s in ("train", "test"))


def test_what_is_built_is_found_well(built):
    report = check(built[0], workers=0)
    assert report.problems == ()
    assert report.clips == built[1].clips


def test_building_again_reads_no_video_and_changes_nothing(footage, built):
    out, first = built
    before = tree(out)
    again = run(footage, out)
    assert (first.reused, again.reused, again.clips) == (0, 3, first.clips)
    assert tree(out) == before


def test_processes_build_the_same_bytes(footage, built, tmp_path):
    run(footage, tmp_path, workers=2)
    assert tree(tmp_path) == tree(built[0])


def test_what_a_build_would_not_make_stands_until_it_is_set_aside_by_name(footage, tmp_path):
    splits = {"VIRAT_S_1": "test", "VIRAT_S_2": "train", "VIRAT_S_3": "train"}
    run(footage, tmp_path / "a", ViratRule(min_frames=40, max_frames=50, min_clips=0))
    before = tree(tmp_path / "a")
    for rule in (RULE, ViratRule(min_frames=40, max_frames=51, min_clips=0)):
        with pytest.raises(UsageError, match=r"a: holds \d+ clips that this build would not make .*--replace"):
            run(footage, tmp_path / "a", rule, splits=splits)
        assert tree(tmp_path / "a") == before
    report = run(footage, tmp_path / "a", splits=splits, replace=True)
    run(footage, tmp_path / "b", splits=splits)
    assert tree(tmp_path / "a") == tree(tmp_path / "b")
    (aside,) = tmp_path.glob("a.before-*")
    assert any(str(aside) in note for note in report.notes)
    assert tree(aside) == {path: digest for path, digest in before.items() if ".lock" not in str(path)}


def test_clips_stay_where_their_video_does_not(footage, tmp_path):
    shutil.copytree(footage / "videos", tmp_path / "videos")
    out = tmp_path / "out"
    build(footage / "annotations", tmp_path / "videos", out, RULE, workers=0)
    before = tree(out)
    (tmp_path / "videos/ground/VIRAT_S_2.mp4").unlink()
    report = build(footage / "annotations", tmp_path / "videos", out, RULE, workers=0)
    ((name, reason),) = report.quarantined
    assert name == "VIRAT_S_2"
    assert re.search(r"no video of this name .*; \d+ clips cut before are kept", reason)
    after = tree(out)
    assert [path for path in before if before[path] != after[path] and "quarantine" not in str(path)] == []
    shutil.rmtree(tmp_path / "videos/ground")
    assert build(footage / "annotations", tmp_path / "videos", out, RULE, workers=0).clips == report.clips
    with pytest.raises(UsageError, match="would not make"):  # other clips of a video that is not there
        build(footage / "annotations", tmp_path / "videos", out, ViratRule(max_frames=50, min_clips=0), workers=0)


def test_a_dry_run_and_other_peoples_clips_leave_each_other_alone(footage, tmp_path):
    out = tmp_path / "out"
    run(footage, out)
    before = tree(out)
    with pytest.raises(UsageError, match="out: holds clips; a dry run"):
        build(footage / "annotations", None, out, RULE, dry_run=True)
    assert tree(out) == before
    shutil.rmtree(out / ".build")
    with pytest.raises(UsageError, match="holds clips that no build has made"):
        run(footage, out)


def test_two_builders_of_one_folder(footage, tmp_path):
    with locked(tmp_path / "build"), pytest.raises(UsageError, match="in use by another process"):
        run(footage, tmp_path)


def test_videos_of_one_name_are_one_only_if_they_are_equal(footage, tmp_path):
    for day in ("day1", "day2"):
        shutil.copytree(footage / "videos/ground", tmp_path / "videos" / day)
    assert find_videos(tmp_path / "videos")[1] == {}
    write_scene(tmp_path / "videos/day2/VIRAT_S_1.mp4", 60, seed=9)
    files, unclear = find_videos(tmp_path / "videos")
    assert files.keys() == {"VIRAT_S_2", "VIRAT_S_3"}
    assert re.fullmatch("2 different videos have this name: .*day1.*, .*day2.*", unclear["VIRAT_S_1"])
    report = build(footage / "annotations", tmp_path / "videos", tmp_path / "out", RULE, workers=0)
    assert report.quarantined == (("VIRAT_S_1", unclear["VIRAT_S_1"]),)


@pytest.mark.skipif(os.name == "nt", reason="no such permissions there")
def test_what_is_private_stays_private(tmp_path):
    before = os.umask(0o077)
    try:
        write_json(tmp_path / "a.json", 1)
    finally:
        os.umask(before)
    assert (tmp_path / "a.json").stat().st_mode & 0o777 == 0o600
    write_json(tmp_path / "a.json", 2)
    assert (tmp_path / "a.json").stat().st_mode & 0o777 == 0o600


KILLED = """
import sys
from pathlib import Path
from tinylib.building import cutting
from tinylib.building.builder import build
from tinylib.building.rules import ViratRule
root, out = Path(sys.argv[1]), Path(sys.argv[2])
write, left = cutting.write_video, int(sys.argv[3])
def slow(path, frames, fps):
    global left
    left -= 1
    if left < 0:  # in the middle of a clip: half of it is on disk
        def half(whole):
            yield from whole[:20]
            print("now", flush=True)
            import time; time.sleep(60)
        frames = half(frames)
    write(path, frames, fps)
cutting.write_video = slow
build(root / "annotations", root / "videos", out, ViratRule(max_frames=60, min_clips=0), workers=0)
"""


@pytest.mark.parametrize("clips_before", [1, 7])
def test_killed_and_run_again_gives_the_same_bytes(footage, built, tmp_path, clips_before):
    command = [sys.executable, "-c", KILLED, str(footage), str(tmp_path), str(clips_before)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert any(line == "now\n" for line in process.stdout)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    process.stdout.close()
    assert any(".part" in name for name in tree(tmp_path))  # half a clip was left behind
    (tmp_path / ".tiny_train.x.part.json").write_text("[")  # and half an index
    run(footage, tmp_path)
    assert tree(tmp_path) == tree(built[0])


def test_a_damaged_clip_is_cut_again(footage, built, tmp_path):
    run(footage, tmp_path)
    victim = next(tmp_path.rglob("00001.mp4"))
    victim.write_bytes(b"oops")
    assert run(footage, tmp_path).reused == 2
    assert tree(tmp_path) == tree(built[0])


def test_bad_files_are_quarantined_and_the_rest_is_built(footage, tmp_path):
    annotations, videos = tmp_path / "annotations", tmp_path / "videos"
    for name in ("good", "cut", "absent", "malformed", "short"):
        write_virat(annotations, f"VIRAT_{name}", [(9, 0, 99, 10, 60, 0)])
    text = (annotations / "VIRAT_malformed.viratdata.objects.txt").read_text()
    (annotations / "VIRAT_malformed.viratdata.objects.txt").write_text(text[:-9])
    write_scene(videos / "VIRAT_good.mp4", 100)
    whole = (videos / "VIRAT_good.mp4").read_bytes()
    (videos / "VIRAT_cut.mp4").write_bytes(whole[: len(whole) * 3 // 4])
    (videos / "VIRAT_malformed.mp4").write_bytes(whole)
    write_scene(videos / "VIRAT_short.mp4", 70)
    out = tmp_path / "out"
    rule = ViratRule(max_frames=45, min_clips=0)
    report = build(annotations, videos, out, rule, workers=0, splits=dict.fromkeys(ids(annotations), "train"))
    reasons = {file.split("/")[-1]: reason for file, reason in report.quarantined}
    assert reasons["VIRAT_absent"].startswith("no video of this name")
    assert any(re.search(r"VIRAT_cut\.mp4, which has \d+", reason) for reason in reasons.values()), reasons
    assert any("objects.txt:100: expected 8 numbers" in note for note in report.notes), report.notes
    assert any("which has 70" in reason for reason in reasons.values())
    assert [row["reason"] for row in json.loads((out / "quarantine.json").read_text())] == [
        r for _, r in report.quarantined
    ]
    index = read_tinyvirat(out, "train")
    assert {c.video_id for c in index.clips} == {"VIRAT_good", "VIRAT_malformed", "VIRAT_short", "VIRAT_cut"}
    assert check(out, workers=0).ok
    again = build(annotations, videos, out, rule, workers=0, splits=dict.fromkeys(ids(annotations), "train"))
    assert again.quarantined == report.quarantined


def ids(annotations):
    return [path.name.split(".")[0] for path in annotations.glob("*.events.txt")]


def test_v2_is_the_union_of_both_rules(footage, tmp_path):
    write_kpf(tmp_path / "meva" / "train", MEVA_VIDEO, [("person_talks_to_person", 3, 100, [1, 2])])
    write_kpf(tmp_path / "meva" / "test", MEVA_VIDEO.replace("G638", "G300"), [("vehicle_stops", 0, 70, [1])])
    write_scene(tmp_path / "meva-videos" / "a" / f"{MEVA_VIDEO}.r13.avi.mp4", 4)  # another name: not taken
    write_scene(tmp_path / "meva-videos" / "a" / f"{MEVA_VIDEO}.r13.mp4", 120)
    write_scene(tmp_path / "meva-videos" / f"{MEVA_VIDEO.replace('G638', 'G300')}.mp4", 120)
    parts = [
        Part(footage / "annotations", footage / "videos", RULE),
        Part(tmp_path / "meva", tmp_path / "meva-videos", MevaRule()),
    ]
    report = union(parts, tmp_path / "out", workers=0)
    assert report.quarantined == ()
    train = open_split("tinyvirat-v2", tmp_path / "out", "train")
    virat = [c for c in train.clips if c.domain == "virat"]
    meva = [c for c in train.clips if c.domain == "meva"]
    assert train.clips == (*virat, *meva)
    assert [c.clip_id for c in train.clips] == [f"{i:05d}" for i in range(len(train))]
    assert [(c.window, c.frames, c.height, c.labels) for c in meva] == [
        ("100_People_Talking_3_66", 64, 112, ("Talking",)),
        ("100_People_Talking_67_100", 34, 112, ("Talking",)),
    ]
    assert {c.video_id for c in open_split("tinyvirat-v2", tmp_path / "out", "val").clips} == {"VIRAT_S_3"}
    public = read_tinyvirat(tmp_path / "out", "test", version=2)
    private = read_tinyvirat(tmp_path / "out", "test", version=2, private=True)
    assert [c.labels for c in public.clips] == [None, None]
    assert [c.labels for c in private.clips] == [("vehicle_stopping",)] * 2
    assert check(tmp_path / "out", workers=0).problems == ()


def test_rare_classes_are_removed_from_all_splits(tmp_path):
    events = [(9, 0, 59, 10, 60, 0), (9, 0, 59, 200, 60, 0), (10, 0, 59, 400, 60, 0)]
    for split in ("train", "test"):
        write_virat(tmp_path / "annotations" / split, f"VIRAT_{split}", events)

    def dry(min_clips):
        rule = ViratRule(min_clips=min_clips)
        return build(tmp_path / "annotations", None, tmp_path / str(min_clips), rule, dry_run=True)

    clips = dry(1)
    assert clips.clips == {"train": 3, "test": 3}
    assert clips.labels == {"activity_carrying": 4, "activity_running": 2}
    report = dry(2)  # two training clips of carrying, one of running
    assert report.clips == {"train": 2, "test": 2}
    assert report.labels == {"activity_carrying": 4}
    assert report.notes == ("classes with fewer than 2 training clips are removed: activity_running (1)",)
    sample = dry(10)
    assert sample.clips == clips.clips  # a sample, not a dataset
    assert "none is removed" in sample.notes[0]


def test_crops_are_shifted_inside_and_padded_by_their_edge():
    frame = np.arange(6 * 10 * 3, dtype=np.uint8).reshape(6, 10, 3)
    assert np.array_equal(crop(frame, (2, 1, 6, 5)), frame[1:5, 2:6])
    assert np.array_equal(crop(frame, (-3, 4, 1, 8)), frame[2:6, 0:4])
    assert np.array_equal(crop(frame, (8, -2, 12, 2)), frame[0:4, 6:10])
    tall = crop(frame, (1, -2, 9, 6))
    assert tall.shape == (8, 8, 3)
    assert np.array_equal(tall[1:7], frame[:, 1:9])
    assert np.array_equal(tall[0], frame[0, 1:9])
    assert np.array_equal(tall[7], frame[5, 1:9])


def test_wrong_calls(footage, tmp_path):
    with pytest.raises(DataError, match="no such folder of annotations"):
        build(tmp_path / "nowhere", None, tmp_path, RULE, dry_run=True)
    with pytest.raises(DataError, match=r"activities\.yml"):
        build(footage / "videos", None, tmp_path, RULE, dry_run=True)
    with pytest.raises(UsageError, match="videos"):
        build(footage / "annotations", None, tmp_path, RULE)
    with pytest.raises(UsageError, match="splits"):
        run(footage, tmp_path, splits={"VIRAT_S_1": "dev"})
    with pytest.raises(UsageError, match="workers"):
        run(footage, tmp_path, workers=-1)


def test_real_virat_videos_become_clips_of_people_who_carry(shared_data, tmp_path):
    began = time.monotonic()
    data = shared_data / "virat"
    report = build(data / "annotations", data / "videos", tmp_path, ViratRule(), workers=0)
    assert report.quarantined == ()
    assert report.clips == {"train": 6, "test": 1}
    assert report.labels == {"activity_carrying": 7}
    assert check(tmp_path, workers=0).problems == ()
    assert time.monotonic() - began < 60
