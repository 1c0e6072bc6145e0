"""What to shoot: which label sets, how often, how long and how large, dealt out to videos. Pure and quick."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from tinylib.datasets.labels import CLASSES
from tinylib.errors import UsageError

SPLITS = ("train", "validate", "test")
DOMAINS = ("V", "M")
MIX = {"train": 0.37, "validate": 0.42, "test": 0.85}  # share of V clips in a split of v2
# What ends by itself; everything else goes on for as long as the director wants.
PHASES = frozenset(
    ("Opening", "Closing", "Entering", "Exiting", "Loading", "vehicle_starting", "vehicle_stopping",
     "vehicle_turning_left", "vehicle_turning_right")
)  # fmt: skip
STILL = frozenset(
    ("activity_standing", "Interacts", "Talking", "activity_gesturing", "specialized_talking_phone",
     "specialized_texting_phone")
)  # fmt: skip
LONGEST_WALK = 280  # frames until a walker has left its place


@dataclass(frozen=True)
class Profile:
    """How much to make: V clips a split (M follows from the mixes), and the least of any class in train."""

    name: str
    train: int
    validate: int
    test: int
    floor: int
    orders: int  # vignettes a video holds
    scale: float = 1.0  # of the views: 1 is 1280x720 and 960x536
    longest: int = 2  # pieces of 40 to 150 frames that a V vignette is planned for (M: twice as many windows)
    balanced_eval: bool = False  # the same number of clips of every class in validate and test

    def clips(self, domain: str, split: str) -> int:
        n = {"train": self.train, "validate": self.validate, "test": self.test}[split]
        return n if domain == "V" else round(n * (1 - MIX[split]) / MIX[split])


PROFILES = {
    "smoke": Profile("smoke", train=64, validate=12, test=22, floor=1, orders=36, scale=0.75, longest=1),
    "demo": Profile("demo", train=760, validate=140, test=400, floor=10, orders=48),
    "full": Profile("full", train=6276, validate=1387, test=5166, floor=10, orders=60),
}


@dataclass(frozen=True)
class Order:
    """One vignette to place: what it shows, how long, how large; `side` and `chunk` are of the clips cut from it."""

    labels: tuple[str, ...]  # empty: a distractor, or the far crowd
    seed: int
    frames: int | None  # None: as long as the action takes
    side: float  # px
    chunk: int  # frames of a typical clip
    confuser: bool = False
    crowd: bool = False
    reckless: bool = False  # may come close to others: natural label noise


@dataclass(frozen=True)
class Shoot:
    """One source video to make."""

    split: str
    domain: str
    number: int  # within its split and domain
    scene: int  # seed of the place
    seed: int
    scale: float
    orders: tuple[Order, ...] = field(repr=False)

    @property
    def stem(self) -> str:
        """The file name up to what depends on the video's length (V), or whole (M)."""
        place = SPLITS.index(self.split) * 30 + self.number // 2 % 30
        if self.domain == "V":
            return f"VIRAT_S_{90 + self.number // 60:02d}{place:02d}{self.number % 2:02d}_{self.number:02d}_"
        minute = 5 * (self.number % 12)
        day, hour = 5 + self.number // 144 + 7 * SPLITS.index(self.split), 8 + self.number // 12 % 12
        end = f"{hour + (minute + 5) // 60:02d}-{(minute + 5) % 60:02d}"
        site = ("bus", "school", "hospital")[place % 3]
        return f"2018-03-{day:02d}.{hour:02d}-{minute:02d}-08.{end}-08.{site}.G{300 + place:03d}"


@cache
def statistics() -> dict[str, Any]:
    """The real counts and quantiles (statistics.yaml)."""
    return dict(yaml.safe_load(Path(__file__).with_name("statistics.yaml").read_text(encoding="utf-8")))


def combos(domain: str) -> dict[tuple[str, ...], int]:
    """Label sets of a domain and how many real clips carry each."""
    table = statistics()[domain]["combos"]
    return {tuple(CLASSES[int(i)] for i in str(key).split("+")): n for key, n in table.items()}


