"""What a video file holds, packet by packet: which packets show a picture, in which order, and which are damaged.

Frames are numbered as they are shown, from the first picture that decodes (a recording may start between key frames).
Damage in the middle leaves a hole of its own number, so that all later frames keep theirs. An AVI's empty slots count:
the picture before them stays on screen.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tinylib.errors import ClipError

if TYPE_CHECKING:
    import av

COVER = 0x0400  # FFmpeg's AV_DISPOSITION_ATTACHED_PIC: a picture of the film, no film
UNBOUNDED = ("mpegts", "mpeg")  # containers that do not say how long they are: FFmpeg guesses
# What decord decodes bit for bit as PyAV does, read from the first frame on; anything else (AV1, 10-bit, Matroska, and
# HEVC, of which it mistakes some pixel formats) is PyAV's alone.
COMMON_CONTAINERS = ("mov,mp4,m4a,3gp,3g2,mj2", "avi")
COMMON_CODECS = ("h264", "mpeg4")
COMMON_FORMATS = ("yuv420p", "yuvj420p")
# codecs of which every packet has a picture, but for VP8's hidden ones and the fields of interlaced video
KNOWN = ("h264", "hevc", "mpeg4", "mpeg1video", "mpeg2video", "mjpeg", "vp8", "vp9", "av1", "png", "rawvideo")

Numbers = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class VideoInfo:
    """What a file holds; width and height as displayed, that is after `rotation` (degrees counter-clockwise)."""

    path: Path
    frames: int
    fps: float
    width: int
    height: int
    rotation: int
    note: str = ""  # what is not shown of it, and why


@dataclass(frozen=True, slots=True)
class Scan:
    """What one pass over the packets tells. `rank`: place of each packet's picture in display order, -1: it has none.

    `slots`: the frame number of each picture by rank, and the number past the last. `times`: when each picture is
    shown, in seconds, by rank; empty where the packets do not say. `hurt`: packets that are not to be trusted.
    """

    info: VideoInfo
    special: str | None  # why only PyAV reads it exactly; None: every backend does
    cut_off: str | None  # why the file is not whole
    rank: Numbers
    first: int  # rank of the first picture that decodes
    slots: Numbers
    times: NDArray[np.float64]
    keys: NDArray[np.bool_]
    hurt: NDArray[np.bool_]
    ordered: bool  # the packets tell the display order
    sparse: bool  # packets may have no picture without being damaged: only decoding tells


@contextmanager
def opened(path: str | Path) -> Iterator[tuple[Any, Any]]:
    """The container and its film (the first video stream that is no cover); what goes wrong becomes a ClipError."""
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
            films = [each for each in container.streams.video if not int(each.disposition) & COVER]
            if not films:
                raise ClipError(path, "there is no video stream but a cover picture")
            film = films[0]
            if film.codec_context is None:
                raise ClipError(path, "its video is in no known format")
            yield container, film
    except (av.FFmpegError, OSError, ValueError, ArithmeticError, MemoryError) as error:
        text = (str(error) or type(error).__name__).splitlines()[0]
        raise ClipError(path, f"cannot be decoded: {text}") from error


def scan_file(path: str | Path) -> Scan:
    """Count the packets, compare with what the container claims, and decode the first frame. ClipError."""
    path = Path(path)
    try:
        facts = path.stat()
    except OSError:
        return _scan(path, 0, 0, 0)
    return _scan(path, facts.st_size, facts.st_mtime_ns, facts.st_ino)


@dataclass(slots=True)
class _Clock:
    """Time stamps of packets; where a joined file's clock starts anew, they go on from the packet before."""

    offset: int = 0
    last: int | None = None
    step: int = 1

    def __call__(self, packet: av.Packet) -> int | None:
        if packet.dts is not None:
            stamp = packet.dts + self.offset
            back = self.last - stamp if self.last is not None else 0
            if back > 0 and (packet.is_keyframe or back * packet.time_base > 1):
                self.offset += back + self.step
                stamp += back + self.step
            if self.last is not None and stamp > self.last:
                self.step = stamp - self.last
            self.last = stamp
        return None if packet.pts is None else packet.pts + self.offset


