"""A run's network as one file that runs without this package: ONNX, or torch's own exported program."""

from __future__ import annotations

import io
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from tinylib.errors import DataError, UsageError
from tinylib.evaluation.model_card import ModelCard, open_model
from tinylib.files import Json, atomic_path, sha256, write_json

Form = Literal["onnx", "torch"]
TOLERANCE = 1e-3  # of the logits, relative to the largest: what another runtime's sums may differ by


@dataclass(frozen=True)
class Exported:
    """What was written and how far its logits were from the network's, relative to the largest, on three clips."""

    file: Path
    difference: float


def export(run: str | Path, out: str | Path, form: Form) -> Exported:
    """Write the network of a run folder: video (B, 3, T, H, W) float in [0, 1] -> logits (B, classes), any B.

    T, H and W are those of the run; normalisation is inside. OUT.json beside it says classes, size, frames and sampler.
    The file is run on random clips in batches of one and two and held against the network before it is put in place:
    DataError where logits differ by more than 0.1% of the largest.
    """
    trained, out = open_model(run), Path(out)
    suffix = {"onnx": ".onnx", "torch": ".pt2"}[form]
    if out.suffix != suffix:
        raise UsageError(f"{out}: expected a name that ends in {suffix}")
    height, width = (trained.card.size,) * 2 if isinstance(trained.card.size, int) else trained.card.size
    video = torch.rand(2, 3, trained.card.frames, height, width, generator=torch.Generator().manual_seed(0))
    with atomic_path(out) as temporary:
        write = _onnx if form == "onnx" else _program
        write(trained.network, video, temporary)
        worst = max(_difference(trained.network, temporary, form, clips) for clips in (video, video[:1].flip(2)))
        if not worst <= TOLERANCE:
            raise DataError(f"{out}: the exported network's logits differ by {worst:.2g} of the largest; not written")
    about = _described(trained.card) | {"weights": sha256(trained.weights), "difference": worst}
    write_json(out.with_suffix(out.suffix + ".json"), about)
    return Exported(out, worst)


def _described(card: ModelCard) -> Json:
    ends = {"input": "video (B, 3, T, H, W), float32 RGB in [0, 1]", "output": "logits (B, classes)"}
    return ends | card.description()


def _onnx(network: nn.Module, video: Tensor, file: Path) -> None:
    try:
        import onnxruntime  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError:
        raise UsageError("ONNX needs more packages: pip install 'tinylib[export]'") from None
    batch = torch.export.Dim("batch", min=1, max=4096)
    with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):  # the exporter's own progress
        program = torch.onnx.export(
            network, (video,), dynamo=True, input_names=["video"], output_names=["logits"],
            dynamic_shapes={"video": {0: batch}}, external_data=False, verbose=False,
        )  # fmt: skip
    if program is None:
        raise DataError(f"{file}: torch exported nothing")
    program.save(str(file), external_data=False)


def _program(network: nn.Module, video: Tensor, file: Path) -> None:
    batch = torch.export.Dim("batch", min=1, max=4096)
    program = torch.export.export(network, (video,), dynamic_shapes={"video": {0: batch}})
    with open(file, "wb") as target:
        torch.export.save(program, target)


def _difference(network: nn.Module, file: Path, form: Form, video: Tensor) -> float:
    with torch.no_grad():
        expected = network(video).numpy()
    if form == "onnx":
        got = _run_onnx(file, video)
    else:
        with open(file, "rb") as source, torch.no_grad():
            got = torch.export.load(source).module()(video).numpy()
    return float(np.abs(got - expected).max() / max(float(np.abs(expected).max()), 1e-6))


def _run_onnx(file: Path, video: Tensor) -> NDArray[np.float32]:
    import onnxruntime

    session = onnxruntime.InferenceSession(file.read_bytes(), providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {"video": video.numpy()})[0], np.float32)
