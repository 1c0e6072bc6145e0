"""What a pre-trained network is worth: scores on held-out places, its weights file, and its card beside it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from tinylib.annotations.labels import CLASSES
from tinylib.datasets.index import Index
from tinylib.datasets.loading import ClipDataset, batches
from tinylib.datasets.store import ClipStore
from tinylib.errors import DataError
from tinylib.evaluation import metrics
from tinylib.evaluation.scores import Scores, predict
from tinylib.files import Json, sha256, write_json, write_text
from tinylib.methods import super_resolution
from tinylib.methods.pretraining_data import FRAMES, HELD_SIZES, SIDE, PretrainingSet, probe
from tinylib.methods.pretraining_lessons import Lesson, PairViews, companion, network_of, sampler_of, transform_of
from tinylib.models import checkpoint, pretrained
from tinylib.models.dvsr import ProgressiveDVSR
from tinylib.results.rows import commit
from tinylib.synth import studies
from tinylib.synth.plan import PRETRAINING
from tinylib.training.loop import FitResult
from tinylib.workers import device_name

LIMITS = (
    "Taught on synthetic video alone (SynthVIRAT): a stand-in for Kinetics in our tables, no replacement for it on "
    "real footage. Scores are of places, cameras and actors that training did not see, but of the same generator. "
    "Clips are balanced over classes; real surveillance is not. Eight frames spread over a clip of 40 to 150."
)
Row = Json


def finished(name: str, lesson: Lesson, data: PretrainingSet, out: Path) -> bool:
    """Whether weights and card of exactly this lesson, on exactly these clips, lie in `out`."""
    card, weights = out / f"{name}.json", out / f"{name}.safetensors"
    if not (card.is_file() and weights.is_file()):
        return False
    facts = json.loads(card.read_text(encoding="utf-8"))
    same = facts["lesson"] == plain(lesson) and facts["clips"]["digest"] == data.split("train").digest()
    return bool(same and facts["sha256"] == sha256(weights))


def publish(name: str, lesson: Lesson, network: nn.Module, result: FitResult, data: PretrainingSet, out: Path) -> str:
    """Write NAME.safetensors (float16), score what it holds, and write NAME.json and NAME.md; the first score in words.

    What is scored is the network as it comes out of the file, so that rounding to float16 is part of the score.
    """
    file = out / f"{name}.safetensors"
    rounded = network_of(lesson)
    rounded.load_state_dict(network.state_dict())
    checkpoint.save(file, _half(rounded), lesson.description() | {"name": name})
    file.with_suffix(".json").unlink(missing_ok=True)  # the card takes its place when it is whole
    restored = pretrained.start(network_of(lesson), file, classes=CLASSES if lesson.classifier else ()).eval()
    scores, by_class = scored(lesson, restored, data, out)
    train = data.split("train")
    seen = (len(train) if lesson.classifier else data.amount.pairs) * lesson.epochs
    facts: Row = {
        "name": name,
        "file": file.name,
        "sha256": sha256(file),
        "bytes": file.stat().st_size,
        "parameters": sum(parameter.numel() for parameter in restored.parameters()),
        "lesson": plain(lesson),
        "clips": {
            "name": "SynthVIRAT pre-training study",
            "seed": PRETRAINING,
            "version": 2,
            "amount": asdict(data.amount),
            "digest": train.digest(),
            "generator": studies.GENERATOR,
            "distinct": len(train) if lesson.classifier else data.amount.pairs,
            "seen": seen,
            "held-out clips": len(data.split("test")),
            "held-out videos": len({clip.video_id for clip in data.split("test").clips}),
        },
        "hours": round(result.seconds / 3600, 3),
        "device": device_name(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "commit": commit(),
        "command": f"tinylib pretrain {name} --out DIR",
        "scores": scores,
        "by class": by_class,
        "probe": probed(lesson, restored, *probe_stores(out / "probe"), out),
        "limits": LIMITS,
    }
    write_text(out / f"{name}.md", page(facts))
    write_json(out / f"{name}.json", facts)
    first = scores[0]
    return f"{first['metric']} {metrics.spelled(first['value'], first['low'], first['high'])} on {first['clips']}"


def scored(lesson: Lesson, network: nn.Module, data: PretrainingSet, out: Path) -> tuple[list[Row], list[Row]]:
    """Rows of scores by resolution, and by class at two of them, with 95% intervals over held-out videos."""
    if not lesson.classifier:
        return restoring(lesson, network, data, out), []
    rows, by_class = [], []
    for size, sensor in [(14, True), (SIDE, False), *((size, True) for size in HELD_SIZES if size != 14)]:
        index, store = data.held(size, sensor=sensor)
        label = f"{'natural' if sensor else 'clean'} {size} px"
        answers = answers_of(lesson, network, index, store)
        rows.append(precision_row(answers, label))
        if (size, sensor) in ((14, True), (SIDE, False)):
            by_class += class_rows(answers, label)
        for still in lesson.stills[1:]:
            network.still = still  # type: ignore[assignment]
            rows.append(precision_row(answers_of(lesson, network, index, store), f"{label}, still {still}"))
            network.still = 1.0  # type: ignore[assignment]
    share = np.asarray(data.split("test").targets(), float).mean(0)
    constant = {"clips": "a constant answer", "metric": "mAP", "value": float(share.mean()), "low": None, "high": None}
    return [*rows, constant], by_class


def answers_of(lesson: Lesson, network: nn.Module, index: Index, store: ClipStore) -> Scores:
    """Scores of every clip, whole and once."""
    clips = ClipDataset(index, store=store, sampler=sampler_of(lesson), frames=lesson.frames, size=None, views="centre")
    return predict(network, clips, batch_size=64, transform=transform_of(lesson), label="scoring")


def precision_row(answers: Scores, label: str) -> Row:
    targets = answers.targets
    assert targets is not None

    def statistic(weights: metrics.Floats) -> metrics.Floats:
        return metrics.mean_average_precision(answers.scores, targets, absent="keep", weights=weights)

    value = float(metrics.mean_average_precision(answers.scores, targets))
    low, high = metrics.bootstrap(statistic, answers.video_ids)
    return {"clips": label, "metric": "mAP", "value": value, "low": low, "high": high}


def class_rows(answers: Scores, label: str) -> list[Row]:
    """Average precision of each class, and how many held-out clips have it."""
    targets = answers.targets
    assert targets is not None
    weights = metrics.resamples(answers.video_ids)
    values = metrics.average_precision(answers.scores, targets)
    drawn = metrics.average_precision(answers.scores, targets, weights=weights)
    videos = len(set(answers.video_ids))
    rows = []
    for place, name in enumerate(answers.classes):
        low, high = metrics.around(float(values[place]), drawn[:, place], videos)
        row = {"clips": label, "class": name, "metric": "AP", "value": float(values[place])}
        rows.append(row | {"low": low, "high": high, "support": int(targets[:, place].sum())})
    return rows


def restoring(lesson: Lesson, network: nn.Module, data: PretrainingSet, out: Path) -> list[Row]:
    """Of a generator: PSNR of restored natural clips against their truth, and its gain over bicubic."""
    index, low = data.held(14, sensor=True)
    high = data.held(SIDE, sensor=False)[1]
    clips = ClipDataset(index, store=low, high=high, sampler="uniform", frames=FRAMES, size=None, views="centre")
    videos = [clip.video_id for clip in index.clips]
    if not lesson.generator:
        return pointing(lesson, network, clips.index.select(range(0, len(index), 4)), data, out)
    values = psnr_of(lesson, network, clips)
    rows = []
    for label, each in (("restored", values[0]), ("gain over bicubic", values[0] - values[1])):
        low_end, high_end = metrics.bootstrap(partial(metrics.weighted_mean, each), videos)
        row = {"clips": f"natural 14 px, x{lesson.options['scale']}: {label}", "metric": "PSNR, dB"}
        rows.append(row | {"value": float(each.mean()), "low": low_end, "high": high_end})
    return rows


def pointing(lesson: Lesson, network: nn.Module, index: Index, data: PretrainingSet, out: Path) -> list[Row]:
    """Of a foreground branch: the share of its map on the actors, beside the share of the picture they take."""
    store = data.plain(index, 14, sensor=True)
    mass, area = mass_on_actors(network, index, store, out)
    videos, rows = [clip.video_id for clip in index.clips], []
    for label, each in (("map on the actors", mass), ("picture the actors take", area), ("gain", mass - area)):
        low, high = metrics.bootstrap(partial(metrics.weighted_mean, each), videos)
        row = {"clips": f"natural 14 px, x{lesson.options['scale']}: {label}", "metric": "share"}
        rows.append(row | {"value": float(each.mean()), "low": low, "high": high})
    return rows


@torch.no_grad()
def mass_on_actors(
    branch: nn.Module, index: Index, store: ClipStore, folder: Path
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(clips,) of the map's mass on the actors, and of the picture they take. folder: with the branch's generator."""
    generator = companion("progressive_dvsr_x4", folder)
    assert isinstance(generator, ProgressiveDVSR)
    actors = torch.from_numpy(studies.masks(index, SIDE, frames=FRAMES)).float()
    clips = ClipDataset(index, store=store, sampler="uniform", frames=FRAMES, size=None, views="centre")
    mass = []
    for batch in batches(clips, 16):
        video = batch["video"].permute(0, 4, 1, 2, 3).float() / 255
        maps = branch(generator.encode(video * 2 - 1)[0])[:, 0]
        mass.append((maps * actors[batch["index"]]).sum((1, 2, 3)) / maps.sum((1, 2, 3)))
    return torch.cat(mass).double().numpy(), actors.mean((1, 2, 3)).double().numpy()


