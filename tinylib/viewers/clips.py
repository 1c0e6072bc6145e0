"""Viewers of clips, attention maps, datasets and training logs: plain HTML that moves live and in a rendered report.

They need no kernel, no network and no widget state (`viewer.js` is written into the page);
each has a static `.figure()`.
"""

from __future__ import annotations

import base64
import html
import io
import json
import math
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tinylib import figures
from tinylib.datasets.sampling import evenly
from tinylib.datasets.statistics import side, size_bin
from tinylib.errors import DataError, UsageError
from tinylib.files import Json

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from tinylib.datasets.index import Clip, Index

Frames = NDArray[np.uint8]  # (T, H, W, 3)


@dataclass(frozen=True)
class Viewer:
    """A piece of HTML and the static figure that stands for it on paper."""

    markup: str
    draw: Callable[[], Figure]
    script: str = "viewer.js"

    def _repr_html_(self) -> str:
        return (
            f"<style>{_asset('viewer.css')}</style>{self.markup}<script>(() => {{{_asset(self.script)}}})();</script>"
        )

    def figure(self) -> Figure:
        return self.draw()

    def save(self, path: str | Path) -> None:
        """Write it as a page of its own."""
        from tinylib.files import write_text

        write_text(path, f'<!doctype html><meta charset="utf-8"><title>tinylib</title>{self._repr_html_()}')


@cache
def _asset(name: str) -> str:
    return Path(__file__).with_name(name).read_text(encoding="utf-8")


