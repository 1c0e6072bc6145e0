import json
import shutil

import pytest

from tests.datasets.small import write_scene, write_virat
from tinylib.building.builder import build
from tinylib.building.rules import ViratRule
from tinylib.datasets.integrity import check
from tinylib.errors import DataError


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    root = tmp_path_factory.mktemp("good")
    for k in range(2):
        write_virat(root / "annotations", f"VIRAT_{k}", [(9, 0, 99, 10, 60, 0)])
        write_scene(root / "videos" / f"VIRAT_{k}.mp4", 100, seed=k)
    build(root / "annotations", root / "videos", root / "out", ViratRule(max_frames=45), workers=0)
    return root / "out"


@pytest.fixture
def copy(good, tmp_path):
    return shutil.copytree(good, tmp_path / "copy")


def clips(root):
    return sorted((root / "videos").rglob("*.mp4"))


def rows(root, name, change):
    file = root / name
    value = json.loads(file.read_text())
    change(value)
    file.write_text(json.dumps(value))


def only_problem(root):
    report = check(root, workers=0)
    assert not report.ok
    assert len(report.problems) == 1, report.problems
    assert "\n" not in report.problems[0]
    return report.problems[0]


def test_a_good_dataset_is_good_in_processes_too(good):
    report = check(good, workers=2)
    assert (report.ok, report.kind, report.notes) == (True, "tinyvirat", ())
    assert report.clips == {"train": 2, "test": 2}
    assert "all well" in str(report)


def test_a_missing_clip(copy):
    victim = clips(copy)[0]
    victim.unlink()
    assert only_problem(copy) == f"{victim}: no such file"
    assert str(check(copy, workers=0)).splitlines()[0] == f"{victim}: no such file"


def test_a_cut_off_clip(copy):
    victim = clips(copy)[1]
    victim.write_bytes(victim.read_bytes()[:-200])
    assert str(victim) in only_problem(copy)


def test_a_clip_of_another_length_and_content(copy):
    write_scene(clips(copy)[0], 44, size=(40, 40))
    problems = check(copy, workers=0).problems
    assert len(problems) == 2
    assert "is 44 x 40 x 40" in problems[0]
    assert problems[1].endswith("changed since it was built")


def test_a_changed_clip_of_the_same_size(copy):
    victim = next(path for path in clips(copy))
    declared = next(r for r in json.loads((copy / "tiny_test.json").read_text()) if r["path"].endswith(victim.name))
    write_scene(victim, declared["dim"][0], size=(40, 40), seed=3)
    assert only_problem(copy) == f"{victim}: changed since it was built"


def test_repeated_rows_and_bad_rows(copy):
    rows(copy, "tiny_train.json", lambda r: r.append(dict(r[0], id="99999")))
    assert "repeats the video of row 0" in only_problem(copy)
    rows(copy, "tiny_train.json", lambda r: r.__setitem__(2, dict(r[0], path="../x.mp4", id="x")))
    assert "inside its dataset folder" in only_problem(copy)


def test_a_source_video_in_two_splits(copy):
    rows(copy, "tiny_test.json", lambda r: [row.update(video_id="VIRAT_0") for row in r])
    assert only_problem(copy) == "tiny_train.json and tiny_test.json share 1 source videos: VIRAT_0"


def test_the_same_clip_in_two_splits(copy):
    (copy / "checksums.json").unlink()
    train, test = (json.loads((copy / f"tiny_{split}.json").read_text())[0] for split in ("train", "test"))
    shutil.copy(copy / "videos" / "train" / train["path"], copy / "videos" / "test" / test["path"])
    rows(copy, "tiny_test.json", lambda r: r[0].update(dim=train["dim"]))
    assert "same content as" in only_problem(copy)


def test_an_index_without_videos(copy):
    shutil.rmtree(copy / "videos")
    (copy / "checksums.json").unlink()
    assert [p.split(": ")[1] for p in check(copy, workers=0).problems] == ["none of its 2 videos is here"] * 2


def test_real_index_has_its_four_repeats(shared_data):
    report = check(shared_data / "tinyvirat_v2", workers=0)
    assert report.kind == "tinyvirat-v2"
    assert len([p for p in report.problems if "repeats the video" in p]) == 4
    assert len(report.problems) == 5  # and there are no videos


def test_class_folders(tmp_path):
    write_scene(tmp_path / "Archery" / "v_Archery_g01_c01.mp4", 5, size=(32, 32))
    write_scene(tmp_path / "Surfing" / "v_Surfing_g01_c01.mp4", 6, size=(32, 32))
    report = check(tmp_path, workers=0)
    assert (report.ok, report.kind, report.clips) == (True, "ucf101", {"": 2})
    shutil.copy(tmp_path / "Archery" / "v_Archery_g01_c01.mp4", tmp_path / "Surfing" / "v_Surfing_g01_c02.mp4")
    assert "same content as Surfing/v_Surfing_g01_c02.mp4" in only_problem(tmp_path)
    (tmp_path / "Surfing" / "v_Surfing_g01_c02.mp4").write_bytes(b"")
    assert "the file is empty" in only_problem(tmp_path)


def test_groups_that_straddle_sub_folders(tmp_path):
    for k, split in enumerate(("train", "test")):
        for n, name in enumerate(("Archery", "Surfing")):
            write_scene(tmp_path / split / name / f"v_{name}_g01_c0{k}.mp4", 5, size=(32, 32), seed=2 * n + k)
    assert "2 groups are in more than one split: v_Archery_g01, v_Surfing_g01" in only_problem(tmp_path)


def test_weizmann_is_well(shared_data):
    report = check(shared_data / "weizmann", workers=0)
    assert (report.ok, report.kind, report.clips) == (True, "folder", {"": 90})


def test_nothing_to_check(tmp_path):
    with pytest.raises(DataError, match="expected TinyVIRAT"):
        check(tmp_path)
    with pytest.raises(DataError, match="no such folder"):
        check(tmp_path / "nowhere")
