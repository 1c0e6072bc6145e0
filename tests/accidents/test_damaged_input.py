"""Whatever happens to a file, it is read or refused in one line that names it: no traceback, no hang, no lost row.

Files of every format that the package reads, damaged at random: 1,000 a kind in `make soak`, fewer in `make test`.
"""

import json
import random
import shutil
import signal
from contextlib import contextmanager

import pytest

from tests.accidents import jobs
from tests.datasets.small import write_kpf, write_scene, write_virat
from tinylib.annotations.boxes import read_boxes, within
from tinylib.annotations.kpf import read_kpf
from tinylib.annotations.virat import read_virat
from tinylib.building.rules import MevaRule, ViratRule, windows
from tinylib.datasets.index import Clip, Index, read_tinyvirat, write_tinyvirat
from tinylib.datasets.readers import read_hmdb51, read_ucf101
from tinylib.errors import TinylibError
from tinylib.recognise.pipeline import recognise
from tinylib.video import iter_frames, probe, read_frames

INSERTS = (
    b"-",
    b"9" * 20,
    b"null",
    b"nan",
    b"1e9",
    b"*a",
    b"&a ",
    b"<<: ",
    b"../",
    b"2001-01-01",
    b"? ",
    b"true",
    b"\r",
)
LONGEST = 60  # seconds that reading a damaged file may take


def damage(data, rng):
    """The bytes with one accident: a hole, another byte, an end, something put in, or a part twice."""
    place = rng.randrange(len(data))
    return rng.choice(
        [
            data[:place] + data[place + rng.randrange(1, 40) :],
            data[:place] + bytes([rng.choice(b"0189-{}[]:,!\n \"'.x\xff\x00")]) + data[place + 1 :],
            data[:place],
            data[:place] + rng.choice(INSERTS) + data[place:],
            data[: place + 60] + data[place:],
        ]
    )


