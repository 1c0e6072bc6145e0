"""What notebooks 03 to 11 share: a study of SynthVIRAT, the clips they are judged on, what networks start from."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from tinylib.settings.parameters import EIGHT, Notebook, home, scaled

if TYPE_CHECKING:
    from torch import nn

    from tinylib.models.common import VideoClassifier

Network = TypeVar("Network", bound="nn.Module")

NOTHING = "none"  # of `pretrained`: random weights


@dataclass(frozen=True, kw_only=True)
class Studied(Notebook):
    """A notebook on the balanced study of both domains, which is made once below `data_root` (`methods.pairs`).

    A notebook may learn from a part of the training clips (`portion`); all are judged on the same test clips. What is
    rendered lies beside the study, for every notebook.
    """

    pretrained: str = scaled(NOTHING, "synthvirat", NOTHING)  # the shipped weights, none, or a .safetensors file
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
        if source != self.pretrained:
            print(f"{kind} starts from nothing: {self.pretrained} has no weights for a network of its structure")
        return network

    def source(self, network: nn.Module) -> str:
        """Where this network's first weights come from: `pretrained`, or "none" where nothing shipped fits it."""
        if self.pretrained in ("", NOTHING):
            return NOTHING
        if self.pretrained != "synthvirat":
            return str(home() / self.pretrained)
        from tinylib.models import pretrained

        structure = pretrained.structure(network)
        fits = any(
            pretrained.structure(pretrained.build(about)) == structure for about in pretrained.shipped().values()
        )
        return self.pretrained if fits else NOTHING

    def classifier(
        self, model: str, classes: Sequence[str], *, seed: int, options: Mapping[str, Any] | None = None
    ) -> VideoClassifier:
        """A classifier of `models.CLASSIFIERS` for these classes: weights by `seed`, then as `pretrained` says."""
        import torch

        from tinylib import models

        torch.manual_seed(seed)
        return self.start(models.create(model, num_classes=len(classes), **dict(options or {})), classes)

    def builder(
        self, model: str, classes: Sequence[str], options: Sequence[tuple[str, Any]] = ()
    ) -> Callable[[int], VideoClassifier]:
        """`classifier` as a function of the seed, for `recognition.learn`."""
        return lambda seed: self.classifier(model, classes, seed=seed, options=dict(options))
