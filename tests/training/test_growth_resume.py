"""A run of TinyVIRAT's phases killed with SIGKILL in each of them goes on in that phase, and ends bit for bit the same.

One process forks the runs, so that torch is imported once; each run kills itself at the step that it is told.
"""

import json
import subprocess
import sys

KILLS = [
    ("phase-1", 2),  # the shallow network
    ("phase-1", 6),  # the new stage fading in
    ("phase-1", 15),  # the whole network
    ("phase-2", 3),  # with the attention branch
    ("final", 5),  # the classifier of the frozen network's video
]

PROGRAM = '''
import json, os, signal, sys
import accelerate, torch._dynamo  # before the forks, which would each import them
from pathlib import Path
import numpy as np
import torch
from torch import nn
from tinylib.methods import super_resolution
from tinylib.files import sha256
from tinylib.models.dvsr import ProgressiveDVSR
from tinylib.models.foreground import ForegroundAttention
from tinylib.models.pipeline import SuperResolvedClassifier
from tinylib.training.objectives.classify import Classify
from tinylib.training.objectives.foreground import Foreground
from tinylib.training import FitConfig, fit


class Clips:
    """Four clips of coloured noise that follow from (epoch, position)."""
    seed = epoch = 0

    def __len__(self):
        return 4

    def set_epoch(self, epoch):
        self.epoch = epoch

    def batch(self, positions):
        draws = [np.random.default_rng((self.epoch, int(p))).random((3, 2, 16, 16), np.float32) for p in positions]
        return {"video": torch.from_numpy(np.stack(draws)), "label": torch.as_tensor(positions) % 2,
                "clip_id": [str(p) for p in positions]}


class Classifier(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(3, 2)

    def forward(self, video):
        return self.fc(video.mean((2, 3, 4)))


def phases(folder, phase="", step=-1):
    """Everything from the first step to the last; killed at `step` of `phase`."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    generator = ProgressiveDVSR(scale=4, frames=2, channels=4)

    def watched(name):
        def look(batch):
            at = look.steps + look.begun
            with open(folder / "trace.jsonl", "a") as trace:
                trace.write(json.dumps([name, at, generator.stage, generator.alpha]) + "\\n")
            if (name, at) == (phase, step):
                os.kill(os.getpid(), signal.SIGKILL)
            look.steps += 1
            return batch
        found = sorted((folder / name / "checkpoints").glob("*.json"))
        look.steps, look.begun = 0, int(found[-1].stem) if found else 0
        return look

    objective, config = super_resolution.phase_one(generator, 4, epochs=10, batches=(2,), lr=1e-3, fade=10)
    fit(objective, Clips(), config_every(config), folder / "phase-1", transform=watched("phase-1"))
    branch, guide = ForegroundAttention(channels=4, scale=4), Classifier()
    short = FitConfig(epochs=3, batch_size=2, lr=1e-3, checkpoint_every=1)
    fit(Foreground(generator, branch, guide), Clips(), short, folder / "phase-2", transform=watched("phase-2"))
    whole = SuperResolvedClassifier(generator, Classifier(), size=4)
    fit(Classify(whole, loss="cross_entropy"), Clips(), short, folder / "final", transform=watched("final"))


def config_every(config):
    from dataclasses import replace
    return replace(config, checkpoint_every=1)


def run(folder, *kill):
    child = os.fork()
    if child == 0:
        try:
            phases(folder, *kill)
            os._exit(0)
        except BaseException as error:
            print(repr(error), file=sys.stderr, flush=True)
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


root = Path(sys.argv[1])
for name in ("whole", "killed"):
    (root / name).mkdir()
codes = [run(root / "killed", *kill) for kill in json.loads(sys.argv[2])] + [run(root / "killed")]
codes.append(run(root / "whole"))
traces = {name: [json.loads(line) for line in (root / name / "trace.jsonl").read_text().splitlines()]
          for name in ("whole", "killed")}
weights = {name: [sha256(root / name / phase / "model.safetensors") for phase in ("phase-1", "phase-2", "final")]
           for name in ("whole", "killed")}
print(json.dumps({"codes": codes, "traces": traces, "weights": weights}))
'''


def test_killed_in_any_phase_it_resumes_in_that_phase(tmp_path):
    command = [sys.executable, "-c", PROGRAM, str(tmp_path), json.dumps(KILLS)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout.splitlines()[-1])
    assert answer["codes"] == [-9] * len(KILLS) + [0, 0], done.stderr
    assert answer["weights"]["killed"] == answer["weights"]["whole"]
    whole, killed = answer["traces"]["whole"], answer["traces"]["killed"]
    assert [stage for name, _, stage, _ in whole if name == "phase-1"] == [1] * 4 + [2] * 16
    # what each step saw is what it sees undisturbed, the step of each kill being taken twice
    again = [row for row in whole for _ in range(1 + ([row[0], row[1]] in [list(kill) for kill in KILLS]))]
    assert killed == again
