"""The builder: annotated video in, a dataset in TinyVIRAT's layout out; each video is read once, front to back."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from dataclasses import replace as changed
from pathlib import Path

from tinylib.annotations.labels import CLASSES, video_domain
from tinylib.building.cutting import STATE, Done, Task, finished, outdated, run
from tinylib.building.rules import MevaRule, Rule, ViratRule, Window, rare_classes, windows
from tinylib.building.sources import assign_splits, find_sources, find_videos
from tinylib.datasets.index import SPLITS, Clip, Index, tinyvirat_json, write_tinyvirat
from tinylib.errors import AnnotationError, UsageError
from tinylib.files import locked, set_aside, write_json
from tinylib.progress import Meter

LOCK = "build"  # held in the folder while a build writes into it


@dataclass(frozen=True)
class Part:
    """One kind of source: annotations, the videos they describe, and the rule by which to cut them."""

    annotations: str | Path
    videos: str | Path | None
    rule: Rule


def parts_of(rule: str, annotations: Path, videos: Path | None) -> list[Part]:
    """The parts of "virat", "meva" or "v2", which is both, each in a folder of its name inside both folders.

    UsageError: such a folder is not there.
    """
    rules: dict[str, Rule] = {"virat": ViratRule(), "meva": MevaRule()}
    if rule != "v2":
        return [Part(annotations, videos, rules[rule])]
    for folder in [root / name for root in (annotations, videos) if root for name in rules]:
        if not folder.is_dir():
            raise UsageError(f"build v2: {folder}: no such folder")
    return [Part(annotations / name, videos and videos / name, rules[name]) for name in rules]


@dataclass(frozen=True)
class BuildReport:
    """What a build did; `quarantined` lists (file, reason) of everything that had to be left out."""

    root: Path
    clips: dict[str, int]  # by split
    labels: dict[str, int]  # by class
    videos: int
    reused: int  # videos that an earlier, interrupted build had finished
    quarantined: tuple[tuple[str, str], ...]
    notes: tuple[str, ...]
    seconds: float

    def __str__(self) -> str:
        split = ", ".join(f"{n} {name}" for name, n in self.clips.items())
        bad = f", {len(self.quarantined)} quarantined" if self.quarantined else ""
        summary = f"{sum(self.clips.values())} clips ({split}) of {self.videos} videos{bad}: {self.root}"
        more = [f"... and {len(self.notes) - 10} more notes"] * (len(self.notes) > 10)
        return "\n".join([*self.notes[:10], *more, summary])


def build(
    annotations: str | Path,
    videos: str | Path | None,
    out: str | Path,
    rule: Rule,
    *,
    dry_run: bool = False,
    workers: int | None = None,
    scheduler: str | None = None,
    seed: int = 0,
    splits: Mapping[str, str] | None = None,
    replace: bool = False,
) -> BuildReport:
    """Build TinyVIRAT v1 (ViratRule) or a v2 part (MevaRule) into `out`; see `union`."""
    version = 1 if isinstance(rule, ViratRule) else 2
    part = Part(annotations, videos, rule)
    return union(
        [part],
        out,
        version=version,
        dry_run=dry_run,
        workers=workers,
        scheduler=scheduler,
        seed=seed,
        splits=splits,
        replace=replace,
    )


def union(
    parts: Sequence[Part],
    out: str | Path,
    *,
    version: int = 2,
    dry_run: bool = False,
    workers: int | None = None,
    scheduler: str | None = None,
    seed: int = 0,
    splits: Mapping[str, str] | None = None,
    replace: bool = False,
) -> BuildReport:
    """Build one dataset from several parts: TinyVIRAT-v2 is VIRAT under the v1 rule and MEVA under its own.

    Annotations in train/, val/ (or validate/) and test/ folders keep their split; otherwise every fifth video is held
    out. Ids count within a split, by part, video and anchor. Bad files go to quarantine.json and the build goes on; a
    killed build goes on where it was and ends with the same bytes. `dry_run` writes the indexes alone.

    Clips of an earlier build stay where this one would make the same, though their video is no longer there; where it
    would not, the build is refused before anything is touched, or with `replace` the whole folder is set aside as
    NAME.before-DATE. UsageError: that, a folder that holds clips of another origin, or another build at work in it.
    workers: processes on this machine (None: one a core, 0: this process); scheduler: address of a dask scheduler.
    """
    began, out = time.monotonic(), Path(out)
    if dry_run:
        if (out / STATE).is_dir() or (out / "videos").is_dir():
            raise UsageError(f"{out}: holds clips; a dry run writes its indexes into a folder of its own")
        cuts, bad, notes = _plan(parts, version, seed, splits)
        clips, reused = _publish(out, cuts, version), 0
    else:
        with locked(out / LOCK, wait=False):
            cuts, bad, notes = _plan(parts, version, seed, splits)
            tasks = _tasks(parts, cuts, out, bad)
            if line := _in_the_way(out, tasks):
                if not replace:
                    raise UsageError(f"{line}; build into another folder, or --replace sets this one aside")
                notes.append(f"{line}: set aside as {set_aside(out, LOCK)}")
            cuts, sums, reused = _cut(cuts, tasks, out, bad, notes, workers, scheduler)
            write_json(out / "checksums.json", dict(sorted(sums.items())))
            clips = _publish(out, cuts, version)
    if bad or not dry_run:
        write_json(out / "quarantine.json", [{"file": file, "reason": reason} for file, reason in sorted(bad)])
    labels = Counter(name for cut in cuts for _, window in cut.clips for name in window.labels)
    counts = {name: labels[name] for name in CLASSES if labels[name]}
    seconds = time.monotonic() - began
    return BuildReport(out, clips, counts, len(cuts), reused, tuple(sorted(bad)), tuple(notes), seconds)


@dataclass(frozen=True)
class _Cut:
    """The clips of one video: part, split, and windows with their ids."""

    part: int
    split: str
    video_id: str
    clips: tuple[tuple[str, Window], ...]

    @property
    def folder(self) -> str:
        return f"videos/{self.split}/{self.video_id}"


Bad = list[tuple[str, str]]  # (file, reason)


def _plan(
    parts: Sequence[Part], version: int, seed: int, splits: Mapping[str, str] | None
) -> tuple[list[_Cut], Bad, list[str]]:
    """Read all annotations, apply the rules, remove rare classes, and number the clips."""
    bad: Bad = []
    notes: list[str] = []
    plan: list[_Cut] = []
    seen: dict[str, Path] = {}
    for number, part in enumerate(parts):
        sources, twice = find_sources(part.annotations)
        bad += twice
        bad += [
            (str(s.file), f"{s.video_id} is annotated by {seen[s.video_id]}") for s in sources if s.video_id in seen
        ]
        sources = [source for source in sources if source.video_id not in seen]
        seen |= {source.video_id: source.file for source in sources}
        split_of = assign_splits(sources, splits, version=version)
        part_cuts: list[_Cut] = []
        with Meter(len(sources), "annotations", closing_line=False) as meter:
            for source in sources:
                try:
                    annotation = source.read()
                except AnnotationError as error:
                    bad.append((str(source.file), str(error)))
                else:
                    notes += annotation.notes
                    clips = tuple(("", window) for window in windows(annotation, part.rule, seed=seed))
                    part_cuts.append(_Cut(number, split_of[source.video_id], source.video_id, clips))
                meter.advance()
        plan += _without_rare(part_cuts, part.rule.min_clips, notes)
    counters = Counter[str]()
    numbered = []
    for cut in plan:
        first = counters[cut.split]
        counters[cut.split] += len(cut.clips)
        clips = tuple((f"{i:05d}", window) for i, (_, window) in enumerate(cut.clips, first))
        numbered.append(changed(cut, clips=clips))
    return [cut for cut in numbered if cut.clips], bad, notes


def _without_rare(cuts: list[_Cut], min_clips: int, notes: list[str]) -> list[_Cut]:
    """Remove classes that have fewer than `min_clips` training clips, and clips that lose all their labels.

    Where no class has enough, the build is a sample and not a dataset: nothing is removed, and a note says so.
    """
    present = {name for cut in cuts for _, window in cut.clips for name in window.labels}
    train = [cut for cut in cuts if cut.split == "train"] or cuts
    rare = rare_classes(present, (window for cut in train for _, window in cut.clips), min_clips)
    if not rare:
        return cuts
    listed = ", ".join(f"{name} ({n})" for name, n in rare.items())
    if present == rare.keys():
        notes.append(f"no class has {min_clips} training clips, so that none is removed: {listed}")
        return cuts
    notes.append(f"classes with fewer than {min_clips} training clips are removed: {listed}")
    remaining = []
    for cut in cuts:
        stripped = [(i, changed(w, labels=tuple(name for name in w.labels if name not in rare))) for i, w in cut.clips]
        remaining.append(changed(cut, clips=tuple((i, window) for i, window in stripped if window.labels)))
    return remaining


def _tasks(parts: Sequence[Part], plan: list[_Cut], out: Path, bad: Bad) -> dict[str, Task]:
    """What is to cut, by folder; videos that are not there are named, and what was cut of them before is kept."""
    videos = []
    for part in parts:
        if part.videos is None:
            raise UsageError("videos: expected the folder of the annotated videos (only a dry run needs none)")
        videos.append(find_videos(part.videos))
    tasks: dict[str, Task] = {}
    for cut in plan:
        files, unclear = videos[cut.part]
        video = files.get(cut.video_id)
        # absolute, since a worker may run elsewhere
        task = Task(video.absolute() if video else None, out.absolute(), cut.folder, cut.clips)
        if video is None:
            reason = unclear.get(cut.video_id, f"no video of this name under {parts[cut.part].videos}")
            earlier = finished(task)
            stay = f"; {len(earlier.files)} clips cut before are kept" if earlier else ""
            bad.append((cut.video_id, reason + stay))
            if earlier is None and not task.state.exists():
                continue
        tasks[cut.folder] = task
    return tasks


def _in_the_way(out: Path, tasks: Mapping[str, Task]) -> str:
    """What lies in `out` that this build would not leave as it is, in a line; "": nothing."""
    if (out / "videos").is_dir() and not (out / STATE).is_dir() and any((out / "videos").rglob("*.mp4")):
        return f"{out}: holds clips that no build has made"
    clips, folders = outdated(out, tasks)
    return f"{out}: holds {clips} clips that this build would not make (such as {folders[0]})" if clips else ""


def _cut(
    plan: list[_Cut],
    tasks: dict[str, Task],
    out: Path,
    bad: Bad,
    notes: list[str],
    workers: int | None,
    scheduler: str | None,
) -> tuple[list[_Cut], dict[str, str], int]:
    """Cut all videos that are there: what was written, its hashes, and how many videos were finished before."""
    tasks = {folder: task for folder, task in tasks.items() if task.video is not None or finished(task)}
    (out / STATE).mkdir(parents=True, exist_ok=True)  # from now on what lies here is a build's
    for leftover in out.glob(".*.part.json"):  # of a write that was killed
        leftover.unlink()
    done: dict[str, Done] = {}
    with Meter(len(tasks), "videos") as meter:
        for task, result in run(list(tasks.values()), workers, scheduler):
            done[task.folder] = result
            meter.advance()
    written, sums = [], dict[str, str]()
    for cut in (cut for cut in plan if cut.folder in done):
        result = done[cut.folder]
        bad += result.bad
        notes += result.notes
        sums |= result.files
        clips = tuple((name, w) for name, w in cut.clips if f"{cut.folder}/{name}.mp4" in result.files)
        if clips:
            written.append(changed(cut, clips=clips))
    return written, sums, sum(result.reused for result in done.values())


def _publish(out: Path, cuts: list[_Cut], version: int) -> dict[str, int]:
    """Write the index of every split that has clips, and remove those of splits that have none."""
    sizes = {}
    for split in SPLITS:
        clips = [
            Clip(
                clip_id=name,
                path=f"{cut.folder}/{name}.mp4",
                video_id=cut.video_id,
                labels=window.labels,
                frames=window.frames,
                width=window.side,
                height=window.side,
                domain=video_domain(cut.video_id),
                window=window.clip_id,
            )
            for cut in cuts
            if cut.split == split
            for name, window in cut.clips
        ]
        if clips:
            sizes[split] = len(clips)
            write_tinyvirat(Index("tinyvirat", split, out, CLASSES, True, tuple(clips)), out, version=version)
        else:
            for private in (False, True):
                (out / tinyvirat_json(split, version, private=private)).unlink(missing_ok=True)
    return sizes