def psnr_of(lesson: Lesson, network: nn.Module, clips: ClipDataset) -> NDArray[np.float64]:
    """(2, clips): mean PSNR over frames, of the generator and of bicubic enlargement."""
    scale = lesson.options["scale"]
    views, ratios = PairViews(scale).eval(), []
    for batch in batches(clips, 16):
        batch = views(batch)
        for restorer in (network, super_resolution.bicubic(scale)):
            image = super_resolution.restore(restorer, batch["video"])
            ratios.append(metrics.psnr(image, batch["high"]).mean(1).numpy())
    return np.stack([np.concatenate(ratios[::2]), np.concatenate(ratios[1::2])])


def probe_stores(folder: Path) -> tuple[Index, dict[str, ClipStore]]:
    """A handful of held-out clips, scripted and rendered anew in seconds: natural 14 px and clean 56 px."""
    index = probe(folder)
    stores = {}
    for label, size, sensor in (("natural 14 px", 14, True), ("clean 56 px", SIDE, False)):
        file = folder / f"{label.replace(' ', '-')}.store"
        stores[label] = studies.render(index, file, size, sensor=sensor, frames=FRAMES, workers=0)
    return index, stores


def probed(
    lesson: Lesson, network: nn.Module, index: Index, stores: dict[str, ClipStore], folder: Path
) -> dict[str, float]:
    """The card's score on the handful of clips, which a test measures again: mAP, or PSNR in dB.

    folder: where the companions of a branch lie.
    """
    if lesson.classifier:
        precision = {}
        for label, store in stores.items():
            answers = answers_of(lesson, network, index, store)
            assert answers.targets is not None
            precision[label] = float(metrics.mean_average_precision(answers.scores, answers.targets))
        share = np.asarray(index.targets(), float).mean(0)
        return precision | {"a constant answer": float(share[share > 0].mean())}
    low, high = stores.values()
    clips = ClipDataset(index, store=low, high=high, sampler="uniform", frames=FRAMES, size=None, views="centre")
    if not lesson.generator:
        return {"mass on the actors": float(mass_on_actors(network, index, low, folder)[0].mean())}
    ours, bicubic = psnr_of(lesson, network, clips).mean(1).tolist()
    return {"restored": ours, "bicubic": bicubic}


