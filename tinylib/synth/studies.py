"""A balanced study: SynthVIRAT's events, as many of every class, rendered straight into clip stores.

Scripts, annotations and the builder's windows are those of the benchmark, but no full frame is filmed: a clip comes
from its script, at any resolution, natural or clean. Minutes of a CPU give what experiments compare; the long tail, the
codec and the wind are left to the filmed data.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import chain, groupby
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tinylib.annotations.labels import CLASSES
from tinylib.building.rules import MevaRule, ViratRule, Window, windows
from tinylib.datasets.degrade import Size, centre_crop, pair
from tinylib.datasets.index import Clip, Index
from tinylib.datasets.sampling import evenly
from tinylib.datasets.store import ClipStore
from tinylib.errors import DataError, UsageError
from tinylib.files import Json, inside, locked, write_json
from tinylib.progress import track
from tinylib.synth.annotation import annotate
from tinylib.synth.plan import (
    DOMAINS,
    MIX,
    PRETRAINING,
    SPLITS,
    Order,
    Shoot,
    combos,
    draw_frames,
    draw_side,
    support,
)
from tinylib.synth.script import Script, compose
from tinylib.synth.twins import view
from tinylib.synth.write import GENERATOR, read_truth, write_truth
from tinylib.workers import cores, in_order

VERSION = 3  # raise when equal arguments give other clips
ORDERS = {"train": 30, "validate": 12, "test": 12}  # vignettes a video; intervals live on the number of test videos
PLACES = 500  # scenes of a split; more would be those of the next one
SPARE = 1.4  # vignettes for each clip: some find no room, some come out too short or too large
AGAIN = 3  # times that further videos are scripted for classes of which a split has no clip
EXTRA = 8  # vignettes of each such class in each domain then


def study(
    data_root: str | Path,
    *,
    classes: Sequence[str] = (),
    train: int,
    val: int,
    test: int,
    seed: int = 0,
    version: int = 1,
    workers: int | None = None,
) -> dict[str, Index]:
    """The indexes "train", "val" and "test" with so many clips of every class (of `classes`; () is all), made once.

    A clip counts for its rarest class, and for any of its classes where one would else be left without: Talking is
    never the rarest. Labels outside `classes` are left out. version 2 mixes the V and M domains as TinyVIRAT-v2 does; a
    class that a domain lacks comes from the other. Places are disjoint between splits. Seed `PRETRAINING` is the set
    for pre-training, whose places and actors are no other study's. UsageError at once: what cannot be had.
    """
    unknown = [name for name in classes if name not in CLASSES]
    if unknown:
        raise UsageError(f"classes: no class {unknown[0]!r}; there are {', '.join(CLASSES)}")
    if min(train, val, test) < 1:
        raise UsageError(f"a study needs a clip a class in each split, not {train}, {val} and {test}")
    if not 0 <= seed <= PRETRAINING:
        raise UsageError(f"seed: expected 0 to {PRETRAINING}, which is the pre-training's, got {seed}")
    chosen = tuple(name for name in CLASSES if name in classes) or CLASSES
    domains = DOMAINS[:version]
    clips = {"train": train, "validate": val, "test": test}
    request = {"generator": GENERATOR, "study": VERSION, "seed": seed, "version": version, "classes": list(chosen)}
    request |= {"clips": clips}
    name = f"study-v{version}-{len(chosen)}x{train}-{val}-{test}-s{seed}"
    root = Path(data_root) / f"{name}-{_short(request)}"
    note = root / "study.json"
    root.mkdir(parents=True, exist_ok=True)
    with locked(note):  # notebooks that run side by side ask for the same study
        if not note.exists():
            chosen_clips, short = _cast(chosen, clips, seed, domains, root, workers)
            write_json(note, request | {"clips found": chosen_clips, "short of": short}, indent=None)
    facts = json.loads(note.read_text(encoding="utf-8"))
    return {
        "val" if split == "validate" else split: Index(
            name=f"synthvirat-v{version} (balanced study)",
            split="val" if split == "validate" else split,
            root=root,
            classes=chosen,
            multi_label=True,
            clips=tuple(clip_of(row) for row in facts["clips found"][split]),
            notes=tuple(facts["short of"][split]),
        )
        for split in SPLITS
    }


def render(
    index: Index,
    file: str | Path,
    size: Size,
    *,
    sensor: bool,
    frames: int | None = None,
    workers: int | None = None,
    earlier: Sequence[ClipStore] = (),
) -> ClipStore:
    """The clips of a study's index (or of a part of it) at `size`: through the sensor, or clean.

    frames: only so many a clip, evenly spaced. A size that is not square is the centred part of the square clip.
    earlier: stores of clips of the same study that were rendered in this very way; what they hold is copied.
    """
    height, width = pair(size)
    origin = recipe(size, sensor=sensor, frames=frames)
    known = {entry.clip_id: (store, place) for store in earlier for place, entry in enumerate(store.entries)}

    def videos(start: int) -> Iterator[NDArray[np.uint8]]:
        clips = index.clips[start:]
        missing = [clip for clip in clips if clip.clip_id not in known]
        tasks = [(str(index.root), group, (height, width), sensor, frames) for group in _by_video(missing)]
        jobs = cores() if workers is None else workers
        drawn = in_order(rendered, tasks, min(jobs, len(tasks)), name=_named)
        label = f"rendering {index.split} at {height}x{width}"
        fresh = track(chain.from_iterable(drawn), label, total=len(missing), closing_line=False)
        for clip in clips:
            if clip.clip_id in known:
                store, place = known[clip.clip_id]
                yield store[place]
            else:
                yield next(fresh)
        if missing:
            next(fresh, None)  # the workers' end

    return ClipStore.render(index, file, videos, origin=origin)


def _by_video(clips: Sequence[Clip]) -> list[tuple[Clip, ...]]:
    """Neighbouring clips of one video together, so that its script is opened once."""
    return [tuple(group) for _, group in groupby(clips, key=lambda clip: clip.video_id)]


def _named(task: tuple[str, Sequence[Clip], *tuple[object, ...]]) -> str:
    first, last = task[1][0].clip_id, task[1][-1].clip_id
    return first if first == last else f"{first} to {last}"


def recipe(size: Size, *, sensor: bool, frames: int | None) -> Json:
    """What `render` makes a store with."""
    return {"study": VERSION, "generator": GENERATOR, "size": list(pair(size)), "sensor": sensor, "kept": frames}


def masks(index: Index, size: Size, *, frames: int | None) -> NDArray[np.bool_]:
    """(N, frames, H, W): where the actors are, in the frames that `render` keeps."""
    if frames is None:
        raise UsageError("masks: clips differ in length; keep so many frames of each")
    height, width = pair(size)
    tasks = [(str(index.root), group, (height, width), frames) for group in _by_video(index.clips)]
    return np.stack(list(chain.from_iterable(in_order(_masked, tasks, min(cores(), len(tasks)), name=_named))))


def moments(length: int, count: int | None) -> NDArray[np.int64]:
    """The frames that are kept of a clip: evenly spaced, the first and the last among them."""
    return np.arange(length) if count is None else evenly(length, count)


def _cast(
    classes: Sequence[str], clips: dict[str, int], seed: int, domains: Sequence[str], root: Path, workers: int | None
) -> tuple[dict[str, list[Json]], dict[str, list[str]]]:
    """Script every video, and choose the clips; a class of which a split has none gets further videos."""
    shoots = list(plan_videos(classes, clips, seed, domains))  # all of them, so that what cannot be had is said first
    jobs = cores() if workers is None else workers
    next_number = {(split, domain): 0 for split in SPLITS for domain in domains}
    rows: list[Json] = []
    for attempt in range(AGAIN + 1):
        tasks = [(shoot, str(root)) for shoot in shoots]
        scripted = in_order(script_clips, tasks, min(jobs, len(tasks)), name=lambda task: task[0].stem)
        rows += [row for part in track(scripted, "scripts", total=len(tasks), closing_line=False) for row in part]
        result, short, lacking = _balanced(rows, classes, clips, seed)
        if not any(lacking.values()):
            return result, short
        for shoot in shoots:
            next_number[shoot.split, shoot.domain] = shoot.number + 1
        shoots = list(_further(lacking, classes, seed, domains, attempt, next_number))
    split = next(split for split in SPLITS if lacking[split])
    names = ", ".join(lacking[split])
    raise DataError(f"the study's {split} split has no clip of {names} after {AGAIN} further tries: ask for more clips")


def _short(request: Json) -> str:
    return hashlib.sha256(json.dumps(request, sort_keys=True).encode()).hexdigest()[:8]


def plan_videos(classes: Sequence[str], clips: dict[str, int], seed: int, domains: Sequence[str]) -> Iterator[Shoot]:
    for domain in domains:
        table, real = combos(domain), support(domain)
        for place, split in enumerate(SPLITS):
            rng = np.random.default_rng((seed, 77, DOMAINS.index(domain), place))
            todo: list[Order] = []
            for name in classes:
                everywhere = all(any(name in labels for labels in combos(each)) for each in domains)
                mix = MIX[split] if domain == "V" else 1 - MIX[split]
                share = 1.0 if len(domains) == 1 or not everywhere else mix
                todo += _orders(name, classes, table, real, domain, round(SPARE * share * clips[split]), rng, seed)
            videos = max(1, round(len(todo) / ORDERS[split]))
            if videos > PLACES:
                raise UsageError(f"a study of {videos} {split} videos: there are {PLACES} places; ask for fewer clips")
            yield from _videos(todo, videos, 0, split, domain, seed, rng)


def _further(
    lacking: Mapping[str, Sequence[str]],
    classes: Sequence[str],
    seed: int,
    domains: Sequence[str],
    attempt: int,
    next_number: Mapping[tuple[str, str], int],
) -> Iterator[Shoot]:
    """A video more in each domain of each split that has no clip of some classes, with vignettes of these alone."""
    for domain in domains:
        table, real = combos(domain), support(domain)
        for place, split in enumerate(SPLITS):
            rng = np.random.default_rng((seed, 79, DOMAINS.index(domain), place, attempt))
            todo: list[Order] = []
            for name in lacking[split]:
                todo += _orders(name, classes, table, real, domain, EXTRA, rng, seed)
            if todo and next_number[split, domain] < PLACES:
                yield from _videos(todo, 1, next_number[split, domain], split, domain, seed, rng)


def _videos(
    todo: Sequence[Order], videos: int, first: int, split: str, domain: str, seed: int, rng: np.random.Generator
) -> Iterator[Shoot]:
    """Vignettes dealt out to so many videos, each in a place of its own."""
    order = rng.permutation(len(todo))
    base = ((seed * 2 + DOMAINS.index(domain)) * 3 + SPLITS.index(split)) * 1000 + 500 + first
    for number in range(videos):
        part = tuple(todo[i] for i in order[number::videos])
        yield Shoot(split, domain, first + number, base + number, _drawn_seed(seed, rng), 1.0, part)


def _drawn_seed(seed: int, rng: np.random.Generator) -> int:
    """Of a video or an actor, below 2^31; those of the pre-training lie above."""
    return int(rng.integers(2**31)) + (2**31 if seed == PRETRAINING else 0)


def _orders(
    name: str,
    classes: Sequence[str],
    table: dict[tuple[str, ...], int],
    real: Mapping[str, int],
    domain: str,
    count: int,
    rng: np.random.Generator,
    seed: int,
) -> list[Order]:
    """Vignettes that show `name`, under label sets as frequent as the real ones in which it is the rarest."""
    carriers = [labels for labels in table if name in labels]
    if not carriers:
        return []
    as_rarest = [labels for labels in carriers if _rarest(labels, classes, real) == name] or carriers
    weights = np.array([table[labels] for labels in as_rarest], float)
    vignettes = []
    for pick in rng.choice(len(as_rarest), count, p=weights / weights.sum()).tolist():
        frames, chunk = draw_frames(as_rarest[pick], domain, 1, rng)
        side, confuser = draw_side(as_rarest[pick], domain, rng), bool(rng.random() < 0.1)
        vignettes.append(Order(as_rarest[pick], _drawn_seed(seed, rng), frames, side, chunk, confuser))
    return vignettes


def _rarest(labels: Sequence[str], classes: Sequence[str], real: Mapping[str, int]) -> str:
    return min((label for label in labels if label in classes), key=lambda label: (real[label], label))


def script_clips(shoot: Shoot, root: str) -> list[Json]:
    """Place a video's vignettes, write its truth, and cut it on paper: a row a window, near-duplicates left out."""
    from tinylib.synth import actions

    script, _ = compose(shoot, actions, looks=False)
    name = f"{shoot.domain}-{shoot.split}-{shoot.number:03d}"
    write_truth(Path(root) / "truth" / f"{name}.json", script, name)
    annotation = annotate(script, name)
    cut = windows(annotation, ViratRule(min_clips=0) if shoot.domain == "V" else MevaRule())
    distinct: list[Window] = []
    for window in cut:
        if all(not _same(window, other) for other in distinct):
            distinct.append(window)
    return [
        {"video": name, "split": shoot.split, "domain": shoot.domain, "start": w.start, "end": w.end,
         "box": list(w.box), "labels": list(w.labels)}
        for w in distinct
    ]  # fmt: skip


