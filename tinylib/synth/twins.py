"""What the real data never had: the same clip at any resolution, who is where in it, and how they stand.

A twin is rendered anew from the seeds in the truth files, through the window that the builder cut; nothing is resized.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from tinylib.annotations.kpf import read_kpf
from tinylib.building.rules import MevaRule, ViratRule, Window, windows
from tinylib.datasets.index import Clip
from tinylib.errors import DataError, UsageError
from tinylib.synth.filming.camera import Camera
from tinylib.synth.filming.render import Backdrop, Drawing, Image, fill, outline
from tinylib.synth.filming.sensor import Chain
from tinylib.synth.places.scene import paint
from tinylib.synth.script import Act, Script
from tinylib.synth.write import FOLDERS, Stand, read_truth


@dataclass(frozen=True)
class Twin:
    """One clip, rendered as `side` x `side` pixels."""

    video: Image  # (T, side, side, 3) RGB
    masks: NDArray[np.bool_]  # (T, actors, side, side): where each actor is seen
    kinds: tuple[str, ...]  # 'person', 'vehicle', 'bike', 'prop', 'animal', one an actor
    joints: tuple[dict[str, NDArray[np.float32]], ...]  # of each actor: name -> (T, 2) px; nan while it is away
    window: Window

    def foreground(self) -> NDArray[np.bool_]:
        """(T, side, side): all actors."""
        return np.asarray(self.masks.any(1))


def twin(
    root: str | Path,
    clip: Clip,
    side: int = 112,
    *,
    sensor: bool = False,
    moments: Sequence[int] | None = None,
    truth: bool = True,
    cast: object = None,
) -> Twin:
    """Render a built clip at `side` px: clean (a true high-resolution twin), or through its camera's sensor.

    root: of the generated data, or of the TinyVIRAT layout inside it. moments: the frames to render (default: all).
    truth=False leaves masks and joints empty. The same arguments give the same bytes. The codec and the wind of the
    recording are left out.
    """
    script, window = locate(root, clip, cast=cast)
    return view(script, window, side, sensor=sensor, moments=moments, truth=truth)


def view(
    script: Script,
    window: Window,
    side: int,
    *,
    sensor: bool = False,
    moments: Sequence[int] | None = None,
    truth: bool = True,
) -> Twin:
    """Render what a window of a script shows, as `twin` does."""
    if not 8 <= side <= 512:
        raise UsageError(f"side: expected 8 to 512, got {side}")
    if moments is not None and not all(0 <= t < window.frames for t in moments):
        raise UsageError(f"moments: {window.video_id} from frame {window.start}: expected 0 to {window.frames - 1}")
    times = range(window.frames) if moments is None else moments
    x0, y0, x1, _ = window.box
    limits = (script.camera.width - (x1 - x0), script.camera.height - (x1 - x0))
    left, top = (min(max(at, 0), max(limit, 0)) for at, limit in zip((x0, y0), limits, strict=True))  # as it is cut
    camera = script.camera.window(left, top, x1 - x0, side)
    backdrop = paint(script.scene, camera)
    device = script.sensor.seen_at(side / (x1 - x0)) if sensor else script.sensor.clean()
    chain = Chain(device, backdrop.image, script.shoot.seed)
    acts = [act for act in sorted(script.acts, key=lambda act: -act.placed.y) if _may_show(act, camera, window)]
    stands = [Stand(act, camera, script.scene, backdrop) for act in acts]
    kinds = tuple(kind for act in acts for kind in act.vignette.kinds)
    masks = (
        np.zeros((len(times), len(kinds), side, side), bool) if truth else np.zeros((len(times), 0, side, side), bool)
    )
    joints: list[dict[str, NDArray[np.float32]]] = [{} for _ in kinds]
    video = np.empty((len(times), side, side, 3), np.uint8)
    for row, t in enumerate(times):
        frame, patches, base = backdrop.image.copy(), [], 0
        for act, stand in zip(acts, stands, strict=True):
            count, time = len(act.vignette.kinds), t + window.start - act.placed.start
            if 0 <= time < act.placed.frames:
                patch = stand.into(frame, time) if stand.shows(time) else None
                if patch is not None:
                    patches.append(patch)
                if patch is not None and truth:
                    seen = _mask(stand.poses(time)[0], count, backdrop, side, stand.zoom)
                    masks[row] &= ~seen.any(0)  # the nearer hide the farther
                    masks[row, base : base + count] = seen
                if truth:
                    _note(joints[base : base + count], act.joints(time), camera, row, len(times))
            base += count
        video[row] = chain.record(frame, patches, t)
    there = [i for i in range(masks.shape[1]) if masks[:, i].any()]
    return Twin(video, masks[:, there], tuple(kinds[i] for i in there), tuple(joints[i] for i in there), window)


def _may_show(act: Act, camera: Camera, window: Window) -> bool:
    """Whether an act, or its shadow, can be in sight; looked at every tenth frame, with room to spare."""
    first = max(window.start - act.placed.start, 0)
    last = min(window.end - act.placed.start, act.placed.frames - 1)
    if first > last:
        return False
    boxes = np.array([outline(act.pose(float(t)), camera)[0] for t in {*range(first, last + 1, 10), last}])
    room = 3 * (boxes[:, 2:] - boxes[:, :2]).max()
    low, high = boxes[:, :2].min(0) - room, boxes[:, 2:].max(0) + room
    return bool((high > 0).all() and (low < (camera.width, camera.height)).all())


def locate(root: str | Path, clip: Clip, *, cast: object = None) -> tuple[Script, Window]:
    """The script of a clip's source video, and the window that the builder cut."""
    root = Path(root)
    base = root if (root / "truth").is_dir() else root.parent
    names = _videos(str(base.absolute()))
    if clip.video_id not in names:
        raise DataError(f"{clip.path}: {base}/truth knows no video {clip.video_id!r}")
    file, domain, split = names[clip.video_id]
    _, script = _script(str(file), cast)
    notes = base / FOLDERS[domain] / "annotations" / split / f"{clip.video_id}.activities.yml"
    cut = _windows(str(notes))
    places = (root, root / "videos", root / "tinyvirat", root / "tinyvirat-v2")
    folder = next((at for place in places if (at := place / Path(clip.path).parent).is_dir()), root)
    first = min((int(path.stem) for path in folder.glob("*.mp4")), default=int(Path(clip.path).stem))
    rank = int(Path(clip.path).stem) - first
    if not 0 <= rank < len(cut) or (clip.frames, clip.width) != (cut[rank].frames, cut[rank].side):
        raise DataError(f"{clip.path}: is not what the builder cuts from {notes}")
    return script, cut[rank]


