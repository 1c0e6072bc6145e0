"""A store is whole, true to its sources, and survives being killed."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from tinylib.datasets.index import Clip, Index
from tinylib.datasets.store import ClipStore, resize_video
from tinylib.errors import DataError, UsageError
from tinylib.video import read_frames, write_video

SIZES = [(12, 32, 32), (7, 40, 32), (20, 56, 72), (1, 8, 8), (9, 24, 24), (5, 16, 48)]


def make_index(root: Path, sizes: list[tuple[int, int, int]] = SIZES) -> Index:
    clips = []
    for number, (frames, height, width) in enumerate(sizes):
        pixels = np.random.default_rng(number).integers(0, 256, (frames, height // 8, width // 8, 3), np.uint8)
        write_video(root / f"{number}.mp4", pixels.repeat(8, 1).repeat(8, 2))
        clips.append(Clip(f"clip{number}", f"{number}.mp4", "video", ("a",) if number % 2 else ("a", "b")))
    return Index("toy", "train", root, ("a", "b"), True, tuple(clips))


@pytest.fixture(scope="module")
def source(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("clips")
    make_index(root)
    return root


@pytest.fixture
def index(source, tmp_path) -> Index:
    root = tmp_path / "clips"
    shutil.copytree(source, root)
    clips = tuple(Clip(f"clip{n}", f"{n}.mp4", "video", ("a",) if n % 2 else ("a", "b")) for n in range(len(SIZES)))
    return Index("toy", "train", root, ("a", "b"), True, clips)


def leftovers(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.is_file() and not path.name.endswith(".lock"))


def test_holds_every_frame(index, tmp_path):
    store = ClipStore.build(index, tmp_path / "toy.store")
    assert len(store) == len(SIZES)
    assert store.frames.tolist() == [frames for frames, _, _ in SIZES]
    assert store.size is None
    for i, clip in enumerate(index.clips):
        np.testing.assert_array_equal(store[i], read_frames(index.file(clip)))
    assert leftovers(tmp_path) == ["toy.store"]
    store.verify()
    with pytest.raises(ValueError, match="read-only"):
        store[0][:] = 0


def test_workers_do_not_change_the_bytes(index, tmp_path):
    ClipStore.build(index, tmp_path / "one.store", size=28)
    ClipStore.build(index, tmp_path / "two.store", size=28, workers=2)
    assert (tmp_path / "one.store").read_bytes() == (tmp_path / "two.store").read_bytes()


def test_resized_store_is_gathered_in_one_go(index, tmp_path):
    store = ClipStore.build(index, tmp_path / "toy.store", size=(24, 32), resize="bicubic", fit="crop")
    assert store.size == (24, 32)
    expected = resize_video(read_frames(index.file(index.clips[2])), (24, 32), "bicubic", "crop")
    np.testing.assert_array_equal(store[2], expected)
    frames = np.array([[0, 3, 19], [6, 0, 0]])
    np.testing.assert_array_equal(store.take(np.array([2, 1]), frames)[0], expected[[0, 3, 19]])
    np.testing.assert_array_equal(store.take(np.array([2, 1]), frames)[1], store[1][[6, 0, 0]])


def test_second_build_reuses_and_another_recipe_rebuilds(index, tmp_path):
    file = tmp_path / "toy.store"
    ClipStore.build(index, file, size=16)
    first = file.stat().st_ino
    ClipStore.build(index, file, size=16)
    assert file.stat().st_ino == first
    assert ClipStore.build(index, file, size=24).size == (24, 24)
    assert file.stat().st_ino != first


def test_what_has_changed_is_named(index, tmp_path):
    file = tmp_path / "toy.store"
    ClipStore.build(index, file)
    os.utime(index.root / "3.mp4", (1, 1))
    ClipStore.open(file, index)  # touched, but the same bytes
    with pytest.raises(DataError, match="another index"):
        ClipStore.open(file, index.select([0, 1]))
    write_video(index.root / "3.mp4", np.zeros((3, 8, 8, 3), np.uint8))
    with pytest.raises(DataError, match=r"3\.mp4 has changed"):
        ClipStore.open(file, index)
    assert ClipStore.build(index, file).frames[3] == 3
    shutil.rmtree(index.root)
    assert len(ClipStore.open(file, index)) == len(SIZES)  # the store stands in for its sources


def test_missing_clips_are_all_listed(index, tmp_path):
    (index.root / "1.mp4").unlink()
    (index.root / "4.mp4").write_bytes(b"not a video at all")
    with pytest.raises(DataError, match=r"2 of 6 clips cannot be decoded: clip1 \(no such file\); clip4 \("):
        ClipStore.build(index, tmp_path / "toy.store")
    assert leftovers(tmp_path) == [".toy.store.journal", ".toy.store.partial"]  # what was decoded is kept
    store = ClipStore.build(index, tmp_path / "toy.store", allow_missing=True)
    assert list(store.missing) == ["clip1", "clip4"]
    np.testing.assert_array_equal(store[5], read_frames(index.root / "5.mp4"))
    with pytest.raises(DataError, match="clip4: not in the store"):
        store[4]
    with pytest.raises(DataError, match="2 of 6"):
        ClipStore.build(index, tmp_path / "toy.store")


def test_an_empty_index_and_an_unknown_filter_are_refused(index, tmp_path):
    with pytest.raises(DataError, match="no clips"):
        ClipStore.build(index.select([]), tmp_path / "toy.store")
    with pytest.raises(UsageError, match="nearest"):
        resize_video(np.zeros((1, 8, 8, 3), np.uint8), 4, "nearest")


def test_a_damaged_store_is_never_accepted(index, tmp_path):
    file = tmp_path / "toy.store"
    ClipStore.build(index, file)
    whole = file.read_bytes()
    for length in (0, 10, len(whole) // 2, len(whole) - 1):
        file.write_bytes(whole[:length])
        with pytest.raises(DataError, match="clip store"):
            ClipStore.open(file, index)
    flipped = bytearray(whole)
    flipped[ClipStore.build(index, tmp_path / "other.store").entries[2].offset] ^= 1
    file.write_bytes(flipped)
    with pytest.raises(DataError, match="1 clips are damaged: clip2"):
        ClipStore.open(file, index).verify()


def test_travels_as_its_path(index, tmp_path):
    store = ClipStore.build(index, tmp_path / "toy.store")
    first = store[0].copy()
    sent = pickle.dumps(store)
    assert len(sent) < 10_000
    np.testing.assert_array_equal(pickle.loads(sent)[0], first)


def test_an_interrupted_build_goes_on_where_it_was(index, tmp_path, monkeypatch):
    from tinylib.datasets import store as module

    ClipStore.build(index, tmp_path / "whole.store")
    decode, seen = module._decode, []

    def failing(path, *rest):
        seen.append(path.name)
        if len(seen) == 4:
            raise KeyboardInterrupt
        return decode(path, *rest)

    monkeypatch.setattr(module, "_decode", failing)
    with pytest.raises(KeyboardInterrupt):
        ClipStore.build(index, tmp_path / "toy.store")
    assert ".toy.store.partial" in leftovers(tmp_path)
    with open(tmp_path / ".toy.store.partial", "ab") as file:
        file.write(b"half a clip")
    ClipStore.build(index, tmp_path / "toy.store")
    assert seen == ["0.mp4", "1.mp4", "2.mp4", "3.mp4", "3.mp4", "4.mp4", "5.mp4"]
    assert (tmp_path / "toy.store").read_bytes() == (tmp_path / "whole.store").read_bytes()
    assert leftovers(tmp_path) == ["toy.store", "whole.store"]


def _build(index: Index, file: Path) -> int:
    return ClipStore.build(index, file).file.stat().st_ino


def test_two_builders_make_one_store(index, tmp_path):
    with multiprocessing.get_context("fork").Pool(2) as pool:
        results = [pool.apply_async(_build, (index, tmp_path / "toy.store")) for _ in range(2)]
        assert len({result.get(timeout=60) for result in results}) == 1
    assert leftovers(tmp_path) == ["toy.store"]


KILLED = """
import pickle, sys, time
import tinylib.datasets.store as store
decode = store._decode
def slowly(*task):
    time.sleep(0.02)
    return decode(*task)
