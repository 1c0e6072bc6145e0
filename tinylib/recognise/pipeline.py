"""A video in, actions out: where somebody moves, tiny clips cut there, a network's scores and maps, a timeline.

Nothing of the video is held but the clips that are open: an hour needs no more memory than a minute. The network reads
the clips back from their files, so that it sees what it would see in a dataset, codec and all, and any row of the
timeline can be looked at and scored again.
"""

from __future__ import annotations

import math
import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from tinylib.annotations.boxes import read_boxes, within
from tinylib.annotations.tracks import Track
from tinylib.building.cutting import crop
from tinylib.building.rules import Window, even, square
from tinylib.datasets.index import Clip, Index
from tinylib.datasets.loading import ClipDataset
from tinylib.datasets.sampling import evenly, make_views
from tinylib.datasets.store import ClipStore, resize_video
from tinylib.errors import ClipError, DataError, UsageError
from tinylib.evaluation.model_card import Trained, open_model
from tinylib.evaluation.scores import Scores, predict
from tinylib.files import Json, atomic_path, locked, set_aside
from tinylib.models import attention_maps
from tinylib.progress import track as shown
from tinylib.recognise.drawing import annotate, overlay
from tinylib.recognise.proposals import ProposalConfig, propose
from tinylib.recognise.timeline import Seen, Timeline
from tinylib.video import VideoInfo, frame_times, iter_pictures, probe_damaged, read_frames, write_video

Frames = NDArray[np.uint8]
PICTURES = 24  # frames at most in the film of a map; the .npz has all
MARK = ".recognised"  # says that what is in a folder was put there by us, finished or not


@dataclass(frozen=True)
class CutConfig:
    """How tracks become clips: TinyVIRAT's lengths and sides, as `datasets.construct.ViratRule` has them."""

    min_frames: int = 40
    usual_frames: int = 94  # the dataset's mean: tracks are divided into equal clips near it
    max_frames: int = 150
    min_side: int = 8
    max_side: int = 128  # larger clips are shrunk to it

    def __post_init__(self) -> None:
        if not 2 <= self.min_frames <= self.usual_frames <= self.max_frames or 2 * self.min_frames > self.max_frames:
            raise UsageError(f"min_frames: expected 2 to {self.max_frames // 2}, got {self.min_frames}")
        if not 2 <= self.min_side <= self.max_side or self.max_side % 2:
            raise UsageError("max_side: expected an even number, no less than min_side")