@lru_cache(maxsize=8)
def _videos(base: str) -> dict[str, tuple[Path, str, str]]:
    rows = {}
    for file in sorted(Path(base, "truth").glob("*.json")):
        facts = json.loads(file.read_text(encoding="utf-8"))
        rows[facts["video"]] = (file, facts["shoot"]["domain"], facts["shoot"]["split"])
    return rows


@lru_cache(maxsize=4)
def _script(file: str, cast: object) -> tuple[str, Script]:
    return read_truth(file, cast)


@lru_cache(maxsize=16)
def _windows(file: str) -> list[Window]:
    annotation = read_kpf(file)
    return windows(annotation, MevaRule() if annotation.domain == "meva" else ViratRule(min_clips=0))


def _mask(pose: Drawing, count: int, backdrop: Backdrop, side: int, zoom: int) -> NDArray[np.bool_]:
    """(actors, side, side): pixels of which an actor fills at least half."""
    canvas = np.zeros((side * zoom, side * zoom), np.uint8)
    fill(canvas, pose, (0, 0), zoom, pose.owners + 1)
    size = (side, side)
    shares = [cv2.resize(np.uint8(255) * (canvas == i + 1), size, interpolation=cv2.INTER_AREA) for i in range(count)]
    hidden = (backdrop.cover > 127) & (backdrop.depth < pose.depth)
    return np.array([(share > 127) & ~hidden for share in shares]).reshape(count, side, side)


def _note(rows: list[dict[str, NDArray[np.float32]]], skeletons: list[dict[str, NDArray]], camera: Camera, t: int,
          frames: int) -> None:  # fmt: skip
    for row, skeleton in zip(rows, skeletons, strict=True):
        for name, point in skeleton.items():
            row.setdefault(name, np.full((frames, 2), np.nan, np.float32))[t] = camera.project(point)[0]