def quotas(domain: str, clips: int, floor: int, *, balanced: bool = False) -> dict[tuple[str, ...], int]:
    """How many clips each label set gets: the real shares by largest remainder, then `floor` of every class."""
    table = combos(domain)
    support = Counter[str]()
    for labels, n in table.items():
        for label in labels:
            support[label] += n
    if balanced:
        quota = Counter[tuple[str, ...]]()
        floor = max(1, clips // len(support))
    else:
        exact = {labels: clips * n / sum(table.values()) for labels, n in table.items()}
        quota = Counter({labels: int(share) for labels, share in exact.items()})
        rest = sorted(exact, key=lambda labels: quota[labels] - exact[labels])
        quota.update(rest[: clips - sum(quota.values())])
    for label in sorted(support, key=lambda name: support[name]):
        have = sum(n for labels, n in quota.items() if label in labels)
        carriers = [labels for labels in table if label in labels]
        carriers.sort(key=lambda k: (len(k) if balanced else 0, -table[k]))
        for i in range(max(0, floor - have)):
            quota[carriers[i % min(len(carriers), 1 if balanced else 3)]] += 1
    return {labels: n for labels, n in quota.items() if n}


def draw_side(labels: tuple[str, ...], domain: str, rng: np.random.Generator) -> float:
    """A side (px) by the real quantiles of the set's rarest class."""
    if domain == "M":
        low, high = ((42, 54), (64, 106), (114, 122))[rng.choice(3, p=(0.05, 0.85, 0.10))]
        return float(rng.uniform(low, high))
    table: Mapping[str, list[float]] = statistics()["V"]["sides"]
    order = list(table)  # by support, most frequent first
    q = table[max(labels, key=order.index)] if labels else statistics()["V"]["side_px"]
    knots = (max(14.0, q[0] - 0.25 * (q[1] - q[0])), *q, min(127.0, q[4] + 0.25 * (q[4] - q[3]) + 1))
    return min(122.0, float(np.interp(rng.random(), (0, 0.05, 0.25, 0.5, 0.75, 0.95, 1), knots)))


def draw_frames(labels: tuple[str, ...], domain: str, chunks: int, rng: np.random.Generator) -> tuple[int | None, int]:
    """Length of a vignette that should give `chunks` clips a label, and the frames of a typical one of these."""
    if PHASES & set(labels):
        return None, 64
    if domain == "M":
        rows = statistics()["M"]["durations"]
        spans = []
        for p10, p50, p90 in (rows[label] for label in labels if label in rows):
            sigma = math.log(p90 / p10) / 2.563
            spans.append(float(np.exp(math.log(p50) + rng.normal(0, sigma))))
        longest = LONGEST_WALK if "Transport_HeavyCarry" in labels else 600
        return round(min(max(min(spans), 64), longest, 64 * chunks + int(rng.integers(0, 40)))), 64
    longest = 600 if set(labels) <= STILL else LONGEST_WALK
    while True:
        lengths = rng.integers(40, 151, chunks)
        total = int(lengths.sum() + rng.integers(12, 40))
        if total <= longest:
            return total, int(lengths.mean())
        chunks = max(1, chunks - (rng.random() < 0.3))


def streams(labels: tuple[str, ...], domain: str) -> float:
    """Rows of clips that a vignette gives: one for every annotated activity (a group stands two or three times)."""
    if domain == "M":
        return float(sum(label != "activity_carrying" for label in labels))
    return len(labels) + (1.5 if {"Talking", "activity_standing"} <= set(labels) else 0.0)


def orders(
    domain: str, clips: int, floor: int, rng: np.random.Generator, *, longest: int = 2, balanced: bool = False
) -> list[Order]:
    """Vignettes whose clips should follow the quotas, with at least `floor` of every class."""
    made: list[Order] = []
    have: Counter[str] = Counter()

    def add(labels: tuple[str, ...], left: float) -> float:
        most = 1 if PHASES & set(labels) else (2 * longest if domain == "M" else longest)
        rows = streams(labels, domain)
        chunks = int(np.clip(math.ceil(left / rows), 1, rng.integers(1, most + 1)))
        frames, chunk = draw_frames(labels, domain, chunks, rng)
        side = draw_side(labels, domain, rng)
        confuser, reckless = bool(rng.random() < 0.1), bool(rng.random() < 0.03)
        made.append(Order(labels, int(rng.integers(2**31)), frames, side, chunk, confuser, reckless=reckless))
        have.update(dict.fromkeys(labels, rows * chunks))
        return rows * chunks

    for labels, quota in quotas(domain, clips, 0, balanced=balanced).items():
        left = float(quota)
        while left > 0 and rng.random() < left / streams(labels, domain):  # what is left over is thrown for
            left -= add(labels, left)
    want = floor + 1 + floor // 5 if floor else 0  # a few come out too short or too large
    table = combos(domain)
    for label in sorted({name for labels in table for name in labels}):
        carriers = sorted((labels for labels in table if label in labels), key=lambda k: (-table[k], k))[:3]
        while have[label] < want:
            add(carriers[int(rng.integers(len(carriers)))], 1.0)
    return [made[i] for i in rng.permutation(len(made))]


def _dealt(todo: list[Order], videos: int, domain: str) -> list[list[Order]]:
    """Orders to videos, to the least busy one each; cars only where M is outdoors (every other place is a hall)."""
    parts: list[list[Order]] = [[] for _ in range(videos)]
    load = np.zeros(videos)
    indoor = np.array([domain == "M" and number // 2 % 2 == 1 for number in range(videos)])
    for order in sorted(todo, key=lambda order: not PHASES & set(order.labels)):
        wait = np.where(indoor, np.inf, load) if PHASES & set(order.labels) else load
        number = int(wait.argmin())
        parts[number].append(order)
        load[number] += order.frames or 90
    return parts


def shoots(profile: Profile, seed: int, domains: tuple[str, ...] = DOMAINS) -> list[Shoot]:
    """Every video of a data set: a pure function of the profile and the seed; no place appears in two splits."""
    if seed < 0:
        raise UsageError(f"seed: expected 0 or more, got {seed}")
    made: list[Shoot] = []
    for domain in domains:
        for place, split in enumerate(SPLITS):
            rng = np.random.default_rng((seed, DOMAINS.index(domain), place))
            floor = profile.floor if split == "train" else 0
            balanced = profile.balanced_eval and split != "train"
            todo = orders(domain, profile.clips(domain, split), floor, rng, longest=profile.longest, balanced=balanced)
            videos = max(1, round(len(todo) / profile.orders))
            for number, part in enumerate(_dealt(todo, videos, domain)):
                for _ in range(max(1, len(part) // 10)):  # those that no class names
                    frames = int(rng.integers(60, 200))
                    part.append(Order((), int(rng.integers(2**31)), frames, draw_side((), domain, rng), 64))
                if domain == "V":
                    part.append(Order((), int(rng.integers(2**31)), None, 8.0, 64, crowd=True))
                scene = ((seed * 2 + DOMAINS.index(domain)) * 3 + place) * 1000 + number // 2
                numbers = int(rng.integers(2**31))
                made.append(Shoot(split, domain, number, scene, numbers, profile.scale, tuple(part)))
    return made
