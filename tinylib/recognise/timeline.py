"""What was recognised in a video: who, when, where, what, how sure; as JSON, as a table, as words."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tinylib.annotations.tracks import Track
from tinylib.files import Json, write_json, write_text


@dataclass(frozen=True)
class Seen:
    """One tiny clip of one track: frames `first` to `last`, both included, of a square of the video."""

    clip_id: str
    track: str
    first: int
    last: int
    box: tuple[int, int, int, int]
    file: str  # of the clip, relative to the results' folder
    shrunk: bool  # larger than the dataset's clips: shown to the network smaller than it is
    scores: NDArray[np.float32]  # (classes,)
    map_file: str | None = None

    @property
    def side(self) -> int:
        return self.box[2] - self.box[0]

    @property
    def best(self) -> int:
        return int(self.scores.argmax())


@dataclass(frozen=True)
class Timeline:
    """All clips of one video in the order of their tracks, with what is needed to read them."""

    video: str
    frames: int
    fps: float
    width: int
    height: int
    model: str
    classes: tuple[str, ...]
    calibrated: bool
    threshold: float  # from which on a class is said
    source: str  # of the boxes: "motion" or a file
    times: NDArray[np.float64]  # (frames,) seconds
    tracks: dict[str, Track]
    clips: tuple[Seen, ...]
    notes: tuple[str, ...] = ()

    def said(self, clip: Seen) -> list[int]:
        """The classes of a clip that reach the threshold, the surest first; the surest alone where none does."""
        order = np.argsort(-clip.scores, kind="stable")
        return [int(c) for n, c in enumerate(order) if n == 0 or clip.scores[c] >= self.threshold]

    def seconds(self, clip: Seen) -> tuple[float, float]:
        """From when its first frame is shown to when the frame after its last one is."""
        after = self.times[clip.last + 1] if clip.last + 1 < self.frames else self.times[-1] + 1 / (self.fps or 25.0)
        return round(float(self.times[clip.first]), 3), round(float(after), 3)

    def rows(self) -> Iterator[Json]:
        """A row a clip and class that is said."""
        for clip in self.clips:
            begin, end = self.seconds(clip)
            where = dict(zip(("x0", "y0", "x1", "y1"), clip.box, strict=True))
            for place in self.said(clip):
                yield {
                    "track": clip.track,
                    "clip": clip.clip_id,
                    "first_frame": clip.first,
                    "last_frame": clip.last,
                    "first_second": begin,
                    "last_second": end,
                    **where,
                    "class": self.classes[place],
                    "score": round(float(clip.scores[place]), 4),
                    "calibrated": "yes" if self.calibrated else "no",
                }

    def save(self, out: Path) -> None:
        """OUT/timeline.json, with every score and every box, and OUT/timeline.csv, with what is said."""
        text = io.StringIO()
        writer: csv.DictWriter[str] | None = None
        for row in self.rows():
            if writer is None:
                writer = csv.DictWriter(text, list(row), lineterminator="\n")
                writer.writeheader()
            writer.writerow(row)
        write_text(out / "timeline.csv", text.getvalue())
        whole = {
            name: getattr(self, name)
            for name in ("video", "frames", "fps", "width", "height", "model", "calibrated", "threshold", "source")
        }
        tracks = [self._track(track) for track in self.tracks.values()]
        write_json(out / "timeline.json", whole | {"notes": list(self.notes), "tracks": tracks})

    def _track(self, track: Track) -> Json:
        clips = [clip for clip in self.clips if clip.track == track.id]
        boxes = {str(frame): [round(side, 1) for side in box] for frame, box in sorted(track.boxes.items())}
        return {
            "id": track.id,
            "kind": track.kind,
            "first_frame": min(track.boxes),
            "last_frame": max(track.boxes),
            "clips": [self._clip(clip) for clip in clips],
            "boxes": boxes,
        }

    def _clip(self, clip: Seen) -> Json:
        begin, end = self.seconds(clip)
        scores = {name: round(float(score), 4) for name, score in zip(self.classes, clip.scores, strict=True)}
        return {
            "clip": clip.clip_id,
            "file": clip.file,
            "map": clip.map_file,
            "first_frame": clip.first,
            "last_frame": clip.last,
            "first_second": begin,
            "last_second": end,
            "box": list(clip.box),
            "shrunk": clip.shrunk,
            "said": [self.classes[place] for place in self.said(clip)],
            "scores": dict(sorted(scores.items(), key=lambda item: -item[1])),
        }

    def summary(self) -> str:
        """A few lines for people: what there is, what is said how often, what to beware of."""
        best: dict[str, list[float]] = {}
        for clip in self.clips:
            for place in self.said(clip):
                if clip.scores[place] >= self.threshold:
                    best.setdefault(self.classes[place], []).append(float(clip.scores[place]))
        lines = [
            f"{self.video}: {self.frames} frames, {self.width}x{self.height}, {self.fps:.4g} a second",
            f"{len(self.tracks)} tracks ({self.source}), {len(self.clips)} clips of "
            f"{len({clip.track for clip in self.clips})} of them",
        ]
        for name, scores in sorted(best.items(), key=lambda item: (-len(item[1]), item[0])):
            lines.append(f"  {name}: {len(scores)} clips, scores to {max(scores):.2f}")
        if not best:
            lines.append(f"  no class reaches {self.threshold:g} in any clip")
        if not self.calibrated:
            lines.append("scores are not calibrated: 0.8 does not mean that eight in ten are right")
        return "\n".join([*lines, *self.notes])