@contextmanager
def no_hang(seconds=LONGEST):
    def late(*_):
        raise AssertionError(f"still reading after {seconds} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def kpf(folder):
    acts = [("person_talks_to_person", 10, 40, [1, 2]), ("vehicle_stops", 5, 20, [3])]
    main = write_kpf(folder, "2018-03-11.V", acts)

    def read():
        annotation = read_kpf(main)
        assert annotation == read_kpf(main, fast=False)
        windows(annotation, MevaRule())
        return annotation.notes

    return read


def virat(folder):
    main = write_virat(folder, "V", [(9, 0, 44, 9, 9, 1), (12, 3, 9, 50, 9, 0)])

    def read():
        annotation = read_virat(main)
        windows(annotation, ViratRule())
        return annotation.notes

    return read


def text_boxes(name, lines):
    def kind(folder):
        (folder / name).write_text("\n".join(lines) + "\n")

        def read():
            notes = []
            tracks = within(read_boxes(folder / name, notes), 90, 160, 120, folder / name, notes)
            assert all(track.boxes for track in tracks.values())
            return notes

        return read

    return kind


CSV = ["frame,id,x0,y0,x1,y1", *(f"{t},{k},{20 + t},{20 + 9 * k},{40 + t},60" for k in (1, 2) for t in range(0, 80, 4))]
MOT = [f"{t}, {k}, {20 + t}, {20 + 9 * k}, 20, 40, 1, -1, -1, -1" for k in (1, 2) for t in range(1, 80, 4)]


def tinyvirat(folder):
    clips = tuple(Clip(f"{k:05d}", f"videos/train/V/{k:05d}.mp4", "V", ("Talking",), 40, 20, 20) for k in range(12))
    for clip in clips:
        (folder / clip.path).parent.mkdir(parents=True, exist_ok=True)
        (folder / clip.path).write_bytes(b"")
    write_tinyvirat(Index("toy", "train", folder, ("Talking", "Pull"), True, clips), folder)
    (file,) = folder.glob("*train*.json")
    whole = len(json.loads(file.read_text())["tubes"]) if "tubes" in json.loads(file.read_text()) else len(clips)

    def read():
        index = read_tinyvirat(folder, "train")
        assert len({clip.clip_id for clip in index.clips}) == len(index)
        assert len(index) <= whole + 1
        return index.notes

    return read


def ucf101(folder):
    names = [f"{c}/v_{c}_g{g:02d}_c01.avi" for c in ("Archery", "Biking") for g in range(1, 5)]
    for name in names:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(b"RIFF....AVI ")
    lists = folder / "ucfTrainTestlist"
    lists.mkdir()
    (lists / "classInd.txt").write_text("1 Archery\n2 Biking\n")
    (lists / "trainlist01.txt").write_text(
        "".join(f"{name} {1 + (name > 'B')}\n" for name in names if "g04" not in name)
    )
    (lists / "testlist01.txt").write_text("".join(f"{name}\n" for name in names if "g04" in name))
    return lambda: [note for split in ("train", "test") for note in read_ucf101(folder, split=split).notes]


def hmdb51(folder):
    lists = folder / "testTrainMulti_7030_splits"
    lists.mkdir()
    for action in ("run", "wave"):
        names = [f"film{k}_{action}_f_cm_np1_fr_med_{k}.avi" for k in range(4)]
        (folder / action).mkdir()
        for name in names:
            (folder / action / name).write_bytes(b"RIFF....AVI ")
        (lists / f"{action}_test_split1.txt").write_text(
            "".join(f"{name} {1 + (k == 3)} \n" for k, name in enumerate(names))
        )
    return lambda: [note for split in ("train", "test") for note in read_hmdb51(folder, split=split).notes]


KINDS = {
    "KPF": kpf,
    "VIRAT": virat,
    "CSV boxes": text_boxes("boxes.csv", CSV),
    "MOT boxes": text_boxes("boxes.txt", MOT),
    "TinyVIRAT index": tinyvirat,
    "UCF-101 lists": ucf101,
    "HMDB-51 lists": hmdb51,
}


def tried(folder, kind, count, seed=0):
    """So many damaged files, one at a time: how many were read with notes, and the refusals' lines."""
    read, rng = KINDS[kind](folder), random.Random(seed)
    victims = [path for path in sorted(folder.rglob("*")) if path.is_file() and path.stat().st_size > 20]
    assert not read()
    named, refused = 0, []
    for _ in range(count):
        victim = rng.choice(victims)
        whole = victim.read_bytes()
        victim.write_bytes(damage(whole, rng))
        try:
            with no_hang():
                notes = read()
            named += bool(notes)
            assert all("\n" not in note for note in notes)
        except TinylibError as error:
            refused.append(str(error))
        victim.write_bytes(whole)
    assert all(str(folder) in text and "\n" not in text for text in refused), refused
    return named, refused


@pytest.mark.parametrize("kind", [*KINDS])
def test_damaged_text_is_read_or_refused_in_one_line(tmp_path, kind):
    named, refused = tried(tmp_path, kind, 100)
    assert named + len(refused) > 10


@pytest.mark.soak
@pytest.mark.timeout(3000)
@pytest.mark.parametrize("kind", [*KINDS])
def test_a_thousand_damaged_texts(tmp_path, kind):
    tried(tmp_path, kind, 1000, seed=1)


@pytest.fixture(scope="module")
def films(tmp_path_factory):
    """The same picture in several containers."""
    import av

    folder = tmp_path_factory.mktemp("films")
    write_scene(folder / "film.mp4", 24, size=(48, 64))
    for suffix in (".mkv", ".mov", ".ts"):
        with av.open(str(folder / "film.mp4")) as source, av.open(str(folder / f"film{suffix}"), "w") as target:
            stream = target.add_stream_from_template(source.streams.video[0])
            for packet in source.demux(video=0):
                if packet.dts is not None:
                    packet.stream = stream
                    target.mux(packet)
    return sorted(folder.iterdir())


def broken_video(data, rng):
    """Holes, noise, an end, or bytes of somewhere else."""
    size, place = len(data), rng.randrange(len(data))
    length = rng.choice((1, 4, 40, 400))
    return rng.choice(
        [
            data[:place],
            data[:place] + data[place + length :],
            data[:place] + rng.randbytes(length) + data[place + length :],
            data[:place] + data[(at := rng.randrange(size)) : at + length] + data[place:],
            bytes(0) if rng.random() < 0.2 else data[:place] + bytes(length) + data[place + length :],
        ]
    )


def videos_tried(films, folder, count, seed=0):
    rng, refused = random.Random(seed), []
    for number in range(count):
        source = rng.choice(films)
        file = folder / f"broken{source.suffix}"
        file.write_bytes(broken_video(source.read_bytes(), rng))
        try:
            with no_hang():
                info = probe(file)
                shown = sum(1 for _ in iter_frames(file))
                assert shown <= info.frames, (number, shown, info)
                assert len(read_frames(file, [0, info.frames - 1])) == 2
        except TinylibError as error:
            refused.append(str(error))
    assert all("\n" not in line and str(folder / "broken") in line for line in refused), refused
    return len(refused)


def test_damaged_videos_are_read_or_refused_in_one_line(films, tmp_path):
    assert 0 < videos_tried(films, tmp_path, 60) < 60


@pytest.mark.soak
@pytest.mark.timeout(3000)
def test_a_thousand_damaged_videos(films, tmp_path):
    videos_tried(films, tmp_path, 1000, seed=1)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("predict")
    jobs.prepare(folder)
    return folder


def boxes_tried(place, folder, count, seed=0):
    """`predict --boxes` with damaged boxes: a whole result or one line, and nothing in between."""
    rng, done, refused, halves = random.Random(seed), 0, [], []
    for _ in range(count):
        name, lines = rng.choice((("boxes.csv", CSV), ("boxes.txt", MOT)))
        (folder / name).write_bytes(damage("\n".join(lines).encode(), rng))
        out = folder / "out"
        try:
            with no_hang():
                timeline = recognise(
                    place / "film.mp4", place / "run", out, boxes=folder / name, maps=False, annotated=False
                )
            done += 1
            assert json.loads((out / "timeline.json").read_text())["frames"] == 90
            assert len(list((out / "clips").iterdir())) == len(timeline.clips)
        except TinylibError as error:
            refused.append(str(error))
            halves += folder.glob("out*")
        shutil.rmtree(out, ignore_errors=True)
    assert all("\n" not in line for line in refused), refused
    assert halves == []
    return done


def test_damaged_boxes_give_a_result_or_one_line(place, tmp_path):
    assert boxes_tried(place, tmp_path, 12) > 0


@pytest.mark.soak
@pytest.mark.timeout(6000)
def test_a_thousand_damaged_files_of_boxes(place, tmp_path):
    boxes_tried(place, tmp_path, 1000, seed=1)