@dataclass(slots=True)
class _Packets:
    """The film's packets as they lie in the file."""

    stamps: list[int | None] = field(default_factory=list)
    decoding: list[int] = field(default_factory=list)
    shows: list[bool] = field(default_factory=list)
    keys: list[bool] = field(default_factory=list)
    damaged: list[int] = field(default_factory=list)
    stand_ins: int = 0
    hidden: int = 0

    def add(self, packet: av.Packet, codec: str, clock: _Clock) -> None:
        """Note a packet, and number it: what is decoded of it will bear the number as its time."""
        # XviD's stand-in for its own delay; VP8's picture for later reference alone (RFC 6386, 9.1); an edit list's
        stand_in = codec == "mpeg4" and packet.size == 1
        hidden = packet.is_discard or (codec == "vp8" and not bytes(packet)[0] & 0x10)
        self.stand_ins, self.hidden = self.stand_ins + stand_in, self.hidden + hidden
        if packet.is_corrupt:
            self.damaged.append(len(self.shows))
        self.stamps.append(clock(packet))
        if packet.dts is not None:
            self.decoding.append(packet.dts)
        self.keys.append(packet.is_keyframe)
        packet.pts = len(self.shows)
        self.shows.append(not (stand_in or hidden))


@lru_cache(maxsize=32)
def _scan(path: Path, size: int, changed: int, node: int) -> Scan:
    """`scan_file` of a file of this size, date and place on the disk."""
    film, clock = _Packets(), _Clock()
    end = gap = 0.0  # last packet of any stream, and the longest step between two (seconds)
    first = None
    with opened(path) as (container, stream):
        stream.codec_context.thread_count = 1
        codec, claimed, form = stream.codec_context.name, stream.frames, container.format.name
        rate, base = stream.average_rate or stream.guessed_rate, stream.time_base
        for packet in container.demux():
            if packet.size and packet.pts is not None and packet.time_base:
                until = float((packet.pts + (packet.duration or 0)) * packet.time_base)
                end, gap = max(end, until), max(gap, until - end)
            if packet.stream_index != stream.index:
                continue
            if packet.size:
                film.add(packet, codec, clock)
            if first is None:
                first = next((frame for frame in _decoded(packet) or () if not frame.is_corrupt), None)
        if first is None:
            raise ClipError(path, "there is no frame in it")
        duration, start = container.duration or 0, max(0, container.start_time or 0)
        covered = stream.index != container.streams.video[0].index
    rank, order, ordered = _ranks(film, form)
    lead = _lead(first, film, rank, ordered)
    slots = np.arange(len(order) + 1)
    if form == "avi":
        slots = _avi_slots(path, film, order, claimed)
    reached = max(len(film.shows), int(slots[-1]), max(film.decoding, default=-1) + 1 if form == "avi" else 0)
    slots = np.maximum(slots - slots[lead], 0) if lead else slots
    cut_off, missing = None, duration / 1e6 - (end - start / 1e6)
    if reached < claimed:
        cut_off = f"the file is cut off: it claims {claimed} frames and holds {len(film.shows)}"
    elif not claimed and form not in UNBOUNDED and missing > max(0.1, 1.5 * gap):
        cut_off = f"the file is cut off {missing:.2f} s before the end of the {duration / 1e6:.2f} s it claims"
    if first.rotation % 90:
        raise ClipError(path, f"turned by {first.rotation} degrees: only quarter turns can be set upright")
    width, height = (first.height, first.width) if first.rotation % 180 else (first.width, first.height)
    special = None
    if form not in COMMON_CONTAINERS or codec not in COMMON_CODECS or first.format.name not in COMMON_FORMATS:
        special = f"it is {codec} video with {first.format.name} pixels in {form}"
    elif film.stand_ins or film.hidden:
        special = "it holds packets that are not shown"
    elif lead or covered or film.damaged or not np.array_equal(slots, np.arange(len(order) + 1)):
        special = "not every packet is a frame of its own"
    note = f"{path.name}: {lead} pictures before the first whole one cannot be shown" if lead else ""
    result = Scan(
        info=VideoInfo(path, int(slots[-1]), float(rate or 0), width, height, first.rotation % 360, note),
        special=special,
        cut_off=cut_off,
        rank=rank,
        first=lead,
        slots=slots,
        times=np.array([float(film.stamps[n] * base) for n in order]) if ordered and base else np.empty(0),
        keys=np.array(film.keys),
        hurt=_hurt(film, rank, joined=form in UNBOUNDED),
        ordered=ordered,
        sparse=bool(first.interlaced_frame) or codec not in KNOWN,
    )
    if result.sparse:
        frames = max((number for number, _ in pictures(result)), default=-1) + 1
        if frames != result.info.frames:
            result = replace(result, info=replace(result.info, frames=frames), special="some packets have no picture")
    return result


def _decoded(packet: av.Packet) -> list[av.VideoFrame] | None:
    """The pictures that come out as a packet goes in; None: the decoder refuses it."""
    import av

    try:
        frames: list[av.VideoFrame] = packet.decode()
    except av.FFmpegError:
        return None
    return frames


