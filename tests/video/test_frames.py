"""Every frame or the reason: what readers return, refuse and agree on, and what the writer writes."""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import pickle
from fractions import Fraction
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from tinylib.errors import ClipError, UsageError
from tinylib.video import BACKENDS, iter_frames, probe, read_frames, write_video
from tinylib.video import frames as video

INSTALLED = [name for name in BACKENDS if name == "pyav" or find_spec(name)]


def moving(frames: int = 24, height: int = 48, width: int = 64) -> np.ndarray:
    """A smooth picture that drifts, so that every frame differs and survives compression."""
    y, x = np.mgrid[:height, :width]
    channels = [np.sin((x + 2 * t + 7 * c) / 9) + np.cos((y + t) / 7) for t in range(frames) for c in range(3)]
    video = np.stack(channels).reshape(frames, 3, height, width).transpose(0, 2, 3, 1)
    return ((video + 2) / 4 * 255).astype(np.uint8)


def encode(path: Path, frames: np.ndarray, codec: str, pixels: str, times: list[int] | None = None, **options: str):
    """A file that `write_video` does not make: another codec, container or clock."""
    import av

    base = Fraction(1, 1000) if times else Fraction(1, 25)
    with av.open(str(path), "w") as file:
        stream = file.add_stream(codec, rate=25, options=options)
        stream.height, stream.width, stream.pix_fmt = *frames.shape[1:3], pixels
        stream.codec_context.time_base = base
        for number, frame in enumerate(frames):
            picture = av.VideoFrame.from_ndarray(frame, format="rgb24")
            picture.pts, picture.time_base = times[number] if times else number, base
            file.mux(stream.encode(picture))
        file.mux(stream.encode(None))
    return path


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    return float(10 * np.log10(255**2 / np.mean((a.astype(float) - b) ** 2)))


