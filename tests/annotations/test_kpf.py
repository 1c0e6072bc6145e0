import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.datasets.small import write_kpf
from tinylib.annotations.kpf import _boxes, read_kpf
from tinylib.errors import AnnotationError

VIDEO = "2018-03-11.11-20-01.11-25-01.school.G638"


def edit(path, part, old, new):
    file = path.with_name(path.name.replace("activities", part))
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new, 1))
    return path


@pytest.fixture
def trio(tmp_path):
    return write_kpf(tmp_path, VIDEO, [("person_talks_to_person", 10, 80, [1, 2]), ("vehicle_stops", 5, 20, [3])])


def test_reads_what_was_written(trio):
    video = read_kpf(trio)
    assert (video.video_id, video.domain, video.notes) == (VIDEO, "meva", ())
    assert [(a.id, a.name, a.start, a.end, a.actors) for a in video.activities] == [
        ("100", "person_talks_to_person", 10, 80, ("1", "2")),
        ("101", "vehicle_stops", 5, 20, ("3",)),
    ]
    assert video.tracks["2"].kind == "person"
    assert video.tracks["2"].boxes == dict.fromkeys(range(10, 81), (100.0, 20.0, 130.0, 60.0))


@pytest.mark.parametrize(
    ("part", "old", "new", "line", "word"),
    [
        ("activities", "person_talks_to_person: 1.0", "person_flies: 1.0", 2, "unknown activity name 'person_flies'"),
        ("activities", "tsr0: [10, 80]", "tsr0: [80, 10]", 2, "ends before"),
        ("activities", "tsr0: [10, 80]", "tsr0: [-1, 80]", 2, "frame number"),
        ("activities", "tsr0: [10, 80]", "tsr0: [10, 99999999999]", 2, "frame number"),
        ("activities", "tsr0: [10, 80]", "tsr0: [ten, 80]", 2, "frame number"),
        ("activities", "id1: 3", "id1: 77", 3, "actor id1 77"),
        ("activities", "id2: 101", "id2: 100", 3, "already on line 2"),
        ("activities", "id2: 101", "id2: ../../etc", 3, "identifier"),
        ("activities", "src_status: janitor, actors: [", "src_status: janitor, actors: ", 2, "YAML"),
        ("geom", "g0: 50 20 80 60", "g0: 80 20 50 60", 2, "x0 < x1"),
        ("geom", "g0: 50 20 80 60", "g0: -5 20 80 60", 2, "cut at the picture's edge"),
        ("geom", "g0: 50 20 80 60", "g0: -50 20 -20 60", 2, "outside the picture"),
        ("geom", "g0: 50 20 80 60", "g0: 50 20 80", 2, "g0: x0 y0 x1 y1"),
        ("geom", "g0: 50 20 80 60", "g0: 50 20 80 nan", 2, "x0 < x1"),
        ("geom", "g0: 50 20 80 60", "g0: 50 20 80 wide", 2, "g0: x0 y0 x1 y1"),
        ("geom", "ts0: 11,", "ts0: x,", 3, "frame number"),
        ("geom", "ts0: 11, ts1: 0.37, g0: 50 20 80 60 } }", "ts0: 1", 3, "YAML"),
        ("types", "cset3: { person: 1.0 }", "cset3: [person]", 2, "cset3"),
    ],
)
def test_an_odd_row_costs_itself_and_is_named_with_file_and_line(trio, part, old, new, line, word):
    whole = read_kpf(trio)
    edit(trio, part, old, new)
    video = read_kpf(trio)
    (note,) = (note for note in video.notes if word in note)
    assert note.startswith(f"{VIDEO}.{part}.yml:{line}: ")
    assert "\n" not in note
    lost = [] if part != "activities" else ["100"] if line == 2 else ["101"]
    assert [a.id for a in video.activities] == [a.id for a in whole.activities if a.id not in lost]
    assert video.tracks["3"] == whole.tracks["3"]  # of the other rows


def test_a_box_that_begins_left_of_the_picture_is_cut(trio):
    edit(trio, "geom", "g0: 50 20 80 60", "g0: -5 20 80 60")
    assert read_kpf(trio).tracks["1"].boxes[10] == (0.0, 20.0, 80.0, 60.0)


def test_a_box_left_out_is_filled_from_its_neighbours(trio):
    edit(trio, "geom", "ts0: 11, ts1: 0.37, g0: 50 20 80 60", "ts0: 11, ts1: 0.37, g0: 50 20 50 60")
    assert read_kpf(trio).tracks["1"].boxes[11] == (50.0, 20.0, 80.0, 60.0)


def test_two_boxes_on_one_frame_the_first_stays(trio):
    edit(trio, "geom", "ts0: 11, ts1: 0.37, g0: 50 20 80 60", "ts0: 10, ts1: 0.37, g0: 51 20 80 60")
    video = read_kpf(trio)
    assert video.tracks["1"].boxes[10] == (50.0, 20.0, 80.0, 60.0)
    assert any("two different boxes on frame 10; this row is left out" in note for note in video.notes)


def test_a_file_without_a_good_row_is_refused(trio):
    text = trio.read_text()
    trio.write_text(text.replace("timespan", "span"))
    with pytest.raises(AnnotationError, match=r"activities\.yml:2: expected a field 'timespan'"):
        read_kpf(trio)


