import json

import numpy as np
import pytest
import yaml

from tinylib.annotations.labels import CLASSES
from tinylib.datasets.folders import read_folder
from tinylib.datasets.index import Clip, Index, read_tinyvirat, write_tinyvirat
from tinylib.datasets.readers import read_hmdb51, read_ucf101
from tinylib.datasets.sources import open_split
from tinylib.errors import AnnotationError, DataError, UsageError

CONSTANT_GUESS = [0.5912, 0.569, 0.0614]  # F1: samples, micro, macro


def row(i, *, video="VIRAT_S_000001", **changes):
    name = f"{i:05d}"
    return {
        "id": name,
        "video_id": video,
        "path": f"{video}/{name}.mp4",
        "dim": [50, 20, 20],
        "label": ["Pull"],
    } | changes


def touch(root, *paths):
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(b"")


def test_real_validation_index(shared_data):
    index = read_tinyvirat(shared_data / "tinyvirat_v2", "val", version=2)
    assert len(index) == 3308
    assert len(index.notes) == 4
    assert all(
        "03319.mp4" in note and name in note
        for note, name in zip(index.notes, ("03320", "03321", "03322", "03323"), strict=True)
    )
    statistics = yaml.safe_load((shared_data.parent / "spec" / "real_statistics.yaml").read_text())["tinyvirat_v2"]
    counts = dict(zip(index.classes, index.targets().sum(axis=0), strict=True))
    assert counts == {name: numbers[1] for name, numbers in statistics["classes"].items()}
    meva = [clip for clip in index.clips if clip.domain == "meva"]
    assert len(meva) == statistics["splits"]["val_meva"] == sum(clip.window is not None for clip in index.clips)
    assert sum(clip.domain == "virat" for clip in index.clips) == statistics["splits"]["val_virat"]
    assert len({clip.video_id for clip in meva}) == 20


def test_constant_guesses_on_the_real_validation_split(shared_data):
    """Always 'walking' for VIRAT and 'Talking' for MEVA: what a classifier has to beat."""
    index = read_tinyvirat(shared_data / "tinyvirat_v2", "val", version=2)
    truth = index.targets() > 0
    guess = np.zeros_like(truth)
    for i, clip in enumerate(index.clips):
        guess[i, CLASSES.index("activity_walking" if clip.domain == "virat" else "Talking")] = True
    hit = truth & guess
    per_clip = 2 * hit.sum(1) / (truth.sum(1) + guess.sum(1))
    per_class = 2 * hit.sum(0) / np.maximum(truth.sum(0) + guess.sum(0), 1)
    micro = 2 * hit.sum() / (truth.sum() + guess.sum())
    assert np.round([per_clip.mean(), micro, per_class.mean()], 4).tolist() == CONSTANT_GUESS


def test_v1_round_trip_and_places(tmp_path):
    rows = [row(0), row(1, video="2018-03-11.11-20-01.11-25-01.school.G638", clip_id="7_People_Talking_0_49")]
    (tmp_path / "tiny_train.json").write_text(json.dumps(rows))
    index = read_tinyvirat(tmp_path, "train")
    assert [c.path for c in index.clips] == [r["path"] for r in rows]
    assert [c.domain for c in index.clips] == ["virat", "meva"]
    assert index.clips[1].window == "7_People_Talking_0_49"
    assert (index.clips[0].frames, index.clips[0].height) == (50, 20)
    (tmp_path / "train").mkdir()
    assert read_tinyvirat(tmp_path, "train").clips[0].path == f"train/{rows[0]['path']}"
    (tmp_path / "videos" / "train").mkdir(parents=True)
    index = open_split("synthvirat", tmp_path, "train")
    assert index.clips[0].path == f"videos/train/{rows[0]['path']}"
    assert index.name == "synthvirat"
    write_tinyvirat(index, tmp_path / "copy", version=1)
    assert json.loads((tmp_path / "copy" / "tiny_train.json").read_text()) == rows
    assert read_tinyvirat(tmp_path / "copy" / "tiny_train.json", "train").clips[0].labels == ("Pull",)


