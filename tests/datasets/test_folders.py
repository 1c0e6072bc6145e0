"""Class folders as people have them: links, names that tell no groups, a class called train, videos at odd depths."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tinylib.datasets.folders import is_divided, read_folder, read_weizmann
from tinylib.datasets.index import SPLITS, read_tinyvirat
from tinylib.datasets.readers import is_video, read_hmdb51, read_ucf101, video_files
from tinylib.datasets.sources import SOURCES, Source, is_synthetic, open_split, source_of
from tinylib.errors import DataError, TinylibError, UsageError


def touch(root: Path, *paths: str) -> Path:
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(b"")
    return root


def labels(root: Path, split: str) -> list[str]:
    return sorted({clip.labels[0] for clip in read_folder(root, split).clips if clip.labels})


@pytest.mark.parametrize(
    "patterns",
    [
        ("Violence/V_{}.mp4", "NonViolence/NV_{}.mp4"),
        ("fall/fall_{:03d}.mp4", "walk/walk_{:03d}.mp4"),
        ("fall/clip_{:03d}.mp4", "walk/clip_{:03d}.mp4"),
        ("fall/{:03d}.mp4", "walk/w{:03d}.mp4"),
    ],
)
def test_names_of_classes_divide_no_classes(tmp_path, patterns):
    for pattern in patterns:
        touch(tmp_path, *(pattern.format(n) for n in range(10)))
    classes = sorted(pattern.split("/")[0] for pattern in patterns)
    parts = {split: read_folder(tmp_path, split) for split in SPLITS}
    assert [labels(tmp_path, split) for split in SPLITS] == [classes] * 3
    assert [len(parts[split]) for split in SPLITS] == [12, 4, 4]
    assert len({clip.path for index in parts.values() for clip in index.clips}) == 20


def test_a_class_whose_clips_are_all_of_tested_groups_is_refused(tmp_path):
    touch(tmp_path, *(f"fall/fall_{n}.mp4" for n in range(5)), *(f"{c}/clip_{n}.mp4" for c in "ab" for n in range(5)))
    with pytest.raises(DataError, match="no clip of fall would be trained on"):
        read_folder(tmp_path, "train")
    with pytest.raises(DataError, match="no clip of fall would be trained on"):
        read_folder(tmp_path, "test", held_out="fall")
    assert len(read_folder(tmp_path, "test", group=r"(\d)", held_out="3")) == 3


def test_a_class_may_be_called_train(tmp_path):
    touch(tmp_path, *(f"{c}/p{n}_1.mp4" for c in ("bus", "train") for n in range(5)))
    assert [labels(tmp_path, split) for split in SPLITS] == [["bus", "train"]] * 3
    touch(tmp_path, "train/cam1/p0_2.mp4")
    assert read_folder(tmp_path, "train").classes == ("bus", "train")
    other = touch(tmp_path / "divided", "Training/train/a.mp4", "testing/train/b.mp4", "validation/bus/c.mp4")
    assert [labels(other, split) for split in SPLITS] == [["train"], ["bus"], ["train"]]


def test_deeper_videos_are_their_class_and_loose_ones_are_named(tmp_path):
    names = ("fall/p1_1", "fall/p2_1", "fall/cam1/p3_1", "walk/p1_2", "walk/cam1/p2_2", "loose")
    touch(tmp_path, *(f"train/{name}.mp4" for name in names), "test/fall/x.mp4", "extra/fall/y.mp4")
    index = read_folder(tmp_path, "train")
    assert (len(index), index.classes) == (5, ("fall", "walk"))
    assert index.notes == (
        "1 videos lie in no class folder and are left out: train/loose.mp4",
        "1 videos lie in no split's folder and are left out: extra/fall/y.mp4",
    )


def test_a_folder_around_the_classes_is_not_taken_for_a_class(tmp_path):
    touch(tmp_path, *(f"videos/{c}/p{n}_1.mp4" for c in "ab" for n in range(3)))
    with pytest.raises(DataError, match="is that the folder"):
        read_folder(tmp_path, "train")


def test_links_are_followed_and_circles_end(tmp_path):
    touch(tmp_path / "disk", "walk/p1_1.mp4", "walk/p2_1.mp4")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "walk").symlink_to(tmp_path / "disk" / "walk")
    (tmp_path / "disk" / "walk" / "again").symlink_to(tmp_path / "disk")
    assert video_files(tmp_path / "data") == ["walk/p1_1.mp4", "walk/p2_1.mp4"] + [
        path for path in video_files(tmp_path / "data") if "again" in path
    ]
    assert len(video_files(tmp_path / "data")) <= 4


@pytest.mark.parametrize(
    ("head", "name", "answer"),
    [
        (b"FLV\x01" + bytes(20), "a.bin", True),
        (bytes((0x47, *bytes(187))) * 3, "a.ts", True),
        (b"const x: number = 1;\n" * 40, "a.ts", False),
        (b"\0\0\0\x18ftyp3gp4", "a", True),
        (b"\0\0\0\x18ftypheic", "a", False),
        (b"\0\0\1\xba" + bytes(20), "a.mpeg", True),
        (b"RIFF\0\0\0\0WAVE", "a.x", False),
        (b"", "a.MP4", True),
    ],
)
def test_other_suffixes_go_by_content(tmp_path, head, name, answer):
    (tmp_path / name).write_bytes(head)
    assert is_video(tmp_path / name) == answer
    assert bool(video_files(tmp_path)) == answer


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("row", ["Archery\\{}.avi 1\r\n", "Archery/{}.avi\t1\r", "UCF-101/Archery/{}.mp4 1  \n"])
def test_lists_from_any_system_are_read(tmp_path, encoding, row):
    lists = tmp_path / "ucfTrainTestlist"
    lists.mkdir()
    (lists / "classInd.txt").write_text("1\tArchery\r\n", encoding=encoding)
    (lists / "trainlist01.txt").write_bytes(row.format("v_Archery_g08_c01").encode(encoding))
    (lists / "testlist01.txt").write_bytes(row.format("v_Archery_g01_c01").encode(encoding))
    touch(tmp_path, "Archery/v_Archery_g08_c01.avi", "Archery/v_Archery_g01_c01.avi", "Archery/v_Archery_g99_c01.avi")
    index = read_ucf101(tmp_path)
    assert [clip.clip_id for clip in index.clips] == ["v_Archery_g08_c01"]
    assert index.notes == ("1 videos are in no list and are left out: Archery/v_Archery_g99_c01.avi",)
    (lists / "testlist01.txt").write_bytes(row.format("v_Archery_g08_c01").encode(encoding))
    with pytest.raises(DataError, match="listed in train as Archery and in test as Archery"):
        read_ucf101(tmp_path)


def test_one_subject_is_left_out_of_weizmann(tmp_path):
    names = [f"{action}/{who}_{action}.avi" for action in ("bend", "run") for who in ("daria", "ido", "lena")]
    touch(tmp_path, *names, "run/lena_run2.avi", "run/readme.avi")
    for fold, who in enumerate(("daria", "ido", "lena"), 1):
        train, test = (open_split("weizmann", tmp_path, split, fold=fold) for split in ("train", "test"))
        assert {clip.video_id for clip in test.clips} == {who}
        assert who not in {clip.video_id for clip in train.clips}
        assert len(train) + len(test) == 7
        assert train.classes == test.classes == ("bend", "run")
        assert test.notes == ("1 videos are not named <subject>_<action> and are left out: run/readme.avi",)
    with pytest.raises(UsageError, match="groups 1 to 3"):
        open_split("weizmann", tmp_path, "test", fold=4)
    touch(tmp_path, "bend/eli_run.avi")
    with pytest.raises(DataError, match="in the folder 'bend', and 'run' by its name"):
        read_weizmann(tmp_path, "test")


def test_weizmann_itself(shared_data):
    train, test = (open_split("weizmann", shared_data / "weizmann", split, fold=1) for split in ("train", "test"))
    assert (len(train) + len(test), len(train.classes)) == (90, 10)


def test_the_table_of_datasets():
    assert [name for name, source in SOURCES.items() if source.twins] == ["synthvirat", "synthvirat-v2"]
    assert [name for name, source in SOURCES.items() if source.leave_one_out] == ["folder", "weizmann"]
    assert (source_of("tinyvirat-v2").evaluation, source_of("tinyvirat").evaluation) == ("val", "test")
    assert (is_synthetic("synthvirat-v2"), is_synthetic("another")) == (True, False)
    with pytest.raises(UsageError, match="tinyvirat, "):
        source_of("kinetics")


def test_a_new_dataset_is_one_entry(monkeypatch, tmp_path):
    from tinylib.settings.parameters import Notebook

    touch(tmp_path, *(f"{c}/p{n}_1.mp4" for c in "ab" for n in range(5)))
    entry = Source("mine", lambda root, split, fold: read_folder(root, split), splits=SPLITS)
    monkeypatch.setitem(SOURCES, "mine", entry)
    notebook = Notebook.of("smoke", data="mine", data_root=str(tmp_path))
    assert {name: len(index) for name, index in notebook.splits().items()} == {"train": 6, "val": 2, "test": 2}


NAMES = st.sampled_from(["train", "test", "val", "a", "b", "cam", "p1_1.mp4", "p2_1.avi", "x.mp4", ".h.mp4", "n.txt"])


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@example({"p1_1.mp4", "test/p1_1.mp4/p1_1.mp4", "train/train/p1_1.mp4"})
@given(st.sets(st.lists(NAMES, min_size=1, max_size=4).map("/".join), max_size=12))
def test_clips_in_are_clips_out_and_clips_named(paths):
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        for path in sorted(paths, key=len):
            if Path(path).suffix and not (root / path).exists():
                try:
                    touch(root, path)
                except (FileExistsError, NotADirectoryError, IsADirectoryError):
                    continue
        videos = video_files(root)
        try:
            parts = [read_folder(root, split) for split in SPLITS]
        except TinylibError as error:
            if "\n" in str(error):
                raise
            return
        clips = [clip.path for index in parts for clip in index.clips]
        named = sum(
            int(note.split()[0])
            for note in parts[0].notes
            if note[0].isdigit() and (note.endswith(tuple(videos)) or "left out" in note)
        )
        assert len(set(clips)) == len(clips)
        assert len(clips) + named == len(videos)
        assert is_divided(videos) or all(clip.labels[0] == clip.path.split("/")[0] for i in parts for clip in i.clips)


@pytest.mark.parametrize("reader", ["json", "ucf101", "hmdb51"])
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.one_of(st.binary(max_size=200), st.text(max_size=200).map(lambda text: text.encode("utf-8", "replace"))))
def test_an_index_file_of_anything_is_an_index_or_one_line(reader, data):
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        try:
            if reader == "json":
                (root / "tiny_train.json").write_bytes(data)
                read_tinyvirat(root, "train")
            elif reader == "ucf101":
                lists = root / "ucfTrainTestlist"
                lists.mkdir()
                for name in ("classInd.txt", "trainlist01.txt", "testlist01.txt"):
                    (lists / name).write_bytes(data)
                read_ucf101(root)
            else:
                lists = root / "testTrainMulti_7030_splits"
                lists.mkdir()
                (lists / "pour_test_split1.txt").write_bytes(data)
                read_hmdb51(root)
        except TinylibError as error:
            line = str(error)
        else:
            line = ""
        assert "\n" not in line