def _same(one: Window, other: Window) -> bool:
    """Whether two windows show the same event: they share a third of the shorter time and of the smaller place."""
    shared = min(one.end, other.end) - max(one.start, other.start) + 1
    if shared < 0.3 * min(one.frames, other.frames):
        return False
    width = min(one.box[2], other.box[2]) - max(one.box[0], other.box[0])
    height = min(one.box[3], other.box[3]) - max(one.box[1], other.box[1])
    return width > 0 and height > 0 and width * height > 0.3 * min(one.side, other.side) ** 2


def _balanced(
    rows: list[Json], classes: Sequence[str], clips: dict[str, int], seed: int
) -> tuple[dict[str, list[Json]], dict[str, list[str]], dict[str, list[str]]]:
    """As many clips of each class in each split as asked for, in the order of their videos; what was short; what lacks.

    A class that was never a clip's rarest gets the clips that have it at all.
    """
    real = sum((Counter(support(domain)) for domain in DOMAINS), Counter[str]())
    result, short, lacking = {}, {}, {}
    for place, split in enumerate(SPLITS):
        rng = np.random.default_rng((seed, 78, place))
        mine = [row for row in rows if row["split"] == split and set(row["labels"]) & set(classes)]
        taken: Counter[str] = Counter()
        chosen: list[int] = []
        order = rng.permutation(len(mine)).tolist()
        for i in order:
            name = _rarest(mine[i]["labels"], classes, real)
            if taken[name] < clips[split]:
                taken[name] += 1
                chosen.append(i)
        for name in (name for name in classes if not taken[name]):
            carriers, already = [i for i in order if name in mine[i]["labels"]], set(chosen)
            more = [i for i in carriers if i not in already]
            taken[name] = len(carriers) - len(more)
            more = more[: max(0, clips[split] - taken[name])]
            taken[name] += len(more)
            chosen += more
        lacking[split] = [name for name in classes if not taken[name]]
        short[split] = [f"{n}: {taken[n]} clips, not {clips[split]}" for n in classes if taken[n] < clips[split]]
        result[split] = [
            mine[i] | {"labels": [n for n in mine[i]["labels"] if n in classes], "id": f"{split}-{rank:05d}"}
            for rank, i in enumerate(sorted(chosen))
        ]
    return result, short, lacking


