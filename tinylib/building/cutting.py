"""Cut the windows of a video into clips in one pass, and do so for many videos on many processes."""

from __future__ import annotations

import hashlib
import json
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tinylib.building.rules import Window
from tinylib.datasets.index import read_json
from tinylib.errors import AnnotationError, ClipError, UsageError, WorkerKilled
from tinylib.files import Json, sha256, write_json
from tinylib.video import iter_pictures, probe_damaged, write_video
from tinylib.workers import as_finished, cores

ENCODING = "x264 crf 20, 1"  # part of every video's key: raise the number when the written bytes change
PENDING = 2  # clips that may wait for the encoder
STATE = ".build"  # what is done: one file a video


@dataclass(frozen=True)
class Task:
    """One video to cut into numbered clips: OUT/<folder>/<id>.mp4, folder = videos/<split>/<video_id>."""

    video: Path | None  # None: it is not there; what was cut of it before still is
    out: Path
    folder: str
    clips: tuple[tuple[str, Window], ...]

    @property
    def state(self) -> Path:
        return self.out / STATE / f"{self.folder.removeprefix('videos/')}.json"

    @property
    def windows(self) -> list[list[object]]:
        """What is cut, as the state remembers it."""
        return [[name, w.start, w.end, list(w.box)] for name, w in self.clips]

    def key(self) -> str:
        """Hash of everything that the written files depend on."""
        assert self.video is not None
        facts = [ENCODING, self.video.name, self.video.stat().st_size, self.windows]
        return hashlib.sha256(json.dumps(facts).encode()).hexdigest()

    def agrees(self, state: Json) -> bool:
        """Whether a state is of this task; of a video that is not there, as far as its windows tell."""
        if self.video is not None:
            return bool(state.get("key") == self.key())
        names = {f"{self.folder}/{name}.mp4" for name, _ in self.clips}
        return bool(state.get("windows", self.windows) == self.windows and set(state["files"]) <= names)


