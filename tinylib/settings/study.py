"""What notebooks 03 to 11 share: a study of SynthVIRAT, the clips they are judged on, what networks start from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from tinylib.errors import UsageError
from tinylib.files import Json
from tinylib.settings.parameters import EIGHT, Notebook, home, scaled

if TYPE_CHECKING:
    from torch import nn

    from tinylib.models.common import VideoClassifier

Network = TypeVar("Network", bound="nn.Module")
Options = tuple[tuple[str, object], ...]  # of a constructor

NOTHING = "none"  # of `pretrained`: random weights


@dataclass(frozen=True, kw_only=True)
class Studied(Notebook):
    """A notebook on the balanced study of both domains, which is made once below `data_root` (`methods.pairs`).

    A notebook may learn from a part of the training clips (`portion`); all are judged on the same test clips. What is
    rendered lies beside the study, for every notebook.
    """

    # "synthvirat" (shipped), torchvision's "kinetics400" or "imagenet", none, a .safetensors file; or one of these for
    # each network by name: "r3d_18=kinetics400,wrn50=weights/wrn50.safetensors"
    pretrained: str = scaled(NOTHING, "synthvirat", NOTHING)
    classes: tuple[str, ...] = scaled(EIGHT[:3], EIGHT, ())  # of the study; () is all 26
    train_clips: int = scaled(6, 400, 200)  # of the study, a class
    val_clips: int = scaled(3, 40, 40)  # thresholds are fitted on them, and super-resolution may learn from them
    test_clips: int = scaled(3, 150, 60)
    portion: int | None = scaled(None, 100, None)  # training clips a class that are learned from; None is all
    kept: int | None = scaled(8, 8, None)  # frames a clip, evenly spaced

    def start(self, network: Network, classes: Sequence[str] = ()) -> Network:
        """Give a fresh network the weights that `pretrained` names, in place, and return it; a line says what it got.

        classes: the names of its outputs. Where the package ships no weights for a network of this structure it stays
        as it is, and the line says so; a file that does not fit is an error.
        """
        source = self.source(network)
        if source != NOTHING:
            from tinylib.models import pretrained

            pretrained.start(network, source, classes=classes)
        kind = type(network).__name__
        if source == NOTHING and self.pretrained not in ("", NOTHING):
            print(f"{kind} starts from nothing: {self.pretrained} has no weights for a network of its structure")
        return network

    def source(self, network: nn.Module) -> str:
        """Where this network's first weights come from: `pretrained`, or "none" where it has nothing for it."""
        if self.pretrained in ("", NOTHING):
            return NOTHING
        from tinylib.models import pretrained

        source = pretrained.chosen(network, self.pretrained)
        if source in pretrained.SOURCES:
            return source if pretrained.available(network, source) else NOTHING
        return source if source == NOTHING else str(home() / Path(source).expanduser())

    def classifier(
        self, model: str, classes: Sequence[str], *, seed: int, options: Json | None = None
    ) -> VideoClassifier:
        """A classifier of `models.CLASSIFIERS` for these classes: weights by `seed`, then as `pretrained` says."""
        import torch

        from tinylib import models

        torch.manual_seed(seed)
        return self.start(models.create(model, num_classes=len(classes), **dict(options or {})), classes)

    def builder(
        self, model: str, classes: Sequence[str], options: Sequence[tuple[str, object]] = ()
    ) -> Callable[[int], VideoClassifier]:
        """`classifier` as a function of the seed, for `recognition.learn`."""
        return lambda seed: self.classifier(model, classes, seed=seed, options=dict(options))


@dataclass(frozen=True, kw_only=True)
class Recognising(Studied):
    """A notebook whose classifiers can be others than its profile's.

    network: a name in `models.CLASSIFIERS` that takes the place of the profile's classifiers, as torchvision's r3d_18
    does with `pretrained` "kinetics400". probe: "linear" or "attentive", classifiers are frozen as they start, and a
    small head over their features learns alone.
    """

    network: str = ""
    probe: str = ""

    def __post_init__(self) -> None:
        from tinylib.models.adapted import TORCHVISION
        from tinylib.models.probe import KINDS

        if self.probe and self.probe not in KINDS:
            raise UsageError(f"probe: expected one of {', '.join(KINDS)}, found {self.probe!r}")
        if self.network:
            from tinylib.models.classifiers import CLASSIFIERS

            if self.network not in CLASSIFIERS:
                raise UsageError(f"network: expected one of {', '.join(CLASSIFIERS)}, found {self.network!r}")
        if self.probe and self.pretrained in ("", NOTHING):
            raise UsageError(
                "probe: the frozen network needs weights: give `pretrained` a source, such as kinetics400 with "
                f"`network` one of {', '.join(TORCHVISION)}"
            )

    def chosen(self, model: str, options: Options) -> tuple[str, Options]:
        """A classifier of the profile as this run has it: its name and its constructor's options."""
        probe: Options = (("probe", self.probe),) if self.probe else ()
        if self.network:
            return self.network, probe
        return model, (*(option for option in options if option[0] != "probe"), *probe)

    def about(self) -> dict[str, str]:
        """What a run folder says of what its networks start from, so that none is gone on with that began elsewhere."""
        extra = {"network": self.network, "probe": self.probe}
        return {"start": self.pretrained} | {name: value for name, value in extra.items() if value}
