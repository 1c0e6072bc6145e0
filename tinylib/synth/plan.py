"""What to shoot: which label sets, how often, how long and how large, dealt out to videos. Pure and quick."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import numpy as np
import yaml
from numpy.typing import NDArray

from tinylib.annotations.labels import CLASSES
from tinylib.errors import UsageError
from tinylib.files import Json
from tinylib.synth.filming.camera import KINDS, Camera, scene_camera

Array = NDArray[np.float64]
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
PRETRAINING = 10**9  # the seed of the study for pre-training: every other set's seed lies below, and so do its places
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
    longest: int = 2  # pieces of 40 to 150 frames that a V vignette is planned for (M: three times as many windows)
    balanced_eval: bool = False  # the same number of clips of every class in validate and test

    def clips(self, domain: str, split: str) -> int:
        n = {"train": self.train, "validate": self.validate, "test": self.test}[split]
        return n if domain == "V" else round(n * (1 - MIX[split]) / MIX[split])


PROFILES = {
    "smoke": Profile("smoke", train=64, validate=12, test=22, floor=1, orders=36, scale=0.75, longest=1),
    "demo": Profile("demo", train=1300, validate=140, test=400, floor=10, orders=48),
    "full": Profile("full", train=6276, validate=1387, test=5166, floor=10, orders=60),
}


@dataclass(frozen=True)
class Order:
    """One vignette to place: what it shows, how long, how large; `side` and `chunk` are of the clips cut from it."""

    labels: tuple[str, ...]  # empty: a distractor, or the far crowd
    seed: int
    frames: int | None  # None: as long as the action takes (the crowd: as long as the video)
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
def statistics() -> Json:
    """The real counts and quantiles (statistics.yaml)."""
    return dict(yaml.safe_load(Path(__file__).with_name("statistics.yaml").read_text(encoding="utf-8")))


@cache
def combos(domain: str) -> dict[tuple[str, ...], int]:
    """Label sets of a domain and how many real clips carry each (not to be changed)."""
    table = statistics()[domain]["combos"]
    return {tuple(CLASSES[int(i)] for i in str(key).split("+")): n for key, n in table.items()}


@cache
def support(domain: str) -> dict[str, int]:
    """Real clips of every class of a domain, the most frequent first."""
    count = Counter[str]()
    for labels, n in combos(domain).items():
        count.update(dict.fromkeys(labels, n))
    return dict(count.most_common())


@cache
def rarest(labels: tuple[str, ...], domain: str) -> str:
    """The class of a set that the fewest real clips have."""
    count = support(domain)
    return min(labels, key=lambda name: (count[name], name))


def quotas(domain: str, clips: int, floor: int, *, balanced: bool = False) -> dict[tuple[str, ...], float]:
    """How many of `clips` each label set should get: its real share, after `floor` of every class.

    What the floor adds are sets of one label or two, mixed so that the mean number of labels stays the real one.
    balanced: as many of every class as there is room for, alone where the real data have it alone.
    """
    table, count = combos(domain), support(domain)
    whole = sum(table.values())
    mean = sum(len(labels) * n for labels, n in table.items()) / whole
    lifted, base = Counter[tuple[str, ...]](), 0.0
    least = float(clips // len(count) if balanced else floor)
    for _ in range(12):  # what is added is taken from everything else, which then may need more
        base = 0.0 if balanced else max(0.0, clips - sum(lifted.values())) / whole
        have = {name: base * n for name, n in count.items()}
        lifted.clear()
        labelled = 0.0
        for name in reversed(count):
            carriers = sorted((k for k in table if name in k), key=lambda k: (len(k), -table[k], k))
            alone, pair = carriers[0], next((k for k in carriers if len(k) == 2), carriers[0])
            while have[name] < least - 1e-9:
                share = min(1.0, least - have[name])
                chosen = pair if not balanced and labelled < mean * sum(lifted.values()) else alone
                lifted[chosen] += share  # type: ignore[assignment]
                labelled += len(chosen) * share
                for label in chosen:
                    have[label] += share
    return {k: base * n + lifted[k] for k, n in table.items() if base * n + lifted[k] > 0}


@cache
def _curves() -> dict[str, Array]:
    """Sides (px) at the 101 percentiles of the V clips whose rarest class is a given one.

    The real quantiles are of all clips of a class; of a frequent one, what its rarer companions bring is taken out.
    """
    table, count = combos("V"), support("V")
    sides: Mapping[str, list[float]] = statistics()["V"]["sides"]
    grid, levels = np.arange(8.0, 128.5, 0.5), np.linspace(0, 1, 101)
    shares: dict[str, Array] = {}  # of the clips up to each side
    for name in reversed(count):
        q = sides[name]
        ends = max(10.0, q[0] - 0.25 * (q[1] - q[0])), min(128.0, q[4] + 0.25 * (q[4] - q[3]) + 1)
        knots = np.maximum.accumulate((ends[0], *q, ends[1])) + 1e-6 * np.arange(7)
        law = np.interp(grid, knots, (0, 0.05, 0.25, 0.5, 0.75, 0.95, 1))
        alone = sum(n for labels, n in table.items() if rarest(labels, "V") == name)
        if count[name] > 100:
            law = law * count[name]
            for labels, n in table.items():
                if name in labels and (other := rarest(labels, "V")) != name:
                    law -= n * shares[other]
            law = np.clip(np.maximum.accumulate(law / alone), 0, 1)
        shares[name] = law / law[-1]
    from_zero = {name: max(0, int(np.searchsorted(law, 0.0, "right")) - 1) for name, law in shares.items()}
    return {
        name: np.interp(levels, law[first:] + 1e-9 * np.arange(len(law) - first), grid[first:])
        for (name, law), first in zip(shares.items(), from_zero.values(), strict=True)
    }


def draw_side(labels: tuple[str, ...], domain: str, rng: np.random.Generator, share: float | None = None) -> float:
    """The side (px) that a vignette's clips should have; `share` is its place in their law (None: drawn)."""
    share = rng.random() if share is None else share
    if domain == "M":
        low, high = ((42, 54), (64, 106), (114, 122))[rng.choice(3, p=(0.05, 0.85, 0.10))]
        return float(low + share * (high - low))
    if labels:
        curve = _curves()[rarest(labels, "V")]
    else:
        curve = np.interp(np.linspace(0, 1, 101), (0, 0.05, 0.25, 0.5, 0.75, 0.95, 1),
                          (14, *statistics()["V"]["side_px"], 126))  # fmt: skip
    # Shaky boxes and even sides make clips a little larger than what is in them.
    return float(np.clip(np.interp(share, np.linspace(0, 1, 101), curve) / 1.035, 9.0, 122.5))