def _ranks(film: _Packets, form: str) -> tuple[Numbers, list[int], bool]:
    """Rank in display order of each packet, packets by rank, and whether the file tells that order at all."""
    shown = [number for number, shows in enumerate(film.shows) if shows]
    stamps = film.stamps
    # an AVI tells when packets are due, and no order of pictures: that of their arrival is right
    ordered = form != "avi" and not film.stand_ins and all(stamps[number] is not None for number in shown)
    order = sorted(shown, key=lambda number: (stamps[number] or 0, number)) if ordered else shown
    rank = np.full(len(film.shows), -1, np.int64)
    rank[order] = np.arange(len(order))
    return rank, order, ordered


def _lead(first: av.VideoFrame, film: _Packets, rank: Numbers, ordered: bool) -> int:
    """How many pictures there are before the first that decodes."""
    if ordered and first.pts is not None and 0 <= first.pts < len(rank):
        return max(int(rank[first.pts]), 0)
    return film.keys.index(True) if True in film.keys else 0


def _avi_slots(path: Path, film: _Packets, order: list[int], claimed: int) -> Numbers:
    """The slot of each picture of an AVI by rank, and how many slots there are: its time stamps count them."""
    plain = np.arange(len(order) + 1)
    if not order or film.stand_ins or len(film.decoding) != len(film.shows):
        return plain
    slots = np.array([film.decoding[number] for number in order], np.int64)
    if slots[0] < 0 or (np.diff(slots) < 1).any() or slots[-1] > 1000 + 100 * len(order):
        return plain
    with path.open("rb") as file:
        whole = path.stat().st_size >= 8 + int.from_bytes(file.read(8)[4:], "little")
    return np.append(slots, max(int(slots[-1]) + 1, claimed if whole else 0))


def _hurt(film: _Packets, rank: Numbers, *, joined: bool) -> NDArray[np.bool_]:
    """Packets that the container calls damaged, and what is predicted from them.

    A transport stream's counter also jumps where two streams were joined: there a key frame follows.
    """
    hurt, keys = np.zeros(len(rank), bool), np.array(film.keys)
    for number in film.damaged:
        if not (joined and keys[number + 1 : number + 3].any()):
            _spread(hurt, number, keys, rank)
    return hurt


def _spread(hurt: NDArray[np.bool_], number: int, keys: NDArray[np.bool_], rank: Numbers) -> None:
    """Mark packet `number` and all that may be predicted from it: to the next key frame, and its leading pictures."""
    after = np.flatnonzero(keys[number + 1 :])
    key = number + 1 + int(after[0]) if len(after) else len(hurt)
    hurt[number:key] = True
    if key < len(hurt):
        near = slice(key + 1, key + 17)
        hurt[near] |= (rank[near] < rank[key]) & (rank[near] >= 0)


def pictures(scan: Scan, *, stop: int | None = None, threads: int = 1) -> Iterator[tuple[int, av.VideoFrame]]:
    """Frame numbers and decoded pictures as they are shown, an empty slot's being the one before it.

    What is damaged, or predicted from what is, is left out: its numbers do not come.
    """
    stop = max(scan.info.frames, 0 if not scan.sparse else int(scan.slots[-1])) if stop is None else stop
    hurt, delay = scan.hurt.copy(), 0 if threads == 1 else 16  # threads tell of damage later
    done, number = scan.first, 0  # rank and frame number that come next
    with opened(scan.info.path) as (container, stream):
        stream.thread_type = "AUTO" if threads != 1 else "SLICE"
        stream.codec_context.thread_count = threads
        if hurt.any() or scan.info.note:  # guesses at what is missing are no pictures
            stream.codec_context.options = {"err_detect": "explode"}
        packets = 0
        for packet in container.demux(stream):
            if packet.size:
                packet.pts = packets
                packets += 1
            frames = _decoded(packet)
            here = min(packets, len(hurt)) - 1
            if frames is None and here >= 0 and (scan.rank[here] if scan.ordered else here) >= scan.first:
                done += not scan.ordered
                _spread(hurt, max(0, here - delay), scan.keys, scan.rank)
            for frame in frames or ():
                place = frame.pts if frame.pts is not None and 0 <= frame.pts < len(scan.rank) else -1
                rank = int(scan.rank[place]) if scan.ordered and place >= 0 else done
                if rank < done or rank >= len(scan.slots) - 1:
                    continue
                if scan.sparse:
                    number += int((hurt & (scan.rank >= done) & (scan.rank < rank)).sum())
                    span = range(number, number + 1)
                else:
                    span = range(int(scan.slots[rank]) if rank > scan.first else 0, int(scan.slots[rank + 1]))
                done, number = rank + 1, span.stop
                if frame.is_corrupt or (place >= 0 and hurt[place]):
                    continue
                for each in span:
                    if each >= stop:
                        return
                    yield each, frame
            if number >= stop:
                return
