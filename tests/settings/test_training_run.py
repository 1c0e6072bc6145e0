"""Training by a YAML file, trackers, and export, from the command line."""

import json

import numpy as np
import pytest
import yaml

from tinylib import cli
from tinylib.errors import DataError, UsageError
from tinylib.evaluation import export, exporting, open_model
from tinylib.settings import TrainingRun
from tinylib.video import write_video

SMALL = {"frames": 4, "size": 16, "fit": {"epochs": 1, "batch_size": 4, "lr": 0.01}}


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    """A square that goes left or right, in class folders."""
    root = tmp_path_factory.mktemp("clips")
    for split in ("train", "test"):
        for name, way in (("left", -1), ("right", 1)):
            for number in range(3):
                video = np.full((6, 16, 16, 3), 40, np.uint8)
                for frame in range(6):
                    x = 5 + way * (frame - 2)
                    video[frame, 6:10, x : x + 4] = 200 + number
                file = root / split / name / f"{split}{number}_{name}.mp4"
                file.parent.mkdir(parents=True, exist_ok=True)
                write_video(file, video)
    return root


@pytest.fixture(scope="module")
def config(clips, tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    file = folder / "config.yaml"
    values = {"data": "folder", "data_root": str(clips), "run_dir": str(folder / "run")}
    file.write_text(yaml.safe_dump(values | SMALL))
    return file


@pytest.fixture(scope="module")
def run(config):
    """A finished run's folder."""
    assert cli.main(["train", str(config), "-p", "track", ""]) == 0
    return config.parent / "run"


def test_a_run_leaves_network_scores_and_results(run):
    trained = open_model(run / "seed-0")
    assert (trained.card.classes, trained.card.frames, trained.card.size) == (("left", "right"), 4, 16)
    rows = [json.loads(line) for line in (run / "results.jsonl").read_text().splitlines()]
    assert {row["metric"] for row in rows} >= {"top-1"}
    assert {row["n"] for row in rows} == {6}
    assert (run / "scores" / "tiny_r3d-0.npz").exists()


def test_what_is_typed_replaces_what_is_written(config):
    settings = TrainingRun.read(config, {"epochs": "3", "fit.lr": "0.5", "model": "tiny_r2plus1d", "fold": "null"})
    assert settings.fit == {"epochs": 3, "batch_size": 4, "lr": 0.5}
    assert (settings.model, settings.fold, settings.frames) == ("tiny_r2plus1d", None, 4)


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("frames: 4", "frames: four", "frames must be int, got 'four'"),
        ("frames: 4", "frame: 4", "unknown field 'frame'; expected some of data, data_root"),
        ("epochs: 1", "epoch: 1", "fit: unknown field 'epoch'"),
        ("data: folder", "", "data is missing"),
        ("  lr: 0.01", "", "fit: lr is missing"),
        ("data: folder", "data: [", "not a configuration"),
    ],
)
def test_a_wrong_file_is_named_with_its_field(config, tmp_path, capsys, old, new, says):
    file = tmp_path / "wrong.yaml"
    file.write_text(config.read_text().replace(old, new))
    assert cli.main(["train", str(file)]) in (1, 2)
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert f"{file}: {says}" in error


def test_wrong_words_are_refused_before_anything_is_trained(config, tmp_path):
    for name, value, says in (
        ("reading", "loud", "expected one of tinyvirat, tinyaction"),
        ("optimiser", "lion", "expected one of adam, adamw, sgd"),
        ("track", "abacus", "expected one of .*tensorboard"),
    ):
        with pytest.raises(UsageError, match=says):
            TrainingRun.read(config, {name: value, "run_dir": str(tmp_path / name)}).run()
    with pytest.raises(UsageError, match="-p fly: unknown"):
        TrainingRun.read(config, {"fly": "1"})


def test_a_tracker_hears_what_the_log_says(config, tmp_path, monkeypatch):
    """Through accelerate's own interface, with a tracker of ours."""
    from accelerate import tracking as trackers

    from tinylib.training import tracking

    heard = []

    class Listener(trackers.GeneralTracker):
        name, requires_logging_directory, main_process_only = "listener", False, False
        tracker = None

        def store_init_configuration(self, values):
            heard.append(("settings", values["lr"]))

        def log(self, values, step=None, **_):
            heard.append((step, values["loss"]))

        def finish(self):
            heard.append("end")

    monkeypatch.setattr(tracking, "tracked", lambda name, folder: {"log_with": Listener()} if name else {})
    TrainingRun.read(config, {"track": "listener", "epochs": "2", "run_dir": str(tmp_path)}).run()
    log = [json.loads(line) for line in (tmp_path / "seed-0" / "log.jsonl").read_text().splitlines()]
    assert heard == [("settings", 0.01), *((row["epoch"], row["loss"]) for row in log), "end"]


@pytest.mark.parametrize(("option", "name"), [("--torch-export", "net.pt2"), ("--onnx", "net.onnx")])
def test_an_exported_network_answers_as_the_run_does(run, tmp_path, capsys, option, name):
    if option == "--onnx":
        pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    file = tmp_path / name
    assert cli.main(["export", str(run / "seed-0"), option, str(file)]) == 0
    assert "agree" in capsys.readouterr().out
    about = json.loads((tmp_path / f"{name}.json").read_text())
    assert about["classes"] == ["left", "right"]
    assert about["difference"] <= exporting.TOLERANCE


def test_an_export_that_answers_otherwise_is_not_written(run, tmp_path, monkeypatch):
    write = exporting._program
    monkeypatch.setattr(exporting, "_program", lambda *arguments: _other(write, *arguments))
    with pytest.raises(DataError, match=r"logits differ by .* not written"):
        export(run / "seed-0", tmp_path / "net.pt2", "torch")
    assert list(tmp_path.iterdir()) == []


def _other(write, network, video, file):
    """The network with one weight changed."""
    import copy

    changed = copy.deepcopy(network)
    changed.fc.bias.data += 1
    write(changed, video, file)


def test_a_wrong_export_is_one_line(run, tmp_path, capsys):
    for arguments, says in (
        ([str(run / "seed-0")], "--onnx OUT.onnx or --torch-export OUT.pt2"),
        ([str(run / "seed-0"), "--onnx", str(tmp_path / "net.pt")], "expected a name that ends in .onnx"),
        ([str(run / "scores"), "--onnx", str(tmp_path / "net.onnx")], "no model.safetensors in it"),
    ):
        assert cli.main(["export", *arguments]) in (1, 2)
        error = capsys.readouterr().err
        assert error.count("\n") == 1
        assert says in error