def clip_of(row: Json) -> Clip:
    side = row["box"][2] - row["box"][0]
    spot = "_".join(str(n) for n in (row["start"], row["end"], *row["box"]))
    domain = "virat" if row["domain"] == "V" else "meva"
    return Clip(row["id"], f"clips/{row['video']}/{spot}.mp4", row["video"], tuple(row["labels"]),
                row["end"] - row["start"] + 1, side, side, domain)  # fmt: skip


@lru_cache(maxsize=3)
def _script(file: str) -> Script:
    return read_truth(file)[1]


def _window(root: str, clip: Clip) -> tuple[Script, Window]:
    file = inside(root, f"truth/{clip.video_id}.json")
    if not file.is_file():
        raise DataError(f"{file}: not there; delete {root} to make the study again")
    start, end, x0, y0, x1, y1 = (int(part) for part in Path(clip.path).stem.split("_"))
    return _script(str(file)), Window(clip.video_id, "", start, end, (x0, y0, x1, y1), clip.labels or ())


def rendered(
    root: str, clips: Sequence[Clip], size: tuple[int, int], sensor: bool, frames: int | None
) -> list[NDArray[np.uint8]]:
    """Clips of one video, (T, height, width, 3) each."""
    import cv2

    cv2.setNumThreads(1)
    videos = []
    for script, window in (_window(root, clip) for clip in clips):
        times = moments(window.frames, frames).tolist()
        video = view(script, window, max(size), sensor=sensor, moments=times, truth=False).video
        videos.append(video if size[0] == size[1] else centre_crop(video, ratio=size))
    return videos


def _masked(root: str, clips: Sequence[Clip], size: tuple[int, int], frames: int | None) -> list[NDArray[np.bool_]]:
    height, width = size
    top, left = (max(size) - height) // 2, (max(size) - width) // 2
    masks = []
    for script, window in (_window(root, clip) for clip in clips):
        seen = view(script, window, max(size), moments=moments(window.frames, frames).tolist()).foreground()
        masks.append(seen[:, top : top + height, left : left + width])
    return masks
