"""Frames out of video files, and frames into them.

A clip is read whole and exactly or refused with the reason: frames are counted and checked against what the container
claims, because decoders return fewer frames, or repeat the last one, without a word. Frames are numbered in display
order, turned upright by the display matrix, with pixels as stored (the sample aspect ratio is not applied).

Readers are opened inside each call and closed before it returns, with one thread, so every function is safe in forked
and spawned workers; nothing but the path travels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinylib.errors import ClipError, UsageError
from tinylib.files import atomic_path

BACKENDS = ("decord", "torchcodec", "pyav")

# What decord decodes bit for bit as PyAV does, read from the first frame on; anything else (AV1, 10-bit, Matroska, and
# HEVC, of which it mistakes some pixel formats) is PyAV's alone.
COMMON_CONTAINERS = ("mov,mp4,m4a,3gp,3g2,mj2", "avi")
COMMON_CODECS = ("h264", "mpeg4")
COMMON_FORMATS = ("yuv420p", "yuvj420p")

Frame = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class VideoInfo:
    """What a file holds; width and height as displayed, that is after `rotation` (degrees counter-clockwise)."""

    path: Path
    frames: int
    fps: float
    width: int
    height: int
    rotation: int


@dataclass(frozen=True, slots=True)
class _Scan:
    """What one pass over the packets tells without decoding them."""

    info: VideoInfo
    special: str | None  # why only PyAV reads it exactly; None: every backend does


def probe(path: str | Path, *, exact: bool = True) -> VideoInfo:
    """Size, rate and number of frames; `exact` decodes them all, otherwise the packets are counted. ClipError."""
    scan = _scan(path)
    if exact:
        for _ in _decode(scan, stop=None):
            pass
    return scan.info


def read_frames(
    path: str | Path, indices: Sequence[int] | NDArray[Any] | None = None, *, backend: str = "auto"
) -> Frame:
    """The frames at `indices` (None: all), in that order, repeats included: (T, H, W, 3) uint8 RGB.

    backend: "auto" takes decord where it is installed and known to be exact for this file and frames are not sparse,
    and PyAV otherwise; a backend asked for by name reads the file itself or says why it cannot. All give the same
    pixels. ClipError.
    """
    if backend not in ("auto", *BACKENDS):
        raise UsageError(f"backend {backend!r}: expected one of {', '.join(('auto', *BACKENDS))}")
    scan = _scan(path)
    wanted = np.arange(scan.info.frames) if indices is None else np.asarray(indices, dtype=np.int64)
    if wanted.ndim != 1:
        raise UsageError(f"indices: expected a list of frame numbers, got shape {wanted.shape}")
    if wanted.size == 0:
        return np.empty((0, scan.info.height, scan.info.width, 3), np.uint8)
    if wanted.min() < 0 or wanted.max() >= scan.info.frames:
        bad = int(wanted.min() if wanted.min() < 0 else wanted.max())
        raise ClipError(path, f"frame {bad} was asked for, the file has frames 0 to {scan.info.frames - 1}")
    numbers, where = np.unique(wanted, return_inverse=True)
    frames: Frame | None
    if backend == "auto":
        # decord is read in sequence and converts every frame on the way; PyAV only those wanted
        sparse = 4 * len(numbers) <= numbers[-1]
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
    scan = _scan(path)
    if not 0 <= start <= (scan.info.frames if stop is None else stop) <= scan.info.frames:
        raise ClipError(path, f"frames {start} to {stop} were asked for, the file has {scan.info.frames}")
    picture = _converter(scan)
    for number, frame in _decode(scan, stop=stop, threads=threads):
        if number >= start:
            yield picture(frame)


def frame_times(path: str | Path) -> NDArray[np.float64]:
    """When each frame is shown, in seconds from the first: (frames,). From the rate where the file does not say."""
    scan, stamps = _scan(path), []
    with _open(path) as (container, stream):
        for packet in container.demux(stream):
            if packet.size and not packet.is_discard and packet.pts is not None:
                stamps.append(float(packet.pts * packet.time_base))
    if len(stamps) != scan.info.frames:
        return np.arange(scan.info.frames) / (scan.info.fps or 25.0)
    times: NDArray[np.float64] = np.sort(np.array(stamps)) - min(stamps)
    return times


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


@contextmanager
def _open(path: str | Path) -> Iterator[tuple[Any, Any]]:
    """The container and its first video stream; whatever goes wrong inside becomes a ClipError."""
    import av

    path = Path(path)
    if not path.is_file():
        raise ClipError(path, "is a directory" if path.is_dir() else "no such file")
    if path.stat().st_size == 0:
        raise ClipError(path, "the file is empty")
    try:
        # an absolute path is never taken for a protocol, and a playlist cannot reach the network
        with av.open(str(path.absolute()), options={"protocol_whitelist": "file"}) as container:
            if not container.streams.video:
                raise ClipError(path, "there is no video stream")
            if container.streams.video[0].codec_context is None:
                raise ClipError(path, "its video is in no known format")
            yield container, container.streams.video[0]
    except (av.FFmpegError, OSError, ValueError, ArithmeticError) as error:
        raise ClipError(path, f"cannot be decoded: {str(error).splitlines()[0]}") from error


def _scan(path: str | Path) -> _Scan:
    """Count the packets, compare with what the container claims, and decode the first frame for size and rotation."""
    path = Path(path)
    packets = discarded = placeholders = 0
    end = gap = reached = 0.0  # last packet of any stream and longest step (seconds); last of the video (frames)
    first = None
    with _open(path) as (container, stream):
        stream.codec_context.thread_count = 1
        codec, claimed = stream.codec_context.name, stream.frames
        rate = stream.average_rate or stream.guessed_rate
        for packet in container.demux():
            if packet.size and packet.pts is not None and packet.time_base:
                until = float((packet.pts + (packet.duration or 0)) * packet.time_base)
                end, gap = max(end, until), max(gap, until - end)
            if packet.stream_index != stream.index:
                continue
            if packet.size:
                packets += 1
                discarded += packet.is_discard
                placeholders += codec == "mpeg4" and packet.size == 1  # XviD's stand-in for its own delay: no picture
                if packet.dts is not None:
                    reached = max(reached, float((packet.dts + 1) * packet.time_base * rate) if rate else 0.0)
                if packet.is_corrupt:
                    raise ClipError(path, f"the file is damaged or cut off at frame {packets - 1}" + _of(claimed))
            if first is None:
                first = next(iter(packet.decode()), None)
        # AVI stores a repeated picture as an empty chunk, which counts as time but is not a packet
        seen = max(packets, round(reached)) if container.format.name == "avi" else packets
        if seen < claimed:
            raise ClipError(path, f"the file is cut off: it claims {claimed} frames and holds {packets}")
        missing = (container.duration or 0) / 1e6 - (end - max(0, container.start_time or 0) / 1e6)
        if not claimed and missing > max(0.1, 1.5 * gap):
            raise ClipError(
                path,
                f"the file is cut off {missing:.2f} s before the end of the {container.duration / 1e6:.2f} s it claims",
            )
        if first is None:
            raise ClipError(path, "there is no frame in it")
        container_name, pixels = container.format.name, first.format.name
    if first.rotation % 90:
        raise ClipError(path, f"turned by {first.rotation} degrees: only quarter turns can be set upright")
    width, height = (first.height, first.width) if first.rotation % 180 else (first.width, first.height)
    shown = packets - discarded - placeholders
    special = None
    if container_name not in COMMON_CONTAINERS or codec not in COMMON_CODECS or pixels not in COMMON_FORMATS:
        special = f"it is {codec} video with {pixels} pixels in {container_name}"
    elif shown < packets:
        special = "it holds packets that are not shown"
    return _Scan(VideoInfo(path, shown, float(rate or 0), width, height, first.rotation % 360), special)


def _of(claimed: int) -> str:
    return f" of {claimed}" if claimed else ""


def _decode(scan: _Scan, *, stop: int | None, threads: int = 1) -> Iterator[tuple[int, Any]]:
    """Number and frame in display order; a damaged frame, or fewer frames than packets, is a ClipError."""
    path, expected = scan.info.path, scan.info.frames
    stop = expected if stop is None else stop
    number = 0
    with _open(path) as (container, stream):
        stream.thread_type = "AUTO" if threads != 1 else "SLICE"
        stream.codec_context.thread_count = threads
        for frame in container.decode(stream):
            if number == stop < expected:
                return
            if frame.is_corrupt:
                raise ClipError(path, f"frame {number} of {expected} is damaged")
            if number < stop:
                yield number, frame
            number += 1
    if number != expected:
        raise ClipError(path, f"{number} frames could be decoded of {expected}")


def _converter(scan: _Scan) -> Callable[[Any], Frame]:
    """A function from decoded frames to upright RGB; one converter a video, as each keeps its tables."""
    from av.video.reformatter import VideoReformatter

    reformatter, turns, size = VideoReformatter(), scan.info.rotation // 90, (scan.info.height, scan.info.width)

    def convert(frame: Any) -> Frame:
        image: Any = reformatter.reformat(frame, format="rgb24", threads=1).to_ndarray()
        if turns:
            image = np.ascontiguousarray(np.rot90(image, turns))
        if image.shape[:2] != size:
            raise ClipError(scan.info.path, "the size of the frames changes inside the file")
        return image

    return convert


def _unfit(scan: _Scan, backend: str) -> str | None:
    """Why `backend` would not give exactly the frames that PyAV does for this file; None: it does."""
    if backend == "pyav":
        return None
    if find_spec(backend) is None:
        return f"{backend} is not installed"
    if backend == "torchcodec" and scan.info.rotation:  # versions differ in whether they apply the display matrix
        return "it is rotated"
    return scan.special


def _read_pyav(scan: _Scan, numbers: NDArray[np.int64]) -> Frame:
    video = np.empty((len(numbers), scan.info.height, scan.info.width, 3), np.uint8)
    picture, slot = _converter(scan), 0
    for number, frame in _decode(scan, stop=int(numbers[-1]) + 1):
        if number == numbers[slot]:
            video[slot] = picture(frame)
            slot += 1
    return video


def _read_decord(scan: _Scan, numbers: NDArray[np.int64]) -> Frame | None:
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


def _read_torchcodec(scan: _Scan, numbers: NDArray[np.int64]) -> Frame:
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