def track_windows(video_id: str, track: Track, config: CutConfig) -> list[Window]:
    """Equal consecutive clips of a track, each one square around everywhere it was meanwhile (even sides).

    Clips have about the usual length, and become shorter, down to min_frames, where that keeps them within max_side.
    """
    frames = np.array(sorted(track.boxes), np.int64)
    boxes = np.array([track.boxes[int(frame)] for frame in frames]).reshape(-1, 4)
    length = int(frames[-1] - frames[0] + 1) if len(frames) else 0
    if length < config.min_frames:
        return []
    fewest = max(1, math.ceil(length / config.max_frames), round(length / config.usual_frames))
    most = max(fewest, length // config.min_frames)
    for count in range(min(fewest, length // config.min_frames), most + 1):
        edges = np.linspace(frames[0], frames[-1] + 1, count + 1).round().astype(int)
        cut = [w for a, b in pairwise(edges) if (w := _window(video_id, track, frames, boxes, a, b))]
        if all(window.side <= config.max_side for window in cut):
            break
    return [replace(w, box=square(w.box, max(w.side, even(config.min_side)))) for w in cut]


def _window(
    video_id: str, track: Track, frames: NDArray[np.int64], boxes: NDArray[np.float64], start: int, stop: int
) -> Window | None:
    inside = boxes[(frames >= start) & (frames < stop)]
    if not len(inside):
        return None
    (x0, y0), (x1, y1) = inside[:, :2].min(0).tolist(), inside[:, 2:].max(0).tolist()
    box = square((x0, y0, x1, y1), even(max(x1 - x0, y1 - y0)))
    return Window(video_id, track.id, int(start), int(stop) - 1, box, ())


def cut_clips(video: str | Path, windows: Sequence[Window], fps: float, max_side: int) -> Iterator[tuple[int, Frames]]:
    """(place in `windows`, frames) of every clip as it ends, reading the video once; memory holds open clips alone.

    A clip of which a frame does not decode does not come.
    """
    import cv2

    order = sorted(range(len(windows)), key=lambda place: windows[place].start)
    waiting = iter([*order, None])
    following = next(waiting)
    going: dict[int, list[Frames]] = {}
    start, stop = windows[order[0]].start, max(window.end for window in windows) + 1
    expected = start
    for number, frame in iter_pictures(video, start=start, stop=stop):
        if number > expected:  # damage: clips that touch it are left out
            going.clear()
            while following is not None and windows[following].start < number:
                following = next(waiting)
        expected = number + 1
        while following is not None and windows[following].start == number:
            going[following] = []
            following = next(waiting)
        for place in list(going):
            patch = crop(frame, windows[place].box)
            if patch.shape[0] > max_side:
                patch = cv2.resize(patch, (max_side, max_side), interpolation=cv2.INTER_AREA).astype(np.uint8)
            going[place].append(patch)
            if windows[place].end == number:
                yield place, np.stack(going.pop(place))


def find_tracks(
    video: str | Path, info: VideoInfo, boxes: str | Path | None, config: ProposalConfig
) -> tuple[dict[str, Track], list[str]]:
    """The tracks of a file of boxes, or else what moves; and remarks. DataError where there is none."""
    if boxes is not None:
        remarks: list[str] = []
        tracks = within(read_boxes(boxes, remarks), info.frames, info.width, info.height, boxes, remarks)
        return tracks, remarks
    proposals = propose(video, config)
    if not proposals.tracks:
        raise DataError(f"{video}: nothing in it moves about (boxes of your own can be given)")
    notes = []
    if proposals.flooded:
        notes.append(f"{proposals.flooded} frames changed all over (light, or a moving camera) and were not searched")
    if proposals.shaken >= 0.5:
        notes.append(f"the camera shakes by {proposals.shaken:.1f} px on average, which was undone")
    return {track.id: track for track in proposals.tracks}, notes


def recognise(
    video: str | Path,
    model: str | Path | Trained,
    out: str | Path,
    *,
    boxes: str | Path | None = None,
    proposals: ProposalConfig | None = None,
    cut: CutConfig | None = None,
    threshold: float = 0.5,
    maps: bool = True,
    layer: str | None = None,
    annotated: bool = True,
    batch_size: int = 16,
    overwrite: bool = False,
) -> Timeline:
    """Recognise actions in a video file and leave everything about it in the folder `out`.

    OUT: timeline.json and .csv; clips/ID.mp4; maps/ID.npz and .mp4, what speaks for each clip's surest class at `layer`
    (default: the deepest that is at least 6 px wide), and how active that layer is; scores.npz; annotated.mp4.
    boxes: tracks in a file (see `boxes`), else motion proposals. threshold: from which score on a class is said.
    An earlier result stays until the new one is whole; then it is set aside as NAME.before-DATE and a line says so, or
    with `overwrite` it goes. DataError says what the video lacks; UsageError: a folder of other things.
    """
    if not 0 <= threshold <= 1:
        raise UsageError(f"threshold: expected 0 to 1, got {threshold}")
    cut, out, video = cut or CutConfig(), Path(out), Path(video)
    trained = model if isinstance(model, Trained) else open_model(model)
    known = [name for name, _ in trained.network.steps()]
    if layer not in (None, *known):
        raise UsageError(f"layer {layer!r}: {trained.card.model} has {', '.join(known)}")
    info = probe_damaged(video)
    if info.frames < cut.min_frames:
        raise ClipError(video, f"it has {info.frames} frames, and a clip needs {cut.min_frames} (min_frames)")
    tracks, notes = find_tracks(video, info, boxes, proposals or ProposalConfig())
    windows = [window for track in tracks.values() for window in track_windows(video.stem, track, cut)]
    if not windows:
        longest = max(max(track.boxes) - min(track.boxes) + 1 for track in tracks.values())
        raise DataError(
            f"{boxes or video}: the longest of {len(tracks)} tracks has {longest} frames, and a clip needs "
            f"{cut.min_frames} (min_frames)"
        )
    with _new_result(out, overwrite) as folder:
        names = [f"{n:04d}_track_{re.sub(r'[^A-Za-z0-9-]', '_', w.anchor)[:40]}" for n, w in enumerate(windows, 1)]
        whole = []
        for place, frames in shown(
            cut_clips(video, windows, info.fps, cut.max_side), "cutting", total=len(windows), closing_line=False
        ):
            write_video(folder / "clips" / f"{names[place]}.mp4", frames, info.fps or 25.0)
            whole.append(place)
        if not whole:
            raise ClipError(video, "each clip touches frames that do not decode")
        if len(whole) < len(windows):
            lost = f"{len(windows) - len(whole)} of {len(windows)} clips touch frames that do not decode"
            if (out / MARK).exists() and not overwrite:
                raise ClipError(video, f"{lost}; the earlier result in {out} stays (overwrite, or another folder)")
            notes.append(f"{lost}: left out")
        names, windows = [names[place] for place in sorted(whole)], [windows[place] for place in sorted(whole)]
        index = _index(video, folder, names, windows, trained)
        scores = _scores(index, trained, batch_size)
        scores.save(folder / "scores.npz")
        files, empty = _maps(index, scores, trained, layer, folder) if maps else ({}, 0)
        clips = tuple(
            Seen(
                names[i], w.anchor, w.start, w.end, w.box, f"clips/{names[i]}.mp4", w.side > cut.max_side,
                scores.scores[i], files.get(names[i]),
            )
            for i, w in enumerate(windows)
        )  # fmt: skip
        notes += [info.note] * bool(info.note) + _remarks(info, tracks, clips, cut)
        if empty:
            notes.append(f"{empty} maps are empty: nothing at that layer speaks for the class")
        timeline = Timeline(
            video=video.name,
            frames=info.frames,
            fps=info.fps,
            width=info.width,
            height=info.height,
            model=trained.card.model,
            classes=trained.card.classes,
            calibrated=trained.calibration is not None,
            threshold=threshold,
            source="motion" if boxes is None else Path(boxes).name,
            times=frame_times(video),
            tracks=tracks,
            clips=clips,
            notes=tuple(notes),
        )
        timeline.save(folder)
        if annotated:
            annotate(video, timeline, folder / "annotated.mp4")
    return timeline


@contextmanager
def _new_result(out: Path, overwrite: bool) -> Iterator[Path]:
    """A folder to work in, which takes the place of `out` when all of it is there; on failure `out` stays as it was."""
    out = out.resolve()
    if out.exists() and not out.is_dir():
        raise UsageError(f"{out}: is a file, and results need a folder")
    if out.is_dir() and any(out.iterdir()) and not (out / MARK).exists():
        raise UsageError(f"{out}: is not empty and holds no earlier result: choose another folder")
    with locked(out, wait=False):
        folder = out.with_name(f".{out.name}.part")
        shutil.rmtree(folder, ignore_errors=True)  # of a run that was killed
        (folder / "clips").mkdir(parents=True)
        (folder / MARK).touch()
        try:
            yield folder
            if overwrite:
                shutil.rmtree(out, ignore_errors=True)
            elif aside := set_aside(out):
                print(f"{out}: the earlier result is now {aside.name}")
            if out.is_dir():
                out.rmdir()
            folder.rename(out)
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def _remarks(info: VideoInfo, tracks: dict[str, Track], clips: Sequence[Seen], cut: CutConfig) -> list[str]:
    short = len(tracks) - len({clip.track for clip in clips})
    large = sum(clip.shrunk for clip in clips)
    notes = []
    if short:
        notes.append(f"{short} tracks are shorter than {cut.min_frames} frames and were not scored")
    if large:
        notes.append(f"{large} clips are larger than {cut.max_side} px, as the dataset's never are: they were shrunk")
    if not 20 <= info.fps <= 40:
        notes.append(f"{info.fps:.4g} frames a second: the dataset has 24 to 30, so actions look faster or slower here")
    return notes


def _index(video: Path, out: Path, names: Sequence[str], windows: Sequence[Window], trained: Trained) -> Index:
    card = trained.card
    clips = tuple(
        Clip(name, f"clips/{name}.mp4", video.stem, None, window.frames, window.side, window.side)
        for name, window in zip(names, windows, strict=True)
    )
    return Index(video.stem, "own", out, card.classes, card.multi_label, clips)


def _scores(index: Index, trained: Trained, batch_size: int) -> Scores:
    """Of every clip, as the card reads clips, corrected where there is a calibration."""
    card = trained.card
    trained.network.to("cuda" if torch.cuda.is_available() else "cpu")
    file = index.root / ".clips.store"  # every clip is decoded once, however many views it has
    kind: Json = {"size": card.size, "resize": card.resize}
    try:
        store = ClipStore.build(index, file, **kind)
        clips = ClipDataset(index, store=store, views="test", sampler=card.sampler, frames=card.frames, **kind)
        scores = predict(
            trained.network,
            clips,
            batch_size=batch_size,
            aggregate=card.aggregate,
            on=card.on,
            label="recognising",
        )
    finally:
        for left in index.root.glob(".*clips.store*"):
            left.unlink()
    return scores if trained.calibration is None else replace(scores, scores=trained.calibration.apply(scores.scores))


def deepest(trained: Trained, *, least: int = 6) -> str:
    """The last map of a network that is at least so many pixels wide at the card's size (else its widest)."""
    size = trained.card.size if isinstance(trained.card.size, tuple) else (trained.card.size,) * 2
    device = next(trained.network.parameters()).device
    with torch.no_grad():
        maps = trained.network.features(torch.zeros(1, 3, trained.card.frames, *size, device=device))
    sides = {name: min(each.shape[-2:]) for name, each in maps.items() if each.ndim == 5}
    wide = [name for name, side in sides.items() if side >= least]
    return wide[-1] if wide else max(sides, key=lambda name: sides[name])


def clip_maps(
    trained: Trained, clip: Frames, target: int, layer: str
) -> tuple[Frames, NDArray[np.float32], NDArray[np.float32]]:
    """What the network saw of a clip, (T, H, W, 3); what speaks for class `target` at `layer`; how active that is.

    Maps are (T, H, W) of the network's input, from 0 to 1; all run through the clip's test-time views in turn. What
    speaks is the local gradient map (HiResCAM): zero everywhere where nothing at this depth does.
    """
    card = trained.card
    seen = resize_video(clip, card.size, card.resize)
    views = make_views(card.sampler, card.frames)(len(clip))
    device = next(trained.network.parameters()).device
    speaks: list[NDArray[np.float32]] = []
    active: list[NDArray[np.float32]] = []
    for view in views:
        video = torch.from_numpy(seen[view]).permute(3, 0, 1, 2)[None].float().to(device) / 255
        maps = attention_maps.gradient_map(
            trained.network, video, layer, torch.tensor([target], device=device), local=True
        )
        with torch.no_grad():
            strength = trained.network.features(video)[layer].abs().mean(1)
        for kind, maps_of_view in ((speaks, maps), (active, strength)):
            kind.append(attention_maps.to_size(maps_of_view, (len(view), *seen.shape[1:3]))[0].float().cpu().numpy())
    first, second = (np.concatenate(kind) for kind in (speaks, active))
    return clip[np.concatenate(views)], _unit(first), _unit(second)


def _unit(values: NDArray[np.float32]) -> NDArray[np.float32]:
    scaled: NDArray[np.float32] = (values / max(float(values.max()), 1e-12)).astype(np.float32)
    return scaled


def _maps(index: Index, scores: Scores, trained: Trained, layer: str | None, out: Path) -> tuple[dict[str, str], int]:
    """maps/ID.npz (map, activity, layer, class) and maps/ID.mp4 of every clip, by clip; how many are empty."""
    layer = layer or deepest(trained)
    files, empty = {}, 0
    for clip, row in shown(list(zip(index.clips, scores.scores, strict=True)), "looking", closing_line=False):
        best = int(row.argmax())
        pixels, values, active = clip_maps(trained, read_frames(index.file(clip)), best, layer)
        files[clip.clip_id] = f"maps/{clip.clip_id}.npz"
        with atomic_path(out / files[clip.clip_id]) as temporary:
            np.savez(
                temporary, map=values, activity=active, layer=np.array(layer), target=np.array(index.classes[best])
            )
        empty += not values.any()
        some = np.unique(evenly(len(pixels), PICTURES))
        film = overlay(pixels[some], values[some])
        write_video(out / "maps" / f"{clip.clip_id}.mp4", film, 8.0, preset="veryfast")
    return files, empty
