"""Training a classifier on labelled clips: the baselines of every paper."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn
from torch.nn import functional as F

from tinylib.datasets.loading import Batch
from tinylib.errors import UsageError
from tinylib.progress import Progress
from tinylib.training.optimise import ParameterGroup

Loss = Callable[[Tensor, Tensor], Tensor]
LOSSES: dict[str, Loss] = {"bce": F.binary_cross_entropy_with_logits, "cross_entropy": F.cross_entropy}


class Classify(nn.Module):
    """Logits of a clip against its labels: BCE for several labels, cross-entropy for one (TinyVIRAT, Eq. 4).

    batch: video (B, 3, T, H, W) in [0, 1]; label (B, classes) multi-hot, or (B,) class numbers.
    loss: a name in LOSSES, or any function (logits, labels) -> scalar.
    Differs from the paper: Eq. 4 prints BCE without its (1 - y) log(1 - p) term, which is meant.
    """

    def __init__(self, model: nn.Module, *, loss: str | Loss = "bce"):
        super().__init__()
        if isinstance(loss, str) and loss not in LOSSES:
            raise UsageError(f"loss: expected one of {', '.join(LOSSES)} or a function, found {loss!r}")
        self.model = model
        self.loss = LOSSES[loss] if isinstance(loss, str) else loss

    def losses(self, batch: Batch, progress: Progress) -> dict[str, Tensor]:
        logits, label = self.model(batch["video"]).float(), batch["label"]
        check_labels(logits, label, several=self.loss is F.binary_cross_entropy_with_logits)
        return {"loss": self.loss(logits, label)}  # Eq. 4 (TinyVIRAT)

    def parameter_groups(self) -> list[ParameterGroup]:
        return [{"params": [parameter for parameter in self.model.parameters() if parameter.requires_grad]}]


def check_labels(logits: Tensor, label: Tensor, *, several: bool) -> None:
    """UsageError where labels and network cannot belong together.

    logits: (B, classes); label: (B, classes) multi-hot, or (B,) class numbers. several: the loss takes multi-hot alone.
    """
    if several and label.ndim == 1:
        raise UsageError("loss 'bce' is of clips with several labels, and these have one each: use 'cross_entropy'")
    if label.ndim == 2 and label.shape[1] != logits.shape[1]:
        raise UsageError(f"the network has {logits.shape[1]} classes and the labels have {label.shape[1]}")
    if label.ndim == 1 and label.device.type == "cpu" and len(label) and int(label.max()) >= logits.shape[1]:
        raise UsageError(f"the network has {logits.shape[1]} classes, and a clip is of class number {int(label.max())}")
