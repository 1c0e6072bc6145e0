"""Long jobs in small: each takes a folder with its input and an output folder, and is run in a process of its own."""

import io
from contextlib import redirect_stdout
from pathlib import Path

import numpy as np
import torch

from tests.datasets.small import tree, write_scene, write_virat
from tests.moving import film
from tests.training.test_loop import CONFIG, Dots, log, network, on_the_data
from tinylib.building.builder import build
from tinylib.building.rules import ViratRule
from tinylib.datasets.index import Clip, Index
from tinylib.datasets.store import ClipStore
from tinylib.evaluation.model_card import ModelCard
from tinylib.models import checkpoint
from tinylib.recognise.pipeline import recognise
from tinylib.reports import run as run_reports
from tinylib.training.loop import fit
from tinylib.training.objectives.classify import Classify
from tinylib.video import write_video

CARD = ModelCard(
    model="tiny_r3d", options={"widths": (4, 4, 8, 8), "stem": "paper"}, classes=("activity_walking", "standing"),
    multi_label=True, frames=4, size=24, sampler="uniform",
)  # fmt: skip
CELL = """import json, os, time
os.makedirs(run_dir, exist_ok=True)
for part in range(8):
    time.sleep(0.05)
with open(run_dir + "/results.jsonl", "w") as file:
    _ = file.write(json.dumps({"row": "I3D", "metric": "F1", "input": "", "value": 0.5, "low": 0.4, "high": 0.6}))
print("a row")
"""


def prepare(folder: Path) -> None:
    """Source videos with annotations, clips, a film with a network, and two notebooks."""
    import nbformat

    for k, name in enumerate(("VIRAT_S_1", "VIRAT_S_2")):
        write_virat(folder / "annotations/train", name, [(9, 0, 99, 10, 60, 0), (10, 20, 119, 100, 90, 1)])
        write_scene(folder / "videos" / f"{name}.mp4", 120, seed=k)
    for k in range(12):
        write_scene(folder / "clips" / f"{k}.mp4", 8, size=(32, 48), seed=k)
    write_video(folder / "film.mp4", (frame for frame, _ in film(frames=90, actors=2)), fps=30)
    torch.manual_seed(0)
    checkpoint.save(folder / "run/model.safetensors", CARD.build(), CARD.description())
    for name in ("02_first", "03_second"):
        cells = [
            nbformat.v4.new_code_cell("profile: str = 'smoke'\nrun_dir: str = ''", metadata={"tags": ["parameters"]})
        ]
        book = nbformat.v4.new_notebook(cells=[*cells, nbformat.v4.new_code_cell(CELL)])
        book.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
        (folder / "notebooks").mkdir(exist_ok=True)
        nbformat.write(book, folder / "notebooks" / f"{name}.ipynb")


def index(folder: Path) -> Index:
    clips = tuple(Clip(f"clip{k}", f"{k}.mp4", f"video{k // 3}", ("a",)) for k in range(12))
    return Index("toy", "train", folder / "clips", ("a", "b"), True, clips)


def build_job(folder: Path, out: Path) -> None:
    build(folder / "annotations", folder / "videos", out, ViratRule(max_frames=60, min_clips=0), workers=0)


def store_job(folder: Path, out: Path) -> None:
    ClipStore.build(index(folder), out / "toy.store", workers=0)


def fit_job(folder: Path, out: Path) -> None:
    torch.set_num_threads(1)
    fit(Classify(network()), Dots(), CONFIG, out, validate=on_the_data, description={"network": "dots"})


def predict_job(folder: Path, out: Path) -> None:
    torch.set_num_threads(1)
    recognise(folder / "film.mp4", folder / "run", out, threshold=0.4)


def reports_job(folder: Path, out: Path) -> None:
    run_reports(folder / "notebooks", "smoke", out=out)


JOBS = {
    "build": build_job,
    "store": store_job,
    "fit": fit_job,
    "predict": predict_job,
    "reports": reports_job,
}


def start(name: str, folder: Path, out: Path, ready: object = None) -> None:
    """One job, quietly; `ready` (a connection) is told when it begins, and the error's line when there is one."""
    with redirect_stdout(io.StringIO()):
        if ready is not None:
            ready.send("begins")
        try:
            JOBS[name](folder, out)
        except Exception as error:
            if ready is None:
                raise
            ready.send(f"{type(error).__name__}: {error}")
            raise SystemExit(3) from None


def left(name: str, out: Path) -> object:
    """What a job leaves that is the same each time: bytes, weights and logs without their clock."""
    if name == "fit":
        from safetensors.torch import load_file

        weights = {path.relative_to(out).as_posix(): load_file(path) for path in sorted(out.rglob("*.safetensors"))}
        return log(out), {
            file: {key: np.asarray(tensor).tobytes() for key, tensor in tensors.items()}
            for file, tensors in weights.items()
        }
    files = tree(out)
    if name == "reports":
        return {file: data for file, data in files.items() if file.startswith("runs/")}, sorted(
            file for file in files if not file.endswith(".lock")
        )
    return files