def sprite(clip: Frames, *, smooth: bool = False) -> Json:
    """All frames of a clip in one picture: lossless up to 64 pixels a side, WebP at quality 85 above."""
    from PIL import Image

    count, height, width, _ = clip.shape
    columns = max(1, min(math.ceil(math.sqrt(count * height / width)), 16000 // width))
    rows = math.ceil(count / columns)
    sheet = np.zeros((rows * columns, height, width, 3), np.uint8)
    sheet[:count] = clip
    sheet = sheet.reshape(rows, columns, height, width, 3).swapaxes(1, 2).reshape(rows * height, columns * width, 3)
    data = io.BytesIO()
    Image.fromarray(sheet).save(data, "WEBP", lossless=max(height, width) <= 64, quality=85, method=2)
    source = "data:image/webp;base64," + base64.b64encode(data.getvalue()).decode()
    return {"src": source, "n": count, "w": width, "h": height, "cols": columns, "smooth": smooth}


def _clip(value: object, name: str) -> Frames:
    clip = np.asarray(value)
    if clip.ndim != 4 or clip.shape[-1] != 3 or clip.dtype != np.uint8 or not len(clip):
        raise DataError(f"{name}: expected uint8 frames (T, H, W, 3), got {clip.dtype} {clip.shape}")
    return clip


def _bar(frames: int) -> str:
    return (
        '<div class="tl-bar"><button type="button" data-part="play" aria-label="play">▶</button>'
        f'<label>frame <input type="range" data-part="time" min="0" max="{frames - 1}" value="0"></label>'
        f'<output data-part="out" aria-live="off">1 / {frames}</output></div>'
    )


def _pane(label: str, width: int, height: int) -> str:
    label = html.escape(label)
    return (
        f'<figure class="tl-pane"><canvas width="{width}" height="{height}" role="img" aria-label="{label}"></canvas>'
        f"<figcaption>{label}</figcaption></figure>"
    )


def _select(label: str, options: Iterable[str], attribute: str, *, everything: bool = False) -> str:
    names = "".join(f"<option>{html.escape(o)}</option>" for o in options)
    first = '<option value="">all</option>' if everything else ""
    return f"<label>{html.escape(label)} <select {attribute}>{first}{names}</select></label>"


def _markup(view: Json, before: str, panes: str, after: str) -> str:
    data = html.escape(json.dumps(view, separators=(",", ":")), quote=True)
    grid = " tl-grid" if "filters" in view else ""
    return f'<div class="tl-view" data-view="{data}">{before}<div class="tl-panes{grid}">{panes}</div>{after}</div>'


def player(
    clips: Mapping[str, Frames] | Frames,
    *,
    fps: float = 15.0,
    scale: int | None = None,
    labels: Sequence[str] | None = None,
) -> Viewer:
    """Clips side by side on one clock, each enlarged without smoothing to one common height; lengths may differ.

    clips: one (T, H, W, 3) uint8 array, or several by name; scale: screen pixels a pixel of the
    tallest clip (default: 224 high).
    """
    named = dict(clips) if isinstance(clips, Mapping) else {"clip": clips}
    checked = {name: _clip(clip, name) for name, clip in named.items()}
    captions = list(labels) if labels is not None else list(checked)
    if len(captions) != len(checked) or not checked:
        raise UsageError(f"player: {len(captions)} labels for {len(checked)} clips")
    tallest = max(clip.shape[1] for clip in checked.values())
    height = tallest * (scale or max(1, round(224 / tallest)))
    frames = max(len(clip) for clip in checked.values())
    sizes = [(max(1, round(height * clip.shape[2] / clip.shape[1])), height) for clip in checked.values()]
    view = {
        "fps": fps,
        "frames": frames,
        "sprites": {name: sprite(clip) for name, clip in checked.items()},
        "panes": [{"label": c, "layers": [name]} for c, name in zip(captions, checked, strict=True)],
    }
    panes = "".join(_pane(c, *size) for c, size in zip(captions, sizes, strict=True))
    shown = dict(zip(captions, checked.values(), strict=True))
    return Viewer(_markup(view, "", panes, _bar(frames)), lambda: figures.side_by_side(shown))


def heat(maps: NDArray[np.generic], *, low: float | None = None, high: float | None = None) -> Frames:
    """(T, H, W) numbers as (T, H, W, 3) uint8 colours of `inferno`, from `low` to `high` (default: their range)."""
    from matplotlib import colormaps

    values = np.asarray(maps, np.float64)
    low = float(values.min()) if low is None else low
    high = float(values.max()) if high is None else high
    return np.asarray(colormaps["inferno"]((values - low) / max(high - low, 1e-12), bytes=True))[..., :3]


Maps = Mapping[str, Mapping[str, NDArray[np.generic]]]  # network -> layer -> (t, h, w)


def attention_viewer(
    clip: Frames | Mapping[str, Frames],
    maps: Maps | Mapping[str, Maps],
    *,
    restored: Frames | Mapping[str, Frames] | None = None,
    beside: str = "",
    names: tuple[str, str] = ("input", "super-resolved"),
    fps: float = 8.0,
    size: int = 224,
) -> Viewer:
    """What networks look at: input | super-resolved | map | overlay, by network and layer, over time.

    clip: (T, H, W, 3) uint8; maps: network -> layer -> (t, h, w) numbers, each scaled by its own range;
    restored: (T, sH, sW, 3) uint8, the same clip in more pixels, which maps are then laid over. Every network must have
    the same layers. Several clips to choose from: `clip`, `maps` and `restored` each by the clip's name.
    beside: a network (a teacher) whose overlay stays beside that of the chosen one. names: captions of both videos.
    """
    several = isinstance(clip, Mapping)
    clips: Json = dict(clip) if isinstance(clip, Mapping) else {"": clip}
    overlays: Json = dict(maps) if several else {"": maps}
    above: Json = dict(restored) if isinstance(restored, Mapping) else {"": restored}
    if not clips or (several and (set(overlays) != set(clips) or (restored is not None and set(above) != set(clips)))):
        raise UsageError(f"attention_viewer: maps and restored must be of the same clips, {', '.join(clips) or 'none'}")
    base: dict[str, Frames] = {}
    hot: dict[str, Frames] = {}
    for key in clips:
        start = f"{key}/" if several else ""
        base[f"{start}{names[0]}"] = _clip(clips[key], "clip")
        if restored is not None:
            base[f"{start}{names[1]}"] = _clip(above[key], "restored")
        hot |= {
            f"{start}{net}/{layer}": heat(array) for net, of in overlays[key].items() for layer, array in of.items()
        }
    networks, layers = _choices(list(overlays.values()))
    if beside and beside not in networks:
        raise UsageError(f"attention_viewer: no network {beside!r}; there are {', '.join(networks)}")
    at, shown = "{0}/" if several else "", names[: 1 if restored is None else 2]
    under = f"{at}{shown[-1]}"
    panes = {name: [f"{at}{name}"] for name in shown}
    if beside:  # both overlays next to each other
        panes |= {beside: [under, f"{at}{beside}/{{{2 if several else 1}}}"], "overlay": [under, "@"]}
    panes |= {"map": ["@"], "overlay": [under, "@"]}
    frames = max(len(video) for video in base.values())
    view = {
        "fps": fps,
        "frames": frames,
        "sprites": {k: sprite(v) for k, v in base.items()} | {k: sprite(v, smooth=True) for k, v in hot.items()},
        "panes": [{"label": label, "layers": of} for label, of in panes.items()],
    }
    first = next(iter(clips.values()))
    width = max(1, round(size * first.shape[2] / first.shape[1]))
    before = (
        '<div class="tl-bar">'
        + (_select("clip", clips, "data-choice") if several else "")
        + _select("network", networks, "data-choice")
        + _select("layer", layers, "data-choice")
        + '<label>opacity <input type="range" data-part="opacity" min="0" max="100" value="55"></label></div>'
    )
    one = f"{next(iter(clips))}/" if several else ""
    drawn = [{k.removeprefix(one): v for k, v in of.items() if k.startswith(one)} for of in (base, hot)]
    return Viewer(
        _markup(view, before, "".join(_pane(label, width, size) for label in panes), _bar(frames)),
        lambda: figures.attention_grid(*drawn),
    )


def _choices(by_clip: Sequence[Maps]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Networks and layers, the same for every clip and network, or a UsageError."""
    networks = {tuple(of) for of in by_clip}
    layers = {tuple(layer) for of in by_clip for layer in of.values()}
    if len(networks) != 1 or len(layers) != 1 or () in networks | layers:
        listed = [{network: list(of) for network, of in maps.items()} for maps in by_clip]
        raise UsageError(f"attention_viewer: every clip and network needs the same layers, got {listed}")
    return networks.pop(), layers.pop()


def browser(
    index: Index,
    frames: Callable[[int], NDArray[np.uint8]],
    *,
    limit: int = 200,
    page: int = 24,
    length: int = 12,
    size: int = 96,
    seed: int = 0,
) -> Viewer:
    """A dataset's clips, filtered by class, size and domain, all of a page playing at once.

    frames(i): the (T, H, W, 3) uint8 frames of clip i (`store.__getitem__`); `length` of them are kept, at most
    `size` pixels. More than `limit` clips: that many are drawn at random, seeded.
    """
    order = np.arange(len(index))
    if len(order) > limit:
        order = np.sort(np.random.default_rng((seed, len(order))).choice(order, limit, replace=False))
    sprites, panes = {}, []
    for i in order.tolist():
        clip, key = index.clips[i], str(i)
        video = _small(_clip(frames(i), clip.clip_id), length, size)
        sprites[key] = sprite(video)
        panes.append({"label": _caption(clip), "layers": [key], "tags": _tags(clip)})
    if not panes:
        raise UsageError("browser: the index has no clips")
    view = {"fps": 8, "frames": length, "sprites": sprites, "panes": panes, "page": page, "filters": True}
    values = {name: _values(panes, name) for name in ("class", "size", "domain")}
    selects = "".join(
        _select(name, choices, f'data-filter="{name}"', everything=True)
        for name, choices in values.items()
        if len(choices) > 1
    )
    before = f'<div class="tl-bar">{selects}<span class="tl-count" data-part="count" role="status"></span></div>'
    after = _bar(length).removesuffix("</div>") + (
        '<button type="button" data-part="back" aria-label="previous page">‹</button>'
        '<button type="button" data-part="next" aria-label="next page">›</button></div>'
    )
    grid = "".join(_pane("", 112, 112) for _ in range(min(page, len(panes))))
    shown = order[: min(page, len(order))].tolist()
    return Viewer(
        _markup(view, before, grid, after),
        lambda: figures.contact_sheet({_caption(index.clips[i]): np.asarray(frames(i)) for i in shown}),
    )


def _small(clip: Frames, length: int, size: int) -> Frames:
    """`length` frames evenly spread, the longer side at most `size` pixels."""
    from PIL import Image

    picked = clip[evenly(len(clip), length)]
    _, height, width, _ = picked.shape
    shrink = size / max(height, width)
    if shrink >= 1:
        return picked
    to = (max(1, round(width * shrink)), max(1, round(height * shrink)))
    return np.stack([np.asarray(Image.fromarray(frame).resize(to, Image.Resampling.BOX)) for frame in picked])


def _caption(clip: Clip) -> str:
    size = f"{clip.width}×{clip.height} px" if clip.width else ""
    length = f"{clip.frames} frames" if clip.frames else ""
    return " · ".join(part for part in (clip.clip_id, ", ".join(clip.labels or ()), size, length) if part)


def _tags(clip: Clip) -> Json:
    size = size_bin(side(clip))
    return {"class": list(clip.labels or ()), "size": size, "domain": clip.domain or "unknown"}


def _values(panes: list[Json], name: str) -> list[str]:
    tags = {value for pane in panes for value in np.atleast_1d(pane["tags"][name]).tolist()}

    def order(value: str) -> tuple[int, str]:  # '20-40' before '100-128'
        first = value.split("-")[0]
        return (int(first), "") if first.isdigit() else (10**9, value)

    return sorted(tags, key=order)


def read_log(path: str | Path) -> list[dict[str, float]]:
    """The numbers of a run's log.jsonl, one dict a line; a broken line is a DataError, but for an unfinished last."""
    lines = Path(path).read_text(encoding="utf-8").splitlines()
    rows = []
    for number, line in enumerate(lines, 1):
        try:
            row = json.loads(line)
        except json.JSONDecodeError:
            if number == len(lines):  # being written right now
                break
            raise DataError(f"{path}:{number}: not a JSON line") from None
        rows.append({k: v for k, v in row.items() if isinstance(v, int | float) and math.isfinite(v)})
    return rows


def training_monitor(path: str | Path, *, x: str = "epoch", show: Sequence[str] = ("loss",)) -> Viewer:
    """The curves of a run's log.jsonl; columns are ticked on and off, the values under the pointer are printed."""
    rows = read_log(path)
    names = list(dict.fromkeys(name for row in rows for name in row if name != x))
    ticked = [name for name in names if name in show] or names[:1]
    safe = {name: html.escape(name) for name in names}
    boxes = "".join(
        f'<label><input type="checkbox" data-name="{safe[n]}"{" checked" * (n in ticked)}> {safe[n]}</label>'
        for n in names
    )
    log = html.escape(json.dumps({"x": x, "names": names, "rows": [r for r in rows if x in r]}), quote=True)
    markup = (
        f'<div class="tl-view" data-log="{log}"><div class="tl-bar">{boxes}</div>'
        '<svg class="tl-plot" viewBox="0 0 640 280" width="640" role="img" aria-label="training curves"></svg>'
        '<div class="tl-bar"><output data-part="out"></output></div></div>'
    )
    return Viewer(markup, lambda: figures.learning_curves({Path(path).parent.name: rows}, columns=ticked, x=x))


def live_monitor(path: str | Path, *, every: float = 2.0, show: Sequence[str] = ("loss",)) -> object:
    """An ipywidgets picture of a run's curves that renews itself while the kernel trains (JupyterLab only).

    It ends when the picture is closed, when the run has delivered its network, when another monitor of the same log
    begins (a cell that is run again), and when the log cannot be read (the tooltip says why).
    """
    import ipywidgets

    picture = ipywidgets.Image(format="png", layout=ipywidgets.Layout(max_width="640px"))

    log = Path(path).resolve()
    stop = threading.Event()

    def renew() -> None:
        seen = 0.0
        while picture.comm is not None and not stop.is_set():
            over = _over(log)  # before the last look, which then shows the last line
            try:
                if log.exists() and (at := log.stat().st_mtime) != seen and (rows := read_log(log)):
                    picture.value = figures.png(figures.learning_curves({"": rows}, columns=list(show), x="epoch"))
                    seen = at
            except (DataError, OSError) as error:
                picture.tooltip = str(error)
                return
            if over:
                return
            stop.wait(every)

    MONITORS.pop(log, stop).set()
    stop.clear()
    MONITORS[log] = stop
    threading.Thread(target=renew, name=f"monitor of {log.parent.name}", daemon=True).start()
    return picture


MONITORS: dict[Path, threading.Event] = {}  # what ends the monitor of each log


def _over(log: Path) -> bool:
    """Whether the run has delivered its network, which it does after the last line of its log."""
    network = log.with_name("model.safetensors")
    return network.exists() and log.exists() and network.stat().st_mtime >= log.stat().st_mtime