@dataclass(frozen=True)
class Done:
    """What became of a task: hashes of its files, and (file, reason) of what is bad."""

    files: dict[str, str] = field(default_factory=dict)
    bad: list[tuple[str, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    reused: bool = False


def cut(task: Task) -> Done:
    """Write every clip of a video, reading it once from its first to its last needed frame.

    Memory holds the crops of the windows that are open, nothing else. A finished video is remembered with its key and
    hashes and is not cut again; an unfinished one starts over. A clip that lacks a frame is left out and named.
    """
    if done := finished(task):
        return done
    assert task.video is not None
    clear(task.out, task.folder)
    done = Done()
    try:
        info = probe_damaged(task.video)
        done.notes.extend([info.note] * bool(info.note))
        for name, window in task.clips:
            if window.end >= info.frames:
                span = f"frames {window.start} to {window.end}"
                done.bad.append((f"{task.folder}/{name}.mp4", f"{span} of {task.video.name}, which has {info.frames}"))
        clips = sorted((c for c in task.clips if c[1].end < info.frames), key=lambda clip: clip[1].start)
        if clips:
            _stream(task, clips, info.fps or 30.0, done)
    except ClipError as error:
        clear(task.out, task.folder)
        done = Done(bad=[(str(task.video), str(error))])
    state = {"key": task.key(), "windows": task.windows, "files": done.files, "bad": done.bad}
    write_json(task.state, state | {"notes": done.notes})
    return done


def finished(task: Task) -> Done | None:
    """What an earlier build made of exactly this task, if all of it is there."""
    try:
        state = read_json(task.state)
        if not task.agrees(state) or any(sha256(task.out / path) != digest for path, digest in state["files"].items()):
            return None
        bad = [(file, reason) for file, reason in state["bad"]]
        return Done(state["files"], bad, list(state.get("notes", [])), reused=True)
    except (AnnotationError, OSError, KeyError, TypeError):  # nothing remembered, or not what we wrote
        return None


def outdated(out: Path, tasks: Mapping[str, Task]) -> tuple[int, list[str]]:
    """Clips in `out` that these tasks would not leave as they are: how many, and the folders that they lie in."""
    clips, folders = 0, []
    for file in sorted((out / STATE).glob("*/*.json")):
        folder = f"videos/{file.parent.name}/{file.name.removesuffix('.json')}"
        try:
            state = read_json(file)
            lost = len(state["files"]) if folder not in tasks or not tasks[folder].agrees(state) else 0
        except (AnnotationError, KeyError, TypeError):  # not what we wrote: the clips may be anybody's
            lost = sum(1 for _ in (out / folder).glob("*.mp4"))
        if lost:
            clips += lost
            folders.append(folder)
    return clips, folders


def clear(out: Path, folder: str) -> None:
    """Remove the clips of a video, unfinished ones too, and the memory of having cut it."""
    Task(Path(), out, folder, ()).state.unlink(missing_ok=True)
    place = out / folder
    if place.is_dir():
        for path in place.iterdir():
            if path.suffix == ".mp4":
                path.unlink(missing_ok=True)
        if not any(place.iterdir()):
            place.rmdir()


def _stream(task: Task, clips: Sequence[tuple[str, Window]], fps: float, done: Done) -> None:
    """Decode once, crop what is open, and hand finished clips to an encoder thread: codecs release the interpreter."""
    assert task.video is not None
    last = max(window.end for _, window in clips)
    waiting, pending = deque(clips), deque[Future[tuple[str, str]]]()
    open_clips: list[OpenClip] = []
    with ThreadPoolExecutor(1, thread_name_prefix="encode") as encoder:
        try:
            following = waiting[0][1].start  # the frame that comes next where none is missing
            for number, frame in iter_pictures(task.video, start=following, stop=last + 1):
                if number > following:
                    open_clips = _broken(task, open_clips, waiting, following, number, done)
                while waiting and waiting[0][1].start == number:
                    open_clips.append((*waiting.popleft(), []))
                for name, window, frames in open_clips:
                    frames.append(crop(frame, window.box))
                    if window.end == number:
                        pending.append(encoder.submit(_encode, task.out, f"{task.folder}/{name}.mp4", frames, fps))
                del frame  # before the next is decoded: its memory is reused at once, which halves the time of a frame
                open_clips = [clip for clip in open_clips if clip[1].end > number]
                while len(pending) > PENDING:
                    done.files.update([pending.popleft().result()])
                following = number + 1
            _broken(task, open_clips, waiting, following, last + 1, done)
            done.files.update(future.result() for future in pending)
        finally:
            for future in pending:
                future.cancel()


OpenClip = tuple[str, Window, list[NDArray[np.uint8]]]


def _broken(
    task: Task, clips: list[OpenClip], waiting: deque[tuple[str, Window]], start: int, stop: int, done: Done
) -> list[OpenClip]:
    """The open clips that lack none of the frames `start` to `stop`, which do not decode; the others are named."""
    assert task.video is not None
    lost = [(name, window) for name, window, _ in clips if window.end >= start]
    while waiting and waiting[0][1].start < stop:
        lost.append(waiting.popleft())
    for name, window in lost:
        reason = f"frames {window.start} to {window.end} of {task.video.name}, of which {max(start, window.start)} "
        done.bad.append((f"{task.folder}/{name}.mp4", reason + "is missing: it does not decode"))
    return [clip for clip in clips if clip[1].end < start]


def _encode(out: Path, path: str, frames: list[NDArray[np.uint8]], fps: float) -> tuple[str, str]:
    write_video(out / path, frames, fps)
    frames.clear()
    return path, sha256(out / path)


def crop(frame: NDArray[np.uint8], box: tuple[int, int, int, int]) -> NDArray[np.uint8]:
    """A copy of a square of a (H, W, 3) frame: shifted inside where it leaves it, edges repeated where it is larger."""
    height, width = frame.shape[:2]
    side = box[2] - box[0]
    x = min(max(box[0], 0), max(width - side, 0))
    y = min(max(box[1], 0), max(height - side, 0))
    patch = frame[y : y + side, x : x + side]
    missing = side - patch.shape[0], side - patch.shape[1]
    if any(missing):
        around = [(gap // 2, gap - gap // 2) for gap in missing]
        return np.pad(patch, (*around, (0, 0)), mode="edge")
    return patch.copy()


def run(tasks: Sequence[Task], workers: int | None, scheduler: str | None) -> Iterator[tuple[Task, Done]]:
    """Tasks with what became of them, as they finish: in this process, on local processes, or on a dask cluster."""
    if workers is not None and workers < 0:
        raise UsageError(f"workers: expected 0 or more, got {workers}")
    workers = min(cores() if workers is None else workers, len(tasks))
    order = list(tasks)
    if scheduler is not None or workers > 1:  # the longest first, so that none is left alone at the end
        order.sort(key=lambda task: -task.video.stat().st_size if task.video else 0)
    jobs = [(task,) for task in order]
    for (task,), result in as_finished(cut, jobs, workers, scheduler=scheduler, name=lambda job: str(job[0].video)):
        try:
            yield task, result()
        except WorkerKilled:
            yield task, Done(bad=[(str(task.video), "the processes that worked on it were killed (memory?)")])
