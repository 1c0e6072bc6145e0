"""Frames out of video files, and frames into them.

A clip is read whole and exactly or refused with the reason: frames are counted and checked against what the container
claims, because decoders return fewer frames, or repeat the last one, without a word. Frames are numbered in display
order, turned upright by the display matrix, with pixels as stored (the sample aspect ratio is not applied).

Readers are opened inside each call and closed before it returns, with one thread, so every function is safe in forked
and spawned workers; nothing but the path travels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from fractions import Fraction
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tinylib.errors import ClipError, UsageError
from tinylib.files import atomic_path
from tinylib.video.packets import Scan, VideoInfo, pictures, scan_file

if TYPE_CHECKING:
    import av

    pass

BACKENDS = ("decord", "torchcodec", "pyav")

Frame = NDArray[np.uint8]


def probe(path: str | Path, *, exact: bool = True) -> VideoInfo:
    """Size, rate and number of frames; `exact` decodes them all, otherwise the packets are counted. ClipError."""
    whole = _whole(path)
    if exact:
        for _ in _every(whole, 0, whole.info.frames):
            pass
    return whole.info


def read_frames(
    path: str | Path, indices: Sequence[int] | NDArray[np.generic] | None = None, *, backend: str = "auto"
) -> Frame:
    """The frames at `indices` (None: all), in that order, repeats included: (T, H, W, 3) uint8 RGB.

    backend: "auto" takes decord where it is installed and known to be exact for this file and frames are not sparse,
    and PyAV otherwise; a backend asked for by name reads the file itself or says why it cannot. All give the same
    pixels. ClipError.
    """
    if backend not in ("auto", *BACKENDS):
        raise UsageError(f"backend {backend!r}: expected one of {', '.join(('auto', *BACKENDS))}")
    scan = _whole(path)
    wanted = np.arange(scan.info.frames) if indices is None else np.asarray(indices, dtype=np.int64)
    if wanted.ndim != 1:
        raise UsageError(f"indices: expected a list of frame numbers, got shape {wanted.shape}")
    if wanted.size == 0:
        return np.empty((0, scan.info.height, scan.info.width, 3), np.uint8)
    if wanted.min() < 0 or wanted.max() >= scan.info.frames:
        bad = int(wanted.min() if wanted.min() < 0 else wanted.max())
        raise ClipError(path, f"frame {bad} was asked for, the file has frames 0 to {scan.info.frames - 1}")
    numbers, where = np.unique(wanted, return_inverse=True)
    frames: Frame | None = None
    if backend == "auto":
        # decord is read in sequence and converts every frame on the way; PyAV only those wanted
        sparse = 4 * len(numbers) <= numbers[-1]
        with suppress(ClipError):  # what decord cannot read may be far from what is asked for
            frames = None if sparse or _unfit(scan, "decord") else _read_decord(scan, numbers)
        if frames is None:
            frames = _read_pyav(scan, numbers)
    else:
        reason = _unfit(scan, backend)
        frames = None if reason else _READERS[backend](scan, numbers)
        if frames is None:
            reason = reason or f"it mistakes the layout of pictures {scan.info.width} px wide"
            raise ClipError(path, f"{backend} cannot be trusted with this file: {reason}; use backend 'auto' or 'pyav'")
    return frames if np.array_equal(where, np.arange(len(numbers))) else frames[where]


def iter_frames(path: str | Path, *, start: int = 0, stop: int | None = None, threads: int = 1) -> Iterator[Frame]:
    """Frames `start` to `stop` (excluded; None: to the end), one (H, W, 3) uint8 RGB array at a time, read by PyAV.

    Memory does not grow with the video; frames before `start` are decoded but not converted. ClipError.
    """
    scan = _whole(path)
    if not 0 <= start <= (scan.info.frames if stop is None else stop) <= scan.info.frames:
        raise ClipError(path, f"frames {start} to {stop} were asked for, the file has {scan.info.frames}")
    picture = _converter(scan)
    for _, frame in _every(scan, start, scan.info.frames if stop is None else stop, threads):
        yield picture(frame)


def iter_pictures(
    path: str | Path, *, start: int = 0, stop: int | None = None, threads: int = 1
) -> Iterator[tuple[int, Frame]]:
    """`iter_frames` with their numbers, of a file that may be damaged: frames that do not decode are left out."""
    scan = scan_file(path)
    picture = _converter(scan)
    for number, frame in pictures(scan, stop=stop, threads=threads):
        if number >= start:
            yield number, picture(frame)


def probe_damaged(path: str | Path) -> VideoInfo:
    """`probe(exact=False)` of a file that may be cut off: as many frames as it holds, and a note of what it lacks."""
    scan = scan_file(path)
    if not scan.cut_off:
        return scan.info
    return replace(scan.info, note="; ".join(filter(None, (scan.info.note, f"{scan.info.path.name}: {scan.cut_off}"))))


def frame_times(path: str | Path) -> NDArray[np.float64]:
    """When each frame is shown, in seconds from the first: (frames,). From the rate where the file does not say."""
    scan = scan_file(path)
    times = scan.times[scan.first :]
    if len(times) != scan.info.frames:
        return np.arange(scan.info.frames) / (scan.info.fps or 25.0)
    return times - times[0]


def write_video(
    path: str | Path,
    frames: Iterable[Frame],
    fps: float = 30.0,
    *,
    crf: int = 20,
    keyframe_interval: int | None = None,
    preset: str = "medium",
    planar: bool = False,
) -> None:
    """Write (H, W, 3) uint8 RGB frames as H.264 (yuv420p) in MP4, atomically, in memory that does not grow.

    One encoder thread and no dates: equal frames give equal bytes. Sides must be even (UsageError).
    keyframe_interval: the longest distance between key frames (None: the encoder's default of 250).
    preset: of x264, from "ultrafast" to "veryslow". planar: frames are yuv420p already, Y over U over V: (3 H / 2, W).
    """
    import av

    stream: Any = None
    options = {"movflags": "+faststart", "fflags": "+bitexact"}
    with atomic_path(path) as temporary, av.open(str(temporary), "w", format="mp4", options=options) as file:
        for number, frame in enumerate(frames):
            if stream is None:
                shape = frame.shape
                if planar and (len(shape) != 2 or shape[0] % 3 or shape[1] % 2 or 0 in shape):
                    raise UsageError(f"{path}: planar frames must be (3 H / 2, W) with even sides, got {shape}")
                if not planar and (len(shape) != 3 or shape[2] != 3 or shape[0] % 2 or shape[1] % 2 or 0 in shape):
                    raise UsageError(f"{path}: frames must be (H, W, 3) with even sides, got {shape}")
                stream = file.add_stream("libx264", rate=Fraction(fps).limit_denominator(100_000))
                height = shape[0] * 2 // 3 if planar else shape[0]
                stream.height, stream.width, stream.pix_fmt = height, shape[1], "yuv420p"
                stream.codec_context.thread_count = 1
                # macroblock-tree rate control gives other bytes from run to run on machines with AVX-512
                stream.codec_context.options = {"crf": str(crf), "preset": preset, "x264-params": "mbtree=0"}
                if keyframe_interval is not None:
                    stream.codec_context.gop_size = keyframe_interval
            if frame.shape != shape or frame.dtype != np.uint8:
                raise UsageError(f"{path}: frame {number} is {frame.dtype} {frame.shape}, expected uint8 {shape}")
            layout = "yuv420p" if planar else "rgb24"
            picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format=layout)
            picture.pts = number
            file.mux(stream.encode(picture))
        if stream is None:
            raise UsageError(f"{path}: there are no frames to write")
        file.mux(stream.encode(None))


def _whole(path: str | Path) -> Scan:
    """The scan of a file that is not cut off. ClipError."""
    result = scan_file(path)
    if result.cut_off:
        raise ClipError(path, result.cut_off)
    return result


def _every(whole: Scan, start: int, stop: int, threads: int = 1) -> Iterator[tuple[int, av.VideoFrame]]:
    """Numbers and pictures from `start` to `stop`, none missing. ClipError."""
    expected = start
    for number, picture in pictures(whole, stop=stop, threads=threads):
        if number < start:
            continue
        if number != expected:
            break
        yield number, picture
        expected += 1
    if expected != stop:
        raise ClipError(whole.info.path, f"frame {expected} of {whole.info.frames} is damaged: it cannot be decoded")


def _converter(scan: Scan) -> Callable[[av.VideoFrame], Frame]:
    """A function from decoded frames to upright RGB; one converter a video, as each keeps its tables."""
    from av.video.reformatter import VideoReformatter

    reformatter, turns, size = VideoReformatter(), scan.info.rotation // 90, (scan.info.height, scan.info.width)

    def convert(frame: av.VideoFrame) -> Frame:
        image: Any = reformatter.reformat(frame, format="rgb24", threads=1).to_ndarray()
        if turns:
            image = np.ascontiguousarray(np.rot90(image, turns))
        if image.shape[:2] != size:
            raise ClipError(scan.info.path, "the size of the frames changes inside the file")
        return image

    return convert


def _unfit(scan: Scan, backend: str) -> str | None:
    """Why `backend` would not give exactly the frames that PyAV does for this file; None: it does."""
    if backend == "pyav":
        return None
    if find_spec(backend) is None:
        return f"{backend} is not installed"
    if backend == "torchcodec" and scan.info.rotation:  # versions differ in whether they apply the display matrix
        return "it is rotated"
    return scan.special


def _read_pyav(scan: Scan, numbers: NDArray[np.int64]) -> Frame:
    video = np.empty((len(numbers), scan.info.height, scan.info.width, 3), np.uint8)
    picture, slot = _converter(scan), 0
    for number, frame in pictures(scan, stop=int(numbers[-1]) + 1):
        if number == numbers[slot]:
            video[slot] = picture(frame)
            slot += 1
        elif number > numbers[slot]:
            break
    if slot < len(numbers):
        raise ClipError(scan.info.path, f"frame {numbers[slot]} of {scan.info.frames} is damaged: it cannot be decoded")
    return video


def _read_decord(scan: Scan, numbers: NDArray[np.int64]) -> Frame | None:
    """In sequence, never by decord's own seeking: that lands on wrong frames in AVI, HEVC and open-GOP H.264.

    None where decord takes the padding of narrow rows for colour channels (pictures 48 or 72 px wide, for instance).
    """
    import decord

    decord.logging.set_level(decord.logging.QUIET)
    path = scan.info.path
    try:
        reader = decord.VideoReader(str(path.absolute()), num_threads=1)
        if len(reader) != scan.info.frames:
            raise ClipError(path, f"decord finds {len(reader)} frames of {scan.info.frames}")
        video = np.empty((len(numbers), scan.info.height, scan.info.width, 3), np.uint8)
        slot = 0
        for number in range(int(numbers[-1]) + 1):
            frame = reader.next()
            if frame.shape != video.shape[1:]:
                return None
            if number == numbers[slot]:
                video[slot] = frame.asnumpy()
                slot += 1
        return video
    except (decord.DECORDError, RuntimeError, IndexError, StopIteration, ValueError) as error:
        raise ClipError(path, f"cannot be decoded: {_reason(error)}") from error


def _read_torchcodec(scan: Scan, numbers: NDArray[np.int64]) -> Frame:
    from torchcodec.decoders import VideoDecoder

    path = scan.info.path
    try:
        decoder = VideoDecoder(str(path.absolute()), dimension_order="NHWC", num_ffmpeg_threads=1, seek_mode="exact")
        if len(decoder) != scan.info.frames:
            raise ClipError(path, f"torchcodec finds {len(decoder)} frames of {scan.info.frames}")
        return decoder.get_frames_at(numbers.tolist()).data.numpy()
    except (RuntimeError, ValueError, IndexError) as error:
        raise ClipError(path, f"cannot be decoded: {_reason(error)}") from error


_READERS = {"decord": _read_decord, "torchcodec": _read_torchcodec, "pyav": _read_pyav}


def _reason(error: Exception) -> str:
    """The last line that says anything: the others are the library's own source lines."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