store._decode = slowly
if __name__ == "__main__":
    with open(sys.argv[1], "rb") as file:
        index = pickle.load(file)
    store.ClipStore.build(index, sys.argv[2], workers=int(sys.argv[3]))
"""


@pytest.mark.soak
@pytest.mark.parametrize("moment", range(20))
def test_twenty_kills(index, tmp_path, moment):
    whole = ClipStore.build(index, tmp_path / "whole.store").file.read_bytes()
    file, pickled, script = tmp_path / "toy.store", tmp_path / "index.pickle", tmp_path / "build.py"
    pickled.write_bytes(pickle.dumps(index))
    script.write_text(KILLED)
    builder = subprocess.Popen([sys.executable, str(script), str(pickled), str(file), str(2 * (moment % 2))])
    time.sleep(0.3 + np.random.default_rng(moment).uniform(0, 3))
    builder.send_signal(signal.SIGKILL)
    builder.wait()
    assert ClipStore.build(index, file).file.read_bytes() == whole
    assert leftovers(tmp_path) == ["build.py", "index.pickle", "toy.store", "whole.store"]


def test_a_mended_clip_is_all_that_is_decoded_again(index, tmp_path, monkeypatch):
    from tinylib.datasets import store as module

    whole = ClipStore.build(index, tmp_path / "whole.store").file.read_bytes()
    decode, seen = module._decode, []

    def counted(path, *rest):
        seen.append(path.name)
        return decode(path, *rest)

    monkeypatch.setattr(module, "_decode", counted)
    file = index.root / "2.mp4"
    good = file.read_bytes()
    file.write_bytes(b"cut off")
    for _ in range(2):
        with pytest.raises(DataError, match="1 of 6 clips cannot be decoded: clip2"):
            ClipStore.build(index, tmp_path / "toy.store")
    file.write_bytes(good)
    built = ClipStore.build(index, tmp_path / "toy.store").file.read_bytes()
    assert seen == [*(f"{n}.mp4" for n in range(6)), "2.mp4", "2.mp4"]
    frames = sum(entry.nbytes for entry in ClipStore.open(tmp_path / "toy.store", index).entries)
    assert built[:frames] == whole[:frames]
    assert leftovers(tmp_path) == ["toy.store", "whole.store"]


FULL = """
import pickle, resource, sys
from tinylib.datasets.store import ClipStore
from tinylib.errors import DataError
resource.setrlimit(resource.RLIMIT_FSIZE, (60000, 60000))
with open(sys.argv[1], "rb") as file:
    index = pickle.load(file)