def draw_frames(labels: tuple[str, ...], domain: str, chunks: int, rng: np.random.Generator) -> tuple[int, int]:
    """Length of a vignette that should give `chunks` clips a label, and the frames of a typical one of these."""
    rows, spans = statistics()["M"]["durations"], []
    for p10, p50, p90 in (rows[label] for label in labels if label in rows and (domain == "M" or label in PHASES)):
        z = rng.normal()
        spans.append(float(np.exp(math.log(p50) + z * math.log(p90 / p50 if z > 0 else p50 / p10) / 1.2816)))
    if PHASES & set(labels):
        turning = domain == "V" and any("turning" in label for label in labels)  # a long one needs more room than a lot
        frames = round(float(np.clip(min(spans), 56, 120 if turning else 320)))
        return frames, frames // pieces(labels, domain, frames, 64) if domain == "V" else 64
    if domain == "M":
        longest = LONGEST_WALK if "Transport_HeavyCarry" in labels else 600
        return round(min(max(min(spans), 64), longest, 64 * chunks + int(rng.integers(0, 40)))), 64
    longest = 600 if set(labels) <= STILL else LONGEST_WALK
    while True:
        lengths = rng.integers(40, 151, chunks)
        total = int(lengths.sum() + rng.integers(12, 40))
        if total <= longest:
            return total, int(lengths.mean())
        chunks = max(1, chunks - (rng.random() < 0.3))


def pieces(labels: tuple[str, ...], domain: str, frames: int, chunk: int) -> int:
    """How many clips in a row a vignette of so many frames gives."""
    if domain == "M":
        return math.ceil((0.9 if PHASES & set(labels) else 1.0) * (frames - 3) / 64)
    if PHASES & set(labels):  # what ends by itself takes four fifths of its vignette
        return max(1, round((0.8 * frames - 16) / 64))
    return max(1, round((frames - 16) / chunk))


def streams(labels: tuple[str, ...], domain: str) -> float:
    """Rows of clips that a vignette gives: one for every annotated activity (a group stands two or three times)."""
    if domain == "M":
        return float(sum(label != "activity_carrying" for label in labels))
    return len(labels) + (1.5 if {"Talking", "activity_standing"} <= set(labels) else 0.0)


