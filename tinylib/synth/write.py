"""SynthVIRAT on disk: full-frame videos, annotations in the real formats, and the truth behind them.

ROOT/synthvirat.json                           what was asked for
ROOT/{virat,meva}/videos/NAME.mp4
ROOT/{virat,meva}/annotations/SPLIT/NAME.*     KPF trio; VIRAT Release 2 text beside it (V)
ROOT/truth/DOMAIN-SPLIT-NUMBER.json            seeds, camera, and where and when everything happens
ROOT/tinyvirat, ROOT/tinyvirat-v2              what the builder makes of it (`ensure`)
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from tinylib.errors import UsageError
from tinylib.files import write_json
from tinylib.progress import Meter
from tinylib.synth.annotation import annotate, write_kpf, write_release2
from tinylib.synth.filming.camera import Camera
from tinylib.synth.filming.render import Backdrop, Drawing, Image, Patch, composite, draw, outline, zoom_for
from tinylib.synth.filming.sensor import Chain, Sensor
from tinylib.synth.places.scene import Scene, make_scene
from tinylib.synth.plan import DOMAINS, PROFILES, Order, Profile, Shoot, shoots
from tinylib.synth.script import Act, Placed, Script, compose, relight
from tinylib.video import write_video
from tinylib.workers import as_finished, cores

GENERATOR = 3  # raise when equal seeds give other data
SHUTTER = 0.4  # of a frame that the shutter stays open
PRESET = "superfast"  # of x264: a third of the time of its default, like the chip in a camera
FOLDERS = {"V": "virat", "M": "meva"}


@dataclass(frozen=True)
class Report:
    """What a generation did."""

    root: Path
    videos: int
    reused: int  # that an earlier, interrupted run had finished
    frames: int
    missed: int  # vignettes that found no place
    seconds: float

    def __str__(self) -> str:
        return f"{self.videos} videos, {self.frames} frames ({self.reused} videos were there): {self.root}"


def resolve(profile: str | Profile, clips: int | None = None) -> Profile:
    """A profile by name; `clips` scales it to about so many V clips in all splits together."""
    if isinstance(profile, str):
        if profile not in PROFILES:
            raise UsageError(f"profile: expected one of {', '.join(PROFILES)}, got {profile!r}")
        profile = PROFILES[profile]
    if clips is None:
        return profile
    if clips < 3:
        raise UsageError(f"clips: expected 3 or more, got {clips}")
    share = clips / (profile.train + profile.validate + profile.test)
    sizes = {name: max(1, round(getattr(profile, name) * share)) for name in ("train", "validate", "test")}
    return replace(profile, **sizes)


def generate(
    out: str | Path,
    profile: str | Profile = "smoke",
    seed: int = 0,
    *,
    workers: int | None = None,
    scheduler: str | None = None,
    clips: int | None = None,
    domains: tuple[str, ...] = DOMAINS,
) -> Report:
    """Make the videos and annotations of a profile; a killed run goes on where it was and ends with the same bytes.

    workers: processes on this machine (None: one a core, 0: this process); scheduler: address of a dask scheduler.
    """
    began, out = time.monotonic(), Path(out)
    profile = resolve(profile, clips)
    todo = shoots(profile, seed, domains)
    request = {"generator": GENERATOR, "seed": seed, "profile": asdict(profile)}
    note = out / "synthvirat.json"
    if note.exists() and json.loads(note.read_text(encoding="utf-8")) != request:
        raise UsageError(f"{out}: holds other data (see {note.name}); choose another folder")
    write_json(note, request)
    missing = [shoot for shoot in todo if not truth_file(out, shoot).exists()]
    with Meter(len(missing), "videos") as meter:
        for _ in _spread(missing, out, workers, scheduler):
            meter.advance()
    facts = [json.loads(truth_file(out, shoot).read_text(encoding="utf-8")) for shoot in todo]
    frames, missed = sum(f["frames"] for f in facts), sum(f["missed"] for f in facts)
    return Report(out, len(todo), len(todo) - len(missing), frames, missed, time.monotonic() - began)


def _spread(todo: list[Shoot], out: Path, workers: int | None, scheduler: str | None) -> Iterator[str]:
    """Film everything, in this process or on dask, longest first."""
    todo = sorted(todo, key=lambda shoot: -sum(order.frames or 90 for order in shoot.orders))
    workers = cores() if workers is None else workers
    jobs = [(shoot, out.absolute()) for shoot in todo]
    for _, name in as_finished(film, jobs, min(workers, len(todo)), scheduler=scheduler, name=lambda job: job[0].stem):
        yield name()


def _actions() -> object:
    from tinylib.synth import actions

    return actions


def truth_file(out: Path, shoot: Shoot) -> Path:
    return out / "truth" / f"{shoot.domain}-{shoot.split}-{shoot.number:03d}.json"


def film(shoot: Shoot, out: str | Path, cast: object = None) -> str:
    """Make one video with all its files; returns its name. The truth is written last: it says that all is there."""
    import cv2

    cv2.setNumThreads(1)
    if cast is None:
        cast = _actions()
    script, backdrop = compose(shoot, cast)
    name = shoot.stem
    if shoot.domain == "V":
        first = 400 * shoot.number
        name += f"{first:06d}_{first + -(-script.frames // 30):06d}"
    base = Path(out) / FOLDERS[shoot.domain]
    annotation = annotate(script, name)
    folder = base / "annotations" / shoot.split
    write_kpf(annotation, folder)
    if shoot.domain == "V":
        write_release2(annotation, folder)
    sensor = script.sensor
    video = base / "videos" / f"{name}.mp4"
    frames = (planes(frame) for frame in pictures(script, backdrop))
    write_video(video, frames, 30.0, crf=sensor.crf, keyframe_interval=sensor.group, preset=PRESET, planar=True)
    write_truth(truth_file(Path(out), shoot), script, name)
    return name


def pictures(script: Script, backdrop: Backdrop, *, sensor: bool = True) -> Iterator[Image]:
    """The frames of a video, in order, (H, W, 3); each is good until the next is asked for."""
    chain = Chain(script.sensor if sensor else script.sensor.clean(), backdrop.image, script.shoot.seed)
    stand = {id(act): Stand(act, script.camera, script.scene, backdrop) for act in script.acts}
    far_first = sorted(script.acts, key=lambda act: -act.placed.y)
    work = backdrop.image.copy()
    for t in range(script.frames):
        patches = [
            patch
            for act in far_first
            if 0 <= t - act.placed.start < act.placed.frames
            if (patch := stand[id(act)].into(work, t - act.placed.start)) is not None
        ]
        yield chain.record(work, patches, t)
        for p in patches:
            work[p.y0 : p.y1, p.x0 : p.x1] = backdrop.image[p.y0 : p.y1, p.x0 : p.x1]


def planes(frame: Image) -> Image:
    """A frame (H, W, 3) as the encoder takes it: yuv420p, (3 H / 2, W)."""
    import cv2

    from tinylib.synth.filming import planes as conversion

    out = np.empty((frame.shape[0] * 3 // 2, frame.shape[1]), np.uint8)
    red, green, blue = cv2.split(frame)
    conversion.planar(red, green, blue, out)
    return out


class Stand:
    """An act before a camera: draws its moments into a frame."""

    def __init__(self, act: Act, camera: Camera, scene: Scene, backdrop: Backdrop):
        self.act, self.camera, self.light, self.backdrop = act, camera, scene.light, backdrop
        self.sunlit = relight(scene, backdrop, camera, act.placed)
        self.fast: dict[int, bool] = {}
        box, _ = outline(act.pose(0.0), camera)
        self.zoom = zoom_for(float(box[3] - box[1]))

    def poses(self, time: float) -> list[Drawing]:
        """The pose at `time`, and one later in the open shutter if it moves more than a pixel meanwhile."""
        now = self.act.pose(time)
        show = {"sunlit": self.sunlit, "shrink": 0.5 / self.zoom}
        drawings = [draw(now, self.camera, self.light, **show)]
        if self._fast(time):
            drawings.append(draw(now.towards(self.act.pose(time + 1), SHUTTER), self.camera, self.light, **show))
        return drawings

    def _fast(self, time: float) -> bool:
        """Whether anything is blurred around `time`; looked at every eighth frame."""
        from tinylib.synth.filming import projection

        block = int(time) // 8
        if block not in self.fast:
            first, last = self.act.pose(8.0 * block), self.act.pose(8.0 * block + 1)
            same = first.ends.shape == last.ends.shape and first.corners.shape == last.corners.shape
            way = projection.travel(first.points(), last.points(), self.camera.numbers) if same else 0.0
            self.fast[block] = bool(SHUTTER * way > 1)
        return self.fast[block]

    def shows(self, time: float) -> bool:
        """Whether the act or its shadow can be in the view at `time`, with room to spare; far cheaper than drawing."""
        from tinylib.synth.filming import projection

        (x0, y0, x1, y1), least = projection.stretch(
            self.act.pose(time).points(), self.light.slope, self.camera.numbers
        )
        room = 8 + 0.25 * max(x1 - x0, y1 - y0) + self.camera.f / least  # no limb is a metre thick
        return bool(min(x1, y1) > -room and x0 < self.camera.width + room and y0 < self.camera.height + room)

    def into(self, frame: Image, time: float) -> Patch | None:
        return composite(frame, self.backdrop, self.poses(time), self.light, self.zoom)


def write_truth(file: Path, script: Script, name: str) -> None:
    """What `read_truth` makes the script from again."""
    shoot = asdict(replace(script.shoot, orders=()))
    acts = [
        {
            **asdict(act.placed.order),
            "heading": act.placed.heading,
            "x": act.placed.x,
            "y": act.placed.y,
            "start": act.placed.start,
            "length": act.placed.frames,
            "kinds": list(act.vignette.kinds),
            "events": [[e.name, e.start, e.end, list(e.actors)] for e in act.vignette.events],
        }
        for act in script.acts
    ]
    facts = {"video": name, "frames": script.frames, "missed": script.missed, "shoot": shoot,
             "camera": asdict(script.camera), "sensor": asdict(script.sensor), "acts": acts}  # fmt: skip
    write_json(file, facts, indent=None)


def read_truth(file: str | Path, cast: object = None) -> tuple[str, Script]:
    """The name and the script of a video from its truth file."""
    if cast is None:
        cast = _actions()
    facts = json.loads(Path(file).read_text(encoding="utf-8"))
    shoot = Shoot(**facts["shoot"])
    fields = ("labels", "seed", "frames", "side", "chunk", "confuser", "crowd", "reckless")
    acts = []
    for row in facts["acts"]:
        order = Order(**({f: row[f] for f in fields} | {"labels": tuple(row["labels"])}))
        placed = Placed(order, row["heading"], row["x"], row["y"], row["start"], row["length"])
        acts.append(Act(placed, cast, shoot.domain))
    scene = make_scene(shoot.scene, shoot.domain)
    camera, sensor = Camera(**facts["camera"]), Sensor(**facts["sensor"])
    return facts["video"], Script(shoot, camera, scene, sensor, tuple(acts), facts["frames"], facts["missed"])


def ensure(
    data_root: str | Path,
    profile: str | Profile = "demo",
    seed: int = 0,
    version: int = 1,
    *,
    clips: int | None = None,
    workers: int | None = None,
    scheduler: str | None = None,
) -> Path:
    """The TinyVIRAT-layout root of a profile, made on first use: v1 from the V domain alone, v2 from both.

    clips: as in `resolve`. Everything goes through the builder that real data goes through. An interrupted run resumes.
    """
    from tinylib.building.builder import Part, union
    from tinylib.building.rules import MevaRule, ViratRule

    if version not in (1, 2):
        raise UsageError(f"version: expected 1 or 2, got {version}")
    chosen = resolve(profile, clips)
    base = Path(data_root) / f"synthvirat-{chosen.name}{'' if clips is None else f'-{clips}'}-s{seed}"
    root = base / ("tinyvirat" if version == 1 else "tinyvirat-v2")
    done = root / "synthvirat.json"
    request = {"generator": GENERATOR, "seed": seed, "profile": asdict(chosen)}
    if done.exists() and json.loads(done.read_text(encoding="utf-8")) == request:
        return root
    domains = DOMAINS[:version]
    generate(base, chosen, seed, workers=workers, scheduler=scheduler, domains=domains)
    parts, splits = [], {}
    for domain in domains:
        folder = base / FOLDERS[domain]
        rule = ViratRule(min_clips=0) if domain == "V" else MevaRule()
        parts.append(Part(folder / "annotations", folder / "videos", rule))
        for shoot in shoots(chosen, seed, (domain,)):
            name = json.loads(truth_file(base, shoot).read_text(encoding="utf-8"))["video"]
            v1 = "test" if shoot.split == "test" else "train"  # v2 takes its validation set out of v1's training set
            splits[name] = v1 if version == 1 else shoot.split.replace("validate", "val")
    union(parts, root, version=version, workers=workers, scheduler=scheduler, splits=splits)
    write_json(done, request)
    return root
