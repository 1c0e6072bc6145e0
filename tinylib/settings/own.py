"""What notebook 13 runs with: a video of the user's own."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tinylib.errors import UsageError
from tinylib.settings.parameters import Notebook, home, scaled
from tinylib.settings.tinyvirat import SMALL, Backbone

if TYPE_CHECKING:
    from tinylib.annotations.tracks import VideoAnnotation


@dataclass(frozen=True, kw_only=True)
class OwnVideo(Notebook):
    """13: a video in; clips, actions and maps out."""

    run_dir: str = "runs/13_your_own_video"
    video: str = ""  # any video file; "" takes one of SynthVIRAT's full frames
    model: str = ""  # a run folder; "" takes the network that `pretrained` names
    pretrained: str = scaled("none", "synthvirat", "none")  # the shipped one, a file, or none: a small one is trained
    boxes: str = ""  # tracks of your own (CSV, MOT, KPF geometry, VIRAT objects); "" looks for what moves
    threshold: float = 0.5  # a class is said from this score on
    min_frames: int = 40  # of a clip
    searched: int = scaled(480, 960, 960)  # pixels: wider frames are searched for motion at this width
    network: Backbone = scaled(  # noqa: RUF009
        Backbone("small", "tiny_r3d", SMALL),
        Backbone("small", "tiny_r3d", (("widths", (12, 24, 48, 96)), ("stem", "paper"))),
        Backbone("3D ResNet", "r3d18"),
    )
    frames: int = scaled(8, 8, 16)
    size: int = scaled(32, 40, 112)  # pixels
    epochs: int = scaled(6, 12, 100)
    batch: int = scaled(16, 16, 64)
    lr: float = scaled(2e-3, 2e-3, 1e-3)
    train: int | None = scaled(64, 500, None)  # clips, drawn by seed
    shown: int = scaled(4, 8, 12)  # clips in pictures
    played: int = scaled(24, 48, 90)  # frames of the annotated video in the page
    wide: int = scaled(320, 480, 640)  # pixels of them

    def file(self) -> Path:
        """The video: the user's, or a SynthVIRAT test video (made on first use)."""
        if self.video:
            return home() / Path(self.video).expanduser()
        if not self.dataset_source.synthetic:
            raise UsageError(f"data {self.data!r} has no full frames: give a video")
        folder = "meva" if self.version == 2 else "virat"
        base = self.dataset().parent / folder
        names = sorted(path.name for path in (base / "annotations/test").glob("*.geom.yml"))
        return base / "videos" / f"{names[0].removesuffix('.geom.yml')}.mp4"

    def annotation(self) -> VideoAnnotation | None:
        """What SynthVIRAT's annotators say of its video; None for the user's own."""
        if self.video:
            return None
        from tinylib.annotations.kpf import read_kpf

        file = self.file()
        return read_kpf(file.parents[1] / "annotations/test" / f"{file.stem}.activities.yml")

    def weights(self) -> Path | None:
        """The run folder or file of the network; None: it is to be trained (a line says so where none shipped fits)."""
        if self.model:
            return home() / Path(self.model).expanduser()
        if self.pretrained in ("", "none"):
            return None
        if self.pretrained != "synthvirat":
            return home() / Path(self.pretrained).expanduser()
        from tinylib import models
        from tinylib.models import pretrained

        options = dict(self.network.options)
        wanted = pretrained.structure(models.create(self.network.model, num_classes=26, **options))
        for file, about in pretrained.shipped().items():
            if about["model"] == self.network.model and pretrained.structure(pretrained.build(about)) == wanted:
                return file
        print(f"{self.network.model} is trained here: {self.pretrained} has no weights for a network of its structure")
        return None