def orders(
    domain: str, clips: int, floor: int, rng: np.random.Generator, *, longest: int = 2, balanced: bool = False
) -> list[Order]:
    """Vignettes whose clips should follow the quotas, with at least `floor` of every class."""
    vignettes: list[Order] = []
    have: Counter[str] = Counter()
    place: dict[str, float] = {}

    def add(labels: tuple[str, ...], left: float) -> float:
        most = 3 * longest if domain == "M" else longest
        rows = streams(labels, domain)
        chunks = int(np.clip(math.ceil(left / rows), 1, rng.integers(1, most + 1)))
        frames, chunk = draw_frames(labels, domain, chunks, rng)
        rows *= pieces(labels, domain, frames, chunk)
        of = rarest(labels, domain)
        place[of] = (place[of] + 0.618034) % 1.0 if of in place else float(rng.random())  # evenly over the law
        side = draw_side(labels, domain, rng, place[of])
        confuser, reckless = bool(rng.random() < 0.1), bool(rng.random() < 0.03)
        vignettes.append(Order(labels, int(rng.integers(2**31)), frames, side, chunk, confuser, reckless=reckless))
        have.update(dict.fromkeys(labels, rows))
        return rows

    groups: dict[str, list[tuple[str, ...]]] = {}
    plan = quotas(domain, clips, floor + floor // 10, balanced=balanced)  # a few come out too short or too large
    for labels in plan:
        groups.setdefault(rarest(labels, domain), []).append(labels)
    for group in groups.values():
        owed = 0.0  # what one set got too many, the next gets too few
        for i in rng.permutation(len(group)):
            labels = group[i]
            owed += plan[labels]
            while owed >= streams(labels, domain) / 2:
                owed -= add(labels, owed)
        shares = np.array([plan[labels] for labels in group])
        last = group[int(rng.choice(len(group), p=shares / shares.sum()))]
        if rng.random() < owed / streams(last, domain):
            add(last, owed)
    table = combos(domain)
    for name in reversed(support(domain)):
        carriers = sorted((k for k in table if name in k), key=lambda k: (len(k), -table[k], k))
        while have[name] < floor + floor // 10 + (floor > 1 and name in PHASES):
            add(carriers[0], 1.0)
    return [vignettes[i] for i in rng.permutation(len(vignettes))]


def _dealt(todo: list[Order], cameras: list[Camera], indoor: Array) -> list[list[Order]]:
    """Orders to videos, the least busy one each that has room: cars are outdoors, who stands large is near."""
    parts: list[list[Order]] = [[] for _ in cameras]
    load, tallest = np.zeros(len(cameras)), np.array([camera.tallest() for camera in cameras])

    def needs(order: Order) -> float:
        return order.side if set(order.labels) - {"activity_carrying"} <= STILL else 0.0

    for order in sorted(todo, key=lambda order: (not PHASES & set(order.labels), -needs(order))):
        wait = np.where(indoor, np.inf, load) if PHASES & set(order.labels) else load.copy()
        fits = tallest >= min(needs(order), tallest.max())
        number = int(np.where(fits, wait, np.inf).argmin())
        parts[number].append(order)
        load[number] += order.frames or 90
    return parts


def shoots(profile: Profile, seed: int, domains: tuple[str, ...] = DOMAINS) -> list[Shoot]:
    """Every video of a data set: a pure function of the profile and the seed; no place appears in two splits."""
    if not 0 <= seed < PRETRAINING:
        raise UsageError(f"seed: expected 0 to {PRETRAINING - 1}, got {seed}")
    planned: list[Shoot] = []
    for domain in domains:
        for place, split in enumerate(SPLITS):
            rng = np.random.default_rng((seed, DOMAINS.index(domain), place))
            floor = profile.floor if split == "train" else 0
            balanced = profile.balanced_eval and split != "train"
            todo = orders(domain, profile.clips(domain, split), floor, rng, longest=profile.longest, balanced=balanced)
            videos = max(1, round(len(todo) / profile.orders))
            first = ((seed * 2 + DOMAINS.index(domain)) * 3 + place) * 1000
            scenes = [first + number // 2 for number in range(videos)]
            cameras = [scene_camera(scene, domain, profile.scale)[0] for scene in scenes]
            indoor = np.array([KINDS[domain][scene % len(KINDS[domain])] == "hall" for scene in scenes])
            for number, part in enumerate(_dealt(todo, cameras, indoor)):
                for _ in range(max(1, len(part) // 10)):  # those that no class names
                    frames = int(rng.integers(60, 200))
                    part.append(Order((), int(rng.integers(2**31)), frames, draw_side((), domain, rng), 64))
                if domain == "V":
                    part.append(Order((), int(rng.integers(2**31)), None, 8.0, 64, crowd=True))
                numbers = int(rng.integers(2**31))
                planned.append(Shoot(split, domain, number, scenes[number], numbers, profile.scale, tuple(part)))
    return planned