try:
    ClipStore.build(index, sys.argv[2])
except DataError as error:
    print(error)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="limits of file sizes are Unix's")
def test_a_full_disk_is_one_line_and_the_next_build_goes_on(index, tmp_path):
    whole = ClipStore.build(index, tmp_path / "whole.store").file.read_bytes()
    file, pickled = tmp_path / "toy.store", tmp_path / "index.pickle"
    pickled.write_bytes(pickle.dumps(index))
    command = [sys.executable, "-c", FULL, str(pickled), str(file)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=200, check=True)
    assert done.stdout == f"{file}: File too large; what was decoded is kept for the next build\n"
    assert ClipStore.build(index, file).file.read_bytes() == whole


@pytest.mark.parametrize("workers", [0, 2])
def test_kill_at_any_moment_leaves_no_half_store_and_no_lock(index, tmp_path, workers):
    whole = ClipStore.build(index, tmp_path / "whole.store").file.read_bytes()
    file, pickled, script = tmp_path / "toy.store", tmp_path / "index.pickle", tmp_path / "build.py"
    pickled.write_bytes(pickle.dumps(index))
    script.write_text(KILLED)
    builder = subprocess.Popen([sys.executable, str(script), str(pickled), str(file), str(workers)])
    journal = tmp_path / ".toy.store.journal"
    deadline = time.monotonic() + 60
    while (not journal.exists() or journal.read_text().count("\n") < 3) and time.monotonic() < deadline:
        time.sleep(0.01)
    builder.send_signal(signal.SIGKILL)
    builder.wait()
    assert not file.exists()
    with pytest.raises(DataError, match="not a clip store"):
        ClipStore.open(file, index)
    assert ClipStore.build(index, file).file.read_bytes() == whole