def page(facts: Row) -> str:
    """The card as people read it."""
    lesson, clips = facts["lesson"], facts["clips"]
    lines = [
        f"# {facts['name']}",
        "",
        f"`{pretrained.spelled(lesson)}`, {facts['parameters']:,} parameters, float16, {facts['bytes'] // 1024} KiB.",
        "",
        f"Data: {clips['name']} (seed {clips['seed']}, digest {clips['digest']}): {clips['distinct']:,} clips, "
        f"{clips['seen']:,} seen in {lesson['epochs']} epochs. Places, cameras and actors are no benchmark's.",
        f"Made with `{facts['command']}` at commit {facts['commit']}, seed {lesson['seed']}, in {facts['hours']:.2f} "
        f"hours on {facts['device']} ({facts['threads']} threads, torch {facts['torch']}).",
        f"Scores are of {clips['held-out clips']} clips of {clips['held-out videos']} held-out videos in other places, "
        "with 95% intervals over videos.",
        "",
        *_table(facts["scores"], ("clips", "metric")),
        "",
    ]
    if facts["by class"]:
        lines += [*_table(facts["by class"], ("class", "clips", "support")), ""]
    lines += [f"sha256 {facts['sha256']}", "", facts["limits"], ""]
    return "\n".join(lines)


def _table(rows: Sequence[Row], names: Sequence[str]) -> list[str]:
    head = [f"| {' | '.join(names)} | value |", "|" + " --- |" * (len(names) + 1)]
    lines = []
    for row in rows:
        ends = (float("nan") if row[end] is None else row[end] for end in ("low", "high"))
        lines.append(f"| {' | '.join(str(row[name]) for name in names)} | {metrics.spelled(row['value'], *ends)} |")
    return head + lines


def plain(lesson: Lesson) -> Row:
    """A lesson as JSON has it."""
    return dict(json.loads(json.dumps(asdict(lesson))))


def _half(network: nn.Module) -> nn.Module:
    """In float16, where weights are float32; DataError where one does not fit."""
    for name, tensor in network.state_dict().items():
        if tensor.dtype == torch.float32 and not torch.isfinite(tensor.half()).all():
            raise DataError(f"{name}: too large for float16")
    return network.half()