@given(odd=st.sets(st.integers(0, 70)))
def test_rows_in_are_boxes_out_and_rows_named(tmp_path_factory, odd):
    trio = write_kpf(tmp_path_factory.mktemp("kpf"), VIDEO, [("person_talks_to_person", 10, 80, [1])])
    geometry = trio.with_name(f"{VIDEO}.geom.yml")
    lines = geometry.read_text().splitlines()
    for n in odd:
        lines[1 + n] = lines[1 + n].replace("g0: 50 20 80 60", "g0: 80 20 50 60")
    geometry.write_text("\n".join(lines) + "\n")
    if len(odd) == 71:
        with pytest.raises(AnnotationError):
            read_kpf(trio)
        return
    read: list[str] = []
    boxes = _boxes(geometry, True, read)["1"]
    named = [note for note in read if "this row is left out" in note]
    more = [int(note.split(": ")[1].split()[0]) for note in read if "more rows are left out" in note]
    assert len(boxes) + len(named) + sum(more) == 71


def test_the_same_box_twice_is_harmless_and_a_hole_is_filled(trio):
    edit(trio, "geom", "ts0: 11,", "ts0: 10,")
    assert read_kpf(trio).tracks["1"].boxes[11] == (50.0, 20.0, 80.0, 60.0)


def test_missing_geometry_file_is_named(trio):
    trio.with_name(f"{VIDEO}.geom.yml").unlink()
    with pytest.raises(AnnotationError, match=r"geom\.yml: cannot be read"):
        read_kpf(trio)


def write_list_dialect(folder, frames, *, actors="[{id1: 1, timespan: [{tsr0: [100, 140]}]}]"):
    (folder / "V-activities.yml").write_text(
        "[{meta: V.avi}, {act: {act3: !!set {vehicle_turning_left: null},\n"
        f"      actors: {actors}, id2: 1, timespan: [{{tsr0: [\n            100, 140]}}]}}}}]\n"
    )
    rows = (f"{{geom: {{g0: {f} 0\n        {f + 10} 10, id0: 1, id1: 1, keyframe: true, ts0: {f}}}}}" for f in frames)
    (folder / "V-geom.yml").write_text(f"[{{meta: V.avi}}, {', '.join(rows)}]\n")
    (folder / "V-types.yml").write_text("[{meta: V.avi}, {types: {cset3: {'Null': 1.0}, id1: 1}}]\n")
    return folder / "V-activities.yml"


def test_list_dialect_is_interpolated_between_near_keyframes(tmp_path):
    video = read_kpf(write_list_dialect(tmp_path, [100, 110, 300]))
    assert [(a.name, a.start, a.end) for a in video.activities] == [("vehicle_turning_left", 100, 140)]
    boxes = video.tracks["1"].boxes
    assert boxes[105] == (105.0, 0.0, 115.0, 10.0)
    assert sorted(boxes) == [*range(100, 111), 300]  # 189 frames without a box: it was away
    assert video.tracks["1"].kind == ""  # 'Null'


def test_actor_without_geometry_is_a_note(tmp_path):
    path = write_list_dialect(tmp_path, [100], actors="[{id1: 2, timespan: [{tsr0: [100, 140]}]}]")
    (tmp_path / "V-types.yml").write_text("[{types: {cset3: {'Null': 1.0}, id1: 2}}]\n")
    video = read_kpf(path)
    assert video.activities == ()
    assert video.notes == ("V-activities.yml:1: vehicle_turning_left left out, actor 2 has no geometry",)


def test_line_of_an_error_in_the_list_dialect(tmp_path):
    path = write_list_dialect(tmp_path, [100, 110])
    edit_to = tmp_path / "V-geom.yml"
    edit_to.write_text(edit_to.read_text().replace("ts0: 110", "ts0: soon"))
    assert any(note.startswith("V-geom.yml:2: expected a frame number") for note in read_kpf(path).notes)


def test_fast_path_reads_real_files_as_yaml_does(shared_data):
    files = sorted((shared_data / "meva" / "annotations").glob("*.activities.yml"))
    assert len(files) == 8
    for file in files[-3:]:
        assert read_kpf(file) == read_kpf(file, fast=False)


def test_largest_real_file_is_read_quickly(shared_data):
    file = shared_data / "meva" / "annotations" / "2018-03-11.14-20-08.14-25-08.hospital.G341.activities.yml"
    began = time.process_time()
    video = read_kpf(file)
    assert time.process_time() - began < 0.5  # 0.03 s, ten times that with a YAML parser
    assert sum(len(track.boxes) for track in video.tracks.values()) == 6583


def test_real_diva_files(shared_data):
    classes_by_file = {}
    for file in sorted((shared_data / "virat_kpf").glob("*-activities.yml")):
        video = read_kpf(file)
        assert video.domain == "virat"
        classes_by_file[video.video_id[8:17]] = [(a.name, a.start, a.end) for a in video.activities], len(video.notes)
    assert classes_by_file == {
        "040000_00": ([("vehicle_turning_right", 601, 632)], 3),
        "040000_05": ([("vehicle_starting", 664, 709)], 3),
        "040005_08": ([("vehicle_stopping", 957, 986)], 5),
    }