def test_v2_test_labels_are_private(tmp_path):
    (tmp_path / "tiny_test_v2_public.json").write_text(json.dumps([{k: v for k, v in row(0).items() if k != "label"}]))
    public = open_split("tinyvirat-v2", tmp_path, "test")
    assert public.clips[0].labels is None
    assert public.targets().sum() == 0
    write_tinyvirat(public, tmp_path, version=2)
    assert not (tmp_path / "tiny_test_v2_private.json").exists()
    known = Index(
        "t",
        "test",
        tmp_path,
        CLASSES,
        True,
        (*[type(c)(c.clip_id, c.path, c.video_id, ("Push",), 50, 20, 20) for c in public.clips],),
    )
    write_tinyvirat(known, tmp_path, version=2)
    assert "label" not in json.loads((tmp_path / "tiny_test_v2_public.json").read_text())[0]
    assert open_split("synthvirat-v2", tmp_path, "test").clips[0].labels == ("Push",)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"path": "../../etc/passwd"}, "inside its dataset folder"),
        ({"path": "/etc/passwd"}, "inside its dataset folder"),
        ({"path": 7}, "'path'"),
        ({"label": ["Flying"]}, "'label'"),
        ({"label": "Pull"}, "'label'"),
        ({"label": []}, "'label'"),
        ({"dim": [50, 20]}, "'dim'"),
        ({"dim": [50, 20, -20]}, "'dim'"),
        ({"dim": ["50", 20, 20]}, "'dim'"),
        ({"id": None}, "'id'"),
        ({"id": "00000"}, "already that of row 0"),
    ],
)
def test_bad_rows_are_named(tmp_path, change, word):
    (tmp_path / "tiny_train.json").write_text(json.dumps([row(0), row(1, **change)]))
    with pytest.raises(AnnotationError) as caught:
        read_tinyvirat(tmp_path, "train")
    assert "row 1" in str(caught.value)
    assert word in str(caught.value)
    assert "\n" not in str(caught.value)


def test_bad_files_are_named(tmp_path):
    with pytest.raises(AnnotationError, match=r"tiny_train\.json: cannot be read"):
        read_tinyvirat(tmp_path, "train")
    (tmp_path / "tiny_train.json").write_text('[\n {"id": 1},\n oops ]')
    with pytest.raises(AnnotationError, match=r"tiny_train\.json:3: malformed JSON"):
        read_tinyvirat(tmp_path, "train")
    (tmp_path / "tiny_train.json").write_text("{}")
    with pytest.raises(AnnotationError, match="list of clips"):
        read_tinyvirat(tmp_path, "train")
    (tmp_path / "class_map.json").write_text('{"Pull": 0}')
    with pytest.raises(AnnotationError, match="26 classes"):
        read_tinyvirat(tmp_path, "train")
    with pytest.raises(UsageError, match="split 'dev'"):
        read_tinyvirat(tmp_path, "dev")
    with pytest.raises(UsageError, match="version 3"):
        read_tinyvirat(tmp_path, "train", version=3)
    with pytest.raises(UsageError, match="tinyvirat-v2"):
        open_split("tinyvirat_v2", tmp_path, "train")


def test_six_classes_of_ucf101(shared_data):
    lists = shared_data / "ucf101_ucfTrainTestlist"
    train = read_ucf101(shared_data / "ucf101_6class", lists, fold=1, split="train")
    test = read_ucf101(shared_data / "ucf101_6class", lists, fold=1, split="test")
    assert (
        train.classes
        == test.classes
        == ("Archery", "BasketballDunk", "HorseRace", "PlayingPiano", "PlayingViolin", "Surfing")
    )
    assert (len(train), len(test)) == (529, 202)  # 731 clips, as many as the six classes have
    assert train.notes[0].startswith("6 of 101 classes are here")
    assert len(train.notes) == 1
    assert train.clips[0].path.endswith(".mp4")
    assert {c.video_id for c in test.clips if c.labels == ("Archery",)} == {f"v_Archery_g0{k}" for k in range(1, 8)}
    assert not {c.video_id for c in train.clips} & {c.video_id for c in test.clips}
    assert train.targets().tolist() == [train.classes.index(c.labels[0]) for c in train.clips]
    assert len(open_split("ucf101", shared_data / "ucf101_6class", "test", fold=2)) != 202
    with pytest.raises(DataError, match="not complete"):
        read_ucf101(shared_data / "ucf101_6class", lists, strict=True)


def test_ucf101_names_what_is_missing(tmp_path):
    (tmp_path / "ucfTrainTestlist").mkdir()
    (tmp_path / "ucfTrainTestlist" / "classInd.txt").write_text("1 Archery\n2 Surfing\n")
    (tmp_path / "ucfTrainTestlist" / "trainlist01.txt").write_text(
        "Archery/v_Archery_g08_c01.avi 1\nArchery/v_Archery_g08_c02.avi 1\nSurfing/v_Surfing_g09_c01.avi 2\n"
    )
    (tmp_path / "ucfTrainTestlist" / "testlist01.txt").write_text("Archery/v_Archery_g01_c01.avi\n")
    touch(tmp_path, "Archery/v_Archery_g08_c01.mp4", "Archery/v_Archery_g01_c01.avi")
    index = read_ucf101(tmp_path)
    assert [c.clip_id for c in index.clips] == ["v_Archery_g08_c01"]
    assert index.notes == (
        "1 of 2 classes are here: Archery",
        "1 train clips of these classes are missing: v_Archery_g08_c02",
    )
    with pytest.raises(UsageError, match="'train' and 'test'"):
        read_ucf101(tmp_path, split="val")
    with pytest.raises(UsageError, match="fold 4"):
        read_ucf101(tmp_path, fold=4)
    (tmp_path / "ucfTrainTestlist" / "testlist01.txt").write_text("Archery\n")
    with pytest.raises(AnnotationError, match=r"testlist01\.txt:1"):
        read_ucf101(tmp_path)


