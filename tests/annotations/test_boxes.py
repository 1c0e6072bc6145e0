import pytest

from tinylib.annotations.boxes import read_boxes, within
from tinylib.annotations.tracks import Track
from tinylib.errors import AnnotationError


def written(tmp_path, text, name="boxes.csv"):
    (tmp_path / name).write_text(text)
    return tmp_path / name


def test_csv_in_any_order_with_kinds_and_holes(tmp_path):
    file = written(tmp_path, "id,frame,x0,y0,x1,y1,kind\na,0,0,0,10,20,person\na,2,4,0,14,20,person\nb,1,1,2,3,4,car\n")
    tracks = read_boxes(file)
    assert tracks["a"] == Track("a", "person", {0: (0, 0, 10, 20), 1: (2, 0, 12, 20), 2: (4, 0, 14, 20)})
    assert tracks["b"].kind == "car"


def test_mot_counts_frames_from_one_and_has_widths(tmp_path):
    file = written(tmp_path, "1,7,10,20,5,6,1,-1,-1,-1\n2, 7, 11, 20, 5, 6, 1, -1, -1, -1\n", "gt.txt")
    assert read_boxes(file) == {"7": Track("7", "", {0: (10, 20, 15, 26), 1: (11, 20, 16, 26)})}


def test_kpf_geometry_with_its_types(tmp_path):
    geometry = "- { geom: {id1: 3, id0: 0, ts0: 5, ts1: 0.1, g0: 1 2 30 40, src: truth} }\n"
    file = written(tmp_path, geometry, "v.geom.yml")
    assert read_boxes(file)["3"].boxes == {5: (1, 2, 30, 40)}
    written(tmp_path, "- { types: { id1: 3, cset3: { Person: 1.0 } } }\n", "v.types.yml")
    assert read_boxes(file)["3"].kind == "person"


def test_virat_objects(tmp_path):
    file = written(tmp_path, "4 1 9 10 20 5 6 1\n", "v.viratdata.objects.txt")
    assert read_boxes(file) == {"4": Track("4", "person", {9: (10, 20, 15, 26)})}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "boxes.csv: there is no box in it"),
        ("frame,id,x0,y0,x1\n", "boxes.csv:1: expected columns frame,id,x0,y0,x1,y1, without y1"),
        ("frame,id,x0,y0,x1,y1\n0,a,1,2,3\n", "boxes.csv:2: expected 6 fields, got 5"),
        ("frame,id,x0,y0,x1,y1\n\n0,a,5,2,3,4\n", "boxes.csv:3: expected a box with x0 < x1"),
        ("frame,id,x0,y0,x1,y1\n0,a,1,nan,3,4\n", "boxes.csv:2: expected a box"),
        ("frame,id,x0,y0,x1,y1\n0,a,1,two,3,4\n", "boxes.csv:2: expected numbers, got '0,a,1,two,3,4'"),
        ("frame,id,x0,y0,x1,y1\n0.5,a,1,2,3,4\n", "boxes.csv:2: expected a whole frame number, got '0.5'"),
        ("frame,id,x0,y0,x1,y1\n-1,a,1,2,3,4\n", "boxes.csv:2: expected a frame number from 0"),
        ("0,1,1,2,3,4\n", "boxes.csv:1: expected a frame number from 0"),  # MOT begins with frame 1
        ("1,1,1,2\n", "boxes.csv:1: expected 6 or more fields, got 4"),
    ],
)
def test_what_is_wrong_is_named_with_its_line(tmp_path, text, says):
    with pytest.raises(AnnotationError) as error:
        read_boxes(written(tmp_path, text))
    assert says in str(error.value)
    assert "\n" not in str(error.value)


def test_binary_and_missing_files(tmp_path):
    (tmp_path / "b.csv").write_bytes(b"\xff\xfe\x00\x01")
    with pytest.raises(AnnotationError, match="expected text"):
        read_boxes(tmp_path / "b.csv")
    with pytest.raises(AnnotationError, match="cannot be read"):
        read_boxes(tmp_path / "nothing.csv")


def test_boxes_are_cut_at_the_edge_and_refused_beyond_it():
    tracks = {"a": Track("a", "", {0: (-5.0, 0, 10, 130)})}
    assert within(tracks, 1, 100, 120, "f")["a"].boxes == {0: (0, 0, 10, 120)}
    notes: list[str] = []
    both = {"a": Track("a", "", {0: (0.0, 0, 10, 10), 1: (200.0, 0, 210, 10), 9: (0.0, 0, 9, 9)})}
    assert within(both, 5, 100, 120, "d/f", notes)["a"].boxes == {0: (0, 0, 10, 10)}
    assert notes == [
        "f: 1 boxes (track a, frame 1: box (200, 0, 210, 10)) outside the 100x120 picture: left out",
        "f: 1 boxes (track a, frame 9) past the end of a video with frames 0 to 4: left out",
    ]
    with pytest.raises(AnnotationError, match="past the end of a video with frames 0 to 4: boxes of another video"):
        within({"a": Track("a", "", {9: (0.0, 0, 10, 10)})}, 5, 100, 120, "f")


def test_an_odd_row_costs_itself(tmp_path):
    notes: list[str] = []
    text = "frame,id,x0,y0,x1,y1\n0,a,1,2,3,4\n0,a,1,2,3,5\n1,a,nan,2,3,4\n2,a,1,2\n3,a,1,2,3,4\n"
    assert read_boxes(written(tmp_path, text), notes)["a"].boxes.keys() == {0, 1, 2, 3}  # holes are filled
    assert [note.split(":")[1] for note in notes] == ["3", "4", "5"]


@pytest.mark.parametrize("mark", [" ", "\t", ";", ", "])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_mot_text_however_it_is_set_apart(tmp_path, mark, end):
    rows = (["1", "7", "10", "20", "5", "6", "1"], ["2", "7", "11", "20", "5", "6", "0"])
    file = tmp_path / "gt.txt"
    file.write_bytes(b"\xef\xbb\xbf" + end.join(mark.join(row) for row in rows).encode())
    notes: list[str] = []
    assert read_boxes(file, notes) == {"7": Track("7", "", {0: (10, 20, 15, 26)})}
    assert notes == ["gt.txt: 1 rows are marked to be ignored (seventh field 0): left out"]


def test_mot_text_with_a_header(tmp_path):
    file = written(tmp_path, "frame,id,bb_left,bb_top,bb_width,bb_height,conf\n1,7,10,20,5,6,1\n", "gt.txt")
    assert read_boxes(file) == {"7": Track("7", "", {0: (10, 20, 15, 26)})}


def test_real_objects_lie_in_their_video(shared_data):
    from tinylib.video import probe

    name = "VIRAT_S_010005_04_000299_000323"
    info = probe(shared_data / f"virat/videos/{name}.mp4", exact=False)
    file = shared_data / f"virat/annotations/{name}.viratdata.objects.txt"
    tracks = within(read_boxes(file), info.frames, info.width, info.height, file)
    assert len(tracks) == 10
    assert {track.kind for track in tracks.values()} <= {"person", "car", "vehicle", "object", "bike"}