@pytest.fixture(scope="module")
def clip(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("video") / "clip.mp4"
    write_video(path, moving(), fps=25)
    return path


# writing


def test_round_trip_keeps_every_frame_in_order(clip):
    read, sent = read_frames(clip), moving()
    assert read.shape == sent.shape
    assert read.dtype == np.uint8
    assert psnr(read, sent) > 35
    nearest = [int(np.argmin([np.abs(frame.astype(int) - other).mean() for other in sent])) for frame in read]
    assert nearest == list(range(len(sent)))


def test_equal_frames_give_equal_bytes(tmp_path, clip):
    for _ in range(8):  # the encoder's default rate control differs about every second time
        write_video(tmp_path / "again.mp4", iter(moving()), fps=25)
        assert (tmp_path / "again.mp4").read_bytes() == clip.read_bytes()


def test_the_rate_and_key_frames_are_as_asked(tmp_path):
    import av

    write_video(tmp_path / "ntsc.mp4", moving(), fps=30000 / 1001, keyframe_interval=8)
    with av.open(str(tmp_path / "ntsc.mp4")) as file:
        assert file.streams.video[0].average_rate == Fraction(30000, 1001)
        keys = [number for number, frame in enumerate(file.decode(video=0)) if frame.key_frame]
    assert keys == [0, 8, 16]


@pytest.mark.parametrize(
    ("frames", "message"),
    [
        ([], "no frames"),
        ([np.zeros((9, 8, 3), np.uint8)], "even sides"),
        ([np.zeros((8, 8), np.uint8)], "even sides"),
        ([np.zeros((8, 8, 3), np.float32)], "float32"),
        ([np.zeros((8, 8, 3), np.uint8), np.zeros((8, 10, 3), np.uint8)], "frame 1"),
    ],
)
def test_what_cannot_be_written_is_refused_and_leaves_nothing(tmp_path, frames, message):
    with pytest.raises(UsageError, match=message):
        write_video(tmp_path / "bad.mp4", frames)
    assert list(tmp_path.iterdir()) == []


def test_a_failing_source_leaves_the_old_file(tmp_path):
    def source():
        yield np.zeros((8, 8, 3), np.uint8)
        raise RuntimeError("the source broke")

    (tmp_path / "clip.mp4").write_bytes(b"old")
    with pytest.raises(RuntimeError, match="broke"):
        write_video(tmp_path / "clip.mp4", source())
    assert (tmp_path / "clip.mp4").read_bytes() == b"old"
    assert len(list(tmp_path.iterdir())) == 1


# reading


def test_probe_counts(clip):
    for exact in (True, False):
        info = probe(clip, exact=exact)
        assert (info.frames, info.fps, info.width, info.height, info.rotation) == (24, 25.0, 64, 48, 0)


@pytest.mark.parametrize("backend", ["auto", *INSTALLED])
def test_order_and_repeats_are_respected(clip, backend):
    everything = read_frames(clip, backend="pyav")
    for indices in ([5, 5, 0, 23, 7], [23], [0], list(range(24)), np.array([3, 2, 1])):
        np.testing.assert_array_equal(read_frames(clip, indices, backend=backend), everything[list(indices)])
    assert read_frames(clip, [], backend=backend).shape == (0, 48, 64, 3)


@pytest.mark.skipif(not find_spec("torchcodec"), reason="torchcodec is not installed")
def test_torchcodec_agrees(clip):
    np.testing.assert_array_equal(read_frames(clip, backend="torchcodec"), read_frames(clip, backend="pyav"))


def test_iter_frames_is_read_frames(clip):
    everything = read_frames(clip, backend="pyav")
    np.testing.assert_array_equal(np.stack(list(iter_frames(clip, start=4, stop=9))), everything[4:9])
    np.testing.assert_array_equal(np.stack(list(iter_frames(clip, threads=2))), everything)
    assert list(iter_frames(clip, start=24)) == []
    with pytest.raises(ClipError, match="the file has 24"):
        next(iter_frames(clip, stop=25))


@pytest.mark.parametrize("bad", [-1, 24])
def test_an_index_outside_the_file_is_named(clip, bad):
    with pytest.raises(ClipError, match=rf"frame {bad} was asked for, the file has frames 0 to 23"):
        read_frames(clip, [0, bad])


def test_an_unknown_backend_is_a_usage_error(clip):
    with pytest.raises(UsageError, match="auto, decord, torchcodec, pyav"):
        read_frames(clip, backend="opencv")


ODD = {
    "open_gop.mp4": ("libx264", "yuv420p", {"x264-params": "open-gop=1:keyint=6:min-keyint=6:bframes=3:scenecut=0"}),
    "intra_refresh.mp4": ("libx264", "yuv420p", {"x264-params": "intra-refresh=1:keyint=8"}),
    "b_frames.avi": ("mpeg4", "yuv420p", {"bf": "2"}),
    "h264.avi": ("libx264", "yuv420p", {"x264-params": "keyint=6"}),
    "full_range.mp4": ("libx264", "yuvj420p", {}),
    "hevc.mp4": ("libx265", "yuv420p", {"x265-params": "log-level=none"}),
    "vp9.webm": ("libvpx-vp9", "yuv420p", {}),
    "transport.ts": ("libx264", "yuv420p", {}),
}


@pytest.mark.parametrize("name", ODD)
def test_frames_are_exact_in_every_order(tmp_path, name):
    codec, pixels, options = ODD[name]
    sent = moving(30, 56, 70)
    path = encode(tmp_path / name, sent, codec, pixels, **options)
    assert probe(path).frames == 30
    everything = read_frames(path, backend="pyav")
    assert psnr(everything, sent) > 26
    np.testing.assert_array_equal(read_frames(path), everything)
    for seed in range(4):
        some = np.random.default_rng(seed).integers(0, 30, 9)
        np.testing.assert_array_equal(read_frames(path, some), everything[some])


def test_variable_frame_rate_counts_frames_not_seconds(tmp_path):
    times = np.cumsum(np.random.default_rng(0).integers(5, 200, 24)).tolist()
    for name in ("vfr.mp4", "vfr.mkv"):
        path = encode(tmp_path / name, moving(), "libx264", "yuv420p", times)
        read = read_frames(path, [0, 11, 23])
        assert probe(path).frames == 24
        assert psnr(read, moving()[[0, 11, 23]]) > 26


def test_odd_sizes(tmp_path):
    path = encode(tmp_path / "odd.mp4", moving(8, 53, 71), "libx264", "yuv444p")
    assert read_frames(path).shape == (8, 53, 71, 3)
    assert psnr(read_frames(path), moving(8, 53, 71)) > 30


def test_widths_that_decord_mistakes(tmp_path):
    for width in (16, 48, 72):
        write_video(tmp_path / "narrow.mp4", moving(4, 32, width))
        assert psnr(read_frames(tmp_path / "narrow.mp4"), moving(4, 32, width)) > 30


def test_a_named_backend_reads_it_itself_or_says_why_not(tmp_path):
    if "decord" not in INSTALLED:
        pytest.skip("decord is not installed")
    path = encode(tmp_path / "vp9.webm", moving(8), "libvpx-vp9", "yuv420p")
    with pytest.raises(ClipError, match="decord cannot be trusted with this file: it is vp9"):
        read_frames(path, backend="decord")


def test_auto_works_without_decord(clip, monkeypatch):
    monkeypatch.setattr(video, "find_spec", lambda name: None)
    assert read_frames(clip).shape == (24, 48, 64, 3)
    with pytest.raises(ClipError, match="decord is not installed"):
        read_frames(clip, backend="decord")


# refusing


def damaged(folder: Path) -> dict[str, Path]:
    whole, video = folder / "whole.mp4", moving(40)
    write_video(whole, video, keyframe_interval=10)
    data = whole.read_bytes()
    files = {
        "missing": folder / "none.mp4",
        "a directory": folder,
        "empty": folder / "empty.mp4",
        "text": folder / "text.mp4",
        "cut at 60 %": folder / "cut.mp4",
        "without its header": folder / "tail.mp4",
        "zeroed middle": folder / "zeroed.mp4",
    }
    files["empty"].write_bytes(b"")
    files["text"].write_text("this is not a video\n" * 100)
    files["cut at 60 %"].write_bytes(data[: len(data) * 6 // 10])
    files["without its header"].write_bytes(data[len(data) // 2 :])
    middle = len(data) // 2
    files["zeroed middle"].write_bytes(data[:middle] + bytes(2000) + data[middle + 2000 :])
    for name, codec in (("avi", "mpeg4"), ("mkv", "libx264")):
        data = encode(folder / f"whole.{name}", video, codec, "yuv420p").read_bytes()
        files[f"{name} cut at 60 %"] = folder / f"cut.{name}"
        files[f"{name} cut at 60 %"].write_bytes(data[: len(data) * 6 // 10])
    return files


@pytest.mark.parametrize("backend", ["auto", *INSTALLED])
def test_damaged_files_are_clip_errors_with_one_line(tmp_path, backend):
    for what, path in damaged(tmp_path).items():
        with pytest.raises(ClipError) as caught:
            pytest.fail(f"{what}: {len(read_frames(path, backend=backend))} frames were read")
        assert "\n" not in str(caught.value)
        assert str(path) in str(caught.value)
        again = pickle.loads(pickle.dumps(caught.value))
        assert (again.path, again.reason) == (caught.value.path, caught.value.reason)
        with pytest.raises(ClipError):
            probe(path)


def test_cut_avi_says_how_much_is_left(tmp_path):
    whole = encode(tmp_path / "whole.avi", moving(93), "mpeg4", "yuv420p").read_bytes()
    (tmp_path / "cut.avi").write_bytes(whole[: len(whole) * 6 // 10])
    with pytest.raises(ClipError, match=r"cut off.* 93"):
        read_frames(tmp_path / "cut.avi", [0])


def test_a_sound_file_has_no_video(tmp_path):
    import av

    with av.open(str(tmp_path / "sound.mp4"), "w") as file:
        stream = file.add_stream("aac", rate=16000, layout="mono")
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        sound.sample_rate = 16000
        file.mux(stream.encode(sound))
        file.mux(stream.encode(None))
    with pytest.raises(ClipError, match="no video stream"):
        read_frames(tmp_path / "sound.mp4")


def _digest(path: Path) -> str:
    return hashlib.sha256(read_frames(path).tobytes()).hexdigest()


def test_forked_workers_read_the_same_after_their_parent_has_read(clip):
    expected = _digest(clip)
    with multiprocessing.get_context("fork").Pool(2) as pool:
        assert set(pool.map_async(_digest, [clip] * 6).get(timeout=60)) == {expected}


def test_no_file_stays_open(clip):
    before = len(os.listdir("/proc/self/fd")) if Path("/proc/self/fd").exists() else 0
    for backend in INSTALLED:
        for _ in range(3):
            read_frames(clip, [1], backend=backend)
    if before:
        assert len(os.listdir("/proc/self/fd")) <= before + 1


# real files


def test_odd_files(shared_data):
    folder = shared_data / "odd_files"
    expected = {
        "av1_video.mkv": (125, 360, 640),
        "h264_10bits.mp4": (30, 200, 200),
        "h265_video.mp4": (10, 128, 128),
        "unordered.mov": (4, 50, 50),
        "video_0.mov": (3, 320, 568),
        "video_180.mov": (3, 320, 568),
        "video_90.mov": (3, 568, 320),
        "video_270.mov": (3, 568, 320),
    }
    for name, shape in expected.items():
        info = probe(folder / name)
        frames = read_frames(folder / name, [0, info.frames - 1])
        assert (info.frames, *frames.shape[1:]) == (*shape, 3), name
        assert (info.height, info.width) == shape[1:]
        assert name == "unordered.mov" or frames.std() > 5, f"{name} is blank"
    with pytest.raises(ClipError):
        read_frames(folder / "corrupted.mp4")


def test_rotated_files_come_out_upright_from_every_backend(shared_data):
    for name, rotation in (("video_90.mov", 270), ("video_180.mov", 180), ("video_270.mov", 90)):
        path = shared_data / "odd_files" / name
        assert probe(path).rotation == rotation
        reference = read_frames(path, backend="pyav")
        for backend in set(INSTALLED) - {"torchcodec"}:
            np.testing.assert_array_equal(read_frames(path, backend=backend), reference)


def test_hmdb_names_and_phantom_frames(shared_data):
    """XviD's placeholder packet is not a frame; decord would repeat the last picture for it."""
    counts = {}
    for path in sorted((shared_data / "hmdb51" / "videos").iterdir()):
        frames = read_frames(path)
        counts[path.name[:6]] = len(frames)
        if "KOREAN" not in path.name:  # it ends in black
            assert not np.array_equal(frames[-1], frames[-2]), path.name
    assert counts == {
        "(HQ)_R": 242, "6arrow": 81, "Advanc": 172, "Baseba": 140, "Golf_T": 89, "KOREAN": 430, "cartwh": 84,
    }  # fmt: skip


def test_frames_cut_by_an_edit_list_are_not_counted(shared_data):
    assert probe(shared_data / "surveillance" / "diva_parking_lot.mp4", exact=False).frames == 117


# when frames are shown


def test_times_follow_a_variable_clock_and_else_the_rate(tmp_path):
    stamps = [0, 40, 80, 500, 540, 900]
    file = encode(tmp_path / "v.mp4", moving(6), "libx264", "yuv420p", times=stamps, bf="0")
    np.testing.assert_allclose(video.frame_times(file), np.array(stamps) / 1000, atol=2e-3)
    write_video(tmp_path / "c.mp4", moving(5), fps=25)
    np.testing.assert_allclose(video.frame_times(tmp_path / "c.mp4"), np.arange(5) / 25, atol=1e-6)


def test_times_of_a_file_whose_frames_are_stored_out_of_order(shared_data):
    file = shared_data / "odd_files/unordered.mov"
    times = video.frame_times(file)
    assert len(times) == probe(file).frames
    assert times[0] == 0
    assert (np.diff(times) > 0).all()