def test_hmdb51_with_its_odd_names(shared_data):
    train = open_split("hmdb51", shared_data / "hmdb51", "train")
    test = read_hmdb51(shared_data / "hmdb51", fold=1, split="test")
    assert train.classes == test.classes == ("climb", "golf", "pour", "punch", "shoot_bow", "swing_baseball")
    assert {(c.video_id, c.labels[0]) for c in train.clips} == {
        ("(HQ)_Rock_Climbing_-_Free_Solo_Speed_Climb_-_Dan_Osman", "climb"),
        ("Golf_Tips_-_Hit_The_Driver_300+_Yards!!!", "golf"),
        ("6arrowswithin30seconds", "shoot_bow"),
        ("BaseballHitinSlowMotion", "swing_baseball"),
    }
    assert {c.labels[0] for c in test.clips} == {"pour", "punch"}
    assert all(train.file(c).exists() for c in train.clips)


def test_leave_one_subject_out(shared_data):
    root = shared_data / "weizmann"
    subjects = set()
    for fold in range(1, 10):
        train, test = (read_folder(root, split, held_out=fold) for split in ("train", "test"))
        assert (len(train), len(test)) == (80, 10)
        (subject,) = {c.video_id for c in test.clips}
        assert subject not in {c.video_id for c in train.clips}
        assert len(train.classes) == 10
        subjects.add(subject)
    assert len(subjects) == 9
    assert [c.clip_id for c in read_folder(root, "test", held_out="ira").clips] == [
        f"{name}/ira_{name}" for name in read_folder(root, "test").classes
    ]
    with pytest.raises(UsageError, match="groups 1 to 9"):
        open_split("folder", root, "test", fold=10)
    with pytest.raises(UsageError, match="'nobody'"):
        read_folder(root, "test", held_out="nobody")


def test_class_folders_divide_by_group_or_by_folder(tmp_path):
    touch(
        tmp_path,
        *(f"{c}/p{k}_{c}.mp4" for c in ("run", "walk") for k in range(7)),
        "walk/notes.txt",
        "walk/.p9_walk.mp4",
    )
    parts = {split: {c.video_id for c in read_folder(tmp_path, split).clips} for split in ("train", "val", "test")}
    assert parts == {"train": {"p0", "p1", "p2", "p5", "p6"}, "val": {"p3"}, "test": {"p4"}}
    by_pattern = read_folder(tmp_path, "test", group=r"p(\d)", held_out="6")
    assert [c.path for c in by_pattern.clips] == ["run/p6_run.mp4", "walk/p6_walk.mp4"]
    assert len(read_folder(tmp_path, "test", group=lambda path: path.split("/")[0], held_out="walk")) == 7
    with pytest.raises(DataError, match="no group by the pattern"):
        read_folder(tmp_path, "train", group="q")
    touch(tmp_path, "walk/p0_walk.avi")
    with pytest.raises(DataError, match="same clip twice"):
        read_folder(tmp_path, "train")

    other = tmp_path / "divided"
    touch(other, "train/a/x.mp4", "test/a/y.mp4", "test/b/z.mp4")
    assert [c.clip_id for c in read_folder(other, "test").clips] == ["test/a/y", "test/b/z"]
    assert open_split("folder", other, "train", fold=1).classes == ("a", "b")
    with pytest.raises(UsageError, match="already divided"):
        read_folder(other, "train", held_out=1)
    with pytest.raises(DataError, match="class folders"):
        read_folder(other / "train" / "a", "train")


def test_clips_without_labels_have_no_target(tmp_path):
    clips = tuple(Clip(str(n), f"{n}.mp4", "v", labels) for n, labels in enumerate([("b",), None]))
    many = Index("own", "own", tmp_path, ("a", "b"), True, clips)
    assert many.targets().tolist() == [[0, 1], [0, 0]]
    one = Index("own", "own", tmp_path, ("a", "b"), False, clips)
    assert one.targets().tolist() == [1, -1]
