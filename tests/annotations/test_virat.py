import pytest

from tests.datasets.small import write_virat
from tinylib.annotations.virat import read_virat
from tinylib.errors import AnnotationError

VIDEO = "VIRAT_S_010003_01_000111_000137"


@pytest.fixture
def files(tmp_path):
    return write_virat(tmp_path, VIDEO, [(9, 10, 60, 100, 50, 1), (12, 20, 40, 10, 10, 0)])


def edit(events, part, line, text):
    file = events.with_name(f"{VIDEO}.viratdata.{part}.txt")
    lines = file.read_text().splitlines()
    lines[line - 1] = text
    file.write_text("\n".join(lines) + "\n")


def test_reads_what_was_written(files):
    video = read_virat(files)
    assert (video.video_id, video.domain, video.notes) == (VIDEO, "virat", ())
    assert [(a.id, a.name, a.start, a.end, a.actors) for a in video.activities] == [
        ("0", "activity_carrying", 10, 60, ("0",)),
        ("1", "exiting_facility", 20, 40, ("1",)),
    ]
    assert video.tracks["0"].boxes[12] == (102.0, 50.0, 126.0, 90.0)
    assert video.tracks["0"].kind == "person"


@pytest.mark.parametrize(
    ("part", "text", "word"),
    [
        ("events", "0 9 51 10 60 10 100", "expected 10 numbers, got 7"),
        ("events", "0 9 51 10 60 10 100 50 24 4O", "whole numbers"),
        ("events", "0 13 51 10 60 10 100 50 24 40", "event type from 1 to 12"),
        ("events", "0 9 51 60 10 10 100 50 24 40", "start <= end"),
        ("events", "0 9 51 10 60 9 100 50 24 40", "outside its event"),
        ("events", "0 9 51 10 60 10 100 50 -24 40", "width, height > 0"),
        ("events", "0 9 51 10 60 10 -3 50 24 40", "cut at the picture's edge"),
        ("objects", "0 51 10 100 50 24 0 1", "width, height > 0"),
        ("objects", "0 51 10 100 50 24 40 6", "its kind is unknown"),
        ("objects", "0 51 -10 100 50 24 40 1", "frame number"),
        ("objects", "0 51 999999999 100 50 24 40 1", "frame number"),
        ("objects", "0 51 10 ../100 50 24 40 1", "whole numbers"),
        ("mapping", "7 9 51 10 60 1  1 0", "event 7 is not in the events file"),
        ("mapping", "0 9 51 10 61 1  1 0", "in the events file"),
        ("mapping", "0 9 51 10 60 1  0 0", "expected 1 ones"),
        ("mapping", "0 9 51 10 60 1  0 0 1", "object 2 is not in the objects file"),
        ("mapping", "0 9 51", "6 or more"),
    ],
)
def test_an_odd_row_costs_itself_and_is_named_with_file_and_line(files, part, text, word):
    whole = read_virat(files)
    edit(files, part, 1, text)
    video = read_virat(files)
    (note,) = (note for note in video.notes if word in note)
    assert note.startswith(f"{VIDEO}.viratdata.{part}.txt:1: ")
    assert "\n" not in note
    assert [(a.id, a.start, a.end) for a in video.activities] == [(a.id, a.start, a.end) for a in whole.activities]
    assert video.tracks["1"] == whole.tracks["1"]


def test_an_event_that_changes_its_span_keeps_its_first(files):
    edit(files, "events", 5, "0 9 51 10 61 14 100 50 24 40")
    video = read_virat(files)
    assert (video.activities[0].start, video.activities[0].end) == (10, 60)
    assert any(":5: event 0 was type 9, frames (10, 60) before" in note for note in video.notes)


def test_a_byte_order_mark_and_windows_lines_change_nothing(files):
    whole = read_virat(files)
    for file in files.parent.iterdir():
        file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes().replace(b"\n", b"\r\n"))
    assert read_virat(files) == whole


def test_an_object_of_unknown_type_has_no_kind(files):
    file = files.with_name(f"{VIDEO}.viratdata.objects.txt")
    rows = [line.split() for line in file.read_text().splitlines()]
    file.write_text("\n".join(" ".join([*row[:-1], "0" if row[0] == "0" else row[-1]]) for row in rows) + "\n")
    video = read_virat(files)
    assert (video.tracks["0"].kind, video.tracks["1"].kind) == ("", "person")
    assert [a.actors for a in video.activities] == [("0",), ("1",)]


def test_a_file_without_a_good_row_is_refused(files):
    file = files.with_name(f"{VIDEO}.viratdata.objects.txt")
    file.write_text("0 1 2\n1 2 3\n")
    with pytest.raises(AnnotationError, match=r"objects\.txt:1: expected 8 numbers, got 3"):
        read_virat(files)


def test_an_event_without_objects_follows_its_own_box(files):
    edit(files, "mapping", 1, "0 9 51 10 60 0  0 0")
    video = read_virat(files)
    assert video.activities[0].actors == ("event:0",)
    assert video.tracks["event:0"].boxes[10] == (100.0, 50.0, 124.0, 90.0)


def test_missing_file_is_named(files):
    files.with_name(f"{VIDEO}.viratdata.objects.txt").unlink()
    with pytest.raises(AnnotationError, match=r"objects\.txt: cannot be read"):
        read_virat(files)


def test_real_files(shared_data):
    videos = [read_virat(f) for f in sorted((shared_data / "virat" / "annotations").glob("*.events.txt"))]
    assert [len(v.activities) for v in videos] == [6, 1, 1, 4]
    assert [sum(a.name == "activity_carrying" for a in v.activities) for v in videos] == [5, 1, 1, 3]
    assert [len(v.notes) for v in videos] == [1, 0, 1, 0]  # objects that are shorter than they declare
    carrying = videos[3].activities[0]
    assert (carrying.start, carrying.end, carrying.actors) == (0, 363, ("1",))
