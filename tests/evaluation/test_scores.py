"""Scores over a split: the papers' ways of joining views, missing clips, files of scores."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from tinylib.datasets.index import Clip, Index
from tinylib.datasets.sampling import SAMPLERS
from tinylib.errors import ClipError, DataError, UsageError
from tinylib.evaluation.scores import READINGS, Scores, aggregated, predict, slide

VALUES = {"a": [0, 255], "b": [51], "c": [102, 153, 204]}  # the grey of each view of each clip


class Views:
    """Three clips of two, one and three uniformly grey views."""

    seed = 0

    def __init__(self, multi_label: bool = True, bad: str = ""):
        clips = tuple(
            Clip(name, f"{name}.mp4", f"video {name}", ("walk",), width=20 + i, height=10, domain="virat")
            for i, name in enumerate(VALUES)
        )
        self.index = Index("dots", "test", Path("nowhere"), ("walk", "run"), multi_label, clips)
        self.items = [(place, grey) for place, name in enumerate(VALUES) for grey in VALUES[name]]
        self.clips = np.array([place for place, _ in self.items])
        self.bad = bad

    def __len__(self) -> int:
        return len(self.items)

    def set_epoch(self, epoch: int) -> None:
        pass

    def batch(self, positions):
        clips = [self.index.clips[self.items[p][0]] for p in positions]
        if any(clip.clip_id == self.bad for clip in clips):
            raise ClipError(f"{self.bad}.mp4", "cut short")
        videos = [torch.full((2, 4, 4, 3), self.items[p][1], dtype=torch.uint8) for p in positions]
        return {
            "video": torch.stack(videos),
            "clip_id": [clip.clip_id for clip in clips],
            "index": torch.tensor([self.items[p][0] for p in positions]),
        }


class Grey(nn.Module):
    """Logits (4 x brightness - 2, 0)."""

    def __init__(self):
        super().__init__()
        self.slope = nn.Parameter(torch.tensor(4.0))
        self.dropout = nn.Dropout(0.9)

    def forward(self, video):
        assert video.shape[1:] == (3, 2, 4, 4)
        logit = self.slope * self.dropout(video).mean((1, 2, 3, 4)) - 2
        return torch.stack([logit, torch.zeros_like(logit)], dim=1)


def sigmoid(x):
    return 1 / (1 + np.exp(-np.asarray(x)))


LOGITS = {name: 4 * np.array(greys) / 255 - 2 for name, greys in VALUES.items()}


@pytest.mark.parametrize("batch_size", [1, 4, 6])
@pytest.mark.parametrize("workers", [0, 1])
def test_the_ways_of_the_papers(batch_size, workers):
    def walk(aggregate, on):
        answers = predict(Grey(), Views(), batch_size=batch_size, aggregate=aggregate, on=on, workers=workers)
        assert answers.scores[:, 1].tolist() == [0.5, 0.5, 0.5]
        return answers.scores[:, 0]

    close = lambda expected: pytest.approx(list(expected), abs=1e-6)  # noqa: E731
    assert walk("max", "probabilities") == close(sigmoid(x.max()) for x in LOGITS.values())
    assert walk("max", "logits") == close(sigmoid(x.max()) for x in LOGITS.values())
    if workers == 0:
        assert walk("mean", "logits") == close(sigmoid(x.mean()) for x in LOGITS.values())
        assert walk("mean", "probabilities") == close(sigmoid(x).mean() for x in LOGITS.values())


def test_a_view_that_repeats_counts_as_often():
    class Repeated(Views):
        def batch(self, positions):
            times = torch.tensor([3 if self.items[p] == (0, VALUES["a"][0]) else 1 for p in positions])
            return super().batch(positions) | {"repeats": times}

    scores = predict(Grey(), Repeated(), batch_size=4).scores[:, 0]
    weights = {name: np.ones(len(x)) for name, x in LOGITS.items()} | {"a": np.array([3.0, 1.0])}
    expected = [np.average(sigmoid(x), weights=weights[name]) for name, x in LOGITS.items()]
    assert scores == pytest.approx(expected, abs=1e-6)
    assert predict(Grey(), Repeated(), aggregate="max").scores == pytest.approx(
        predict(Grey(), Views(), aggregate="max").scores
    )


def test_one_label_means_softmax():
    answers = predict(Grey(), Views(multi_label=False), aggregate="mean", on="logits")
    expected = [np.exp(x.mean()) / (np.exp(x.mean()) + 1) for x in LOGITS.values()]
    assert answers.scores[:, 0] == pytest.approx(expected, abs=1e-6)
    assert answers.scores.sum(1) == pytest.approx([1, 1, 1])
    assert answers.targets.tolist() == [0, 0, 0]


def test_scores_say_what_tables_need():
    answers = predict(Grey(), Views())
    assert answers.clip_ids == ("a", "b", "c")
    assert answers.video_ids == ("video a", "video b", "video c")
    assert answers.sides.tolist() == [20, 21, 22]
    assert answers.domains == ("virat",) * 3
    assert answers.targets.tolist() == [[1, 0]] * 3
    assert answers.scores.dtype == np.float32
    assert answers.data_hash == Views().index.digest()


def test_networks_and_transforms_go_back_to_the_mode_they_were_in():
    class Scale(nn.Module):
        def forward(self, batch):
            assert not self.training
            return batch | {"video": batch["video"].permute(0, 4, 1, 2, 3) / 255}

    model, transform = Grey().train(), Scale().train()
    assert np.array_equal(predict(model, Views(), transform=transform).scores, predict(model, Views()).scores)
    assert model.training
    assert transform.training


@pytest.mark.parametrize("batch_size", [1, 2, 6])
def test_a_clip_that_cannot_be_read(batch_size, capsys):
    with pytest.raises(ClipError, match=r"c\.mp4: cut short"):
        predict(Grey(), Views(bad="c"), batch_size=batch_size)
    answers = predict(Grey(), Views(bad="c"), batch_size=batch_size, allow_missing=True, label="scoring")
    assert "scoring: 1 of 3 clips could not be read" in capsys.readouterr().out
    assert answers.missing == ("c",)
    assert answers.scores[2].tolist() == [0, 0]
    assert np.array_equal(answers.scores[:2], predict(Grey(), Views()).scores[:2])


def test_no_clip_may_be_left_out_silently():
    data = Views()
    data.clips = data.clips[:-3]
    with pytest.raises(UsageError, match="lacks c, which its index has"):
        predict(Grey(), data)


def test_scores_that_are_not_finite_name_their_clip():
    model = Grey()
    model.slope.data.fill_(torch.inf)
    with pytest.raises(DataError, match="a: a score is not finite"):
        predict(model, Views())
    with pytest.raises(UsageError, match="median"):
        predict(Grey(), Views(), aggregate="median")


def test_files_of_scores(tmp_path):
    answers = predict(Grey(), Views(bad="b"), allow_missing=True)
    answers.save(tmp_path / "scores.npz")
    again = Scores.load(tmp_path / "scores.npz")
    for name in Scores.__dataclass_fields__:
        a, b = getattr(answers, name), getattr(again, name)
        assert np.array_equal(a, b) if isinstance(a, np.ndarray) else a == b
        assert not isinstance(a, np.ndarray) or a.dtype == b.dtype
    assert json.loads((tmp_path / "scores.json").read_text())["missing"] == ["b"]
    replace(answers, targets=None).save(tmp_path / "secret.npz")
    assert Scores.load(tmp_path / "secret.npz").targets is None
    (tmp_path / "cut.npz").write_bytes((tmp_path / "scores.npz").read_bytes()[:200])
    with pytest.raises(DataError, match=r"cut\.npz: not a file of scores"):
        Scores.load(tmp_path / "cut.npz")
    with pytest.raises(DataError, match=r"none\.npz: no such"):
        Scores.load(tmp_path / "none.npz")
    with pytest.raises(UsageError, match=r"\.npz"):
        answers.save(tmp_path / "scores.csv")


def test_every_reading_has_a_sampler():
    assert {reading.sampler for reading in READINGS.values()} <= SAMPLERS.keys()
    logits = torch.tensor([[-1.0], [2.0]])
    one = torch.zeros(2, dtype=torch.int64)
    spoken = {name: aggregated(logits, one, 1, r.aggregate, r.on, True).item() for name, r in READINGS.items()}
    assert spoken["tinyaction"] == pytest.approx(sigmoid(2.0))
    assert spoken["tinyvirat"] == pytest.approx(sigmoid(0.5))
    assert spoken["winner"] == pytest.approx((sigmoid(-1.0) + sigmoid(2.0)) / 2)


@pytest.mark.parametrize(
    ("length", "stride", "starts"),
    [(1, 2, [0]), (2, 2, [0]), (4, 2, [0, 2]), (5, 2, [0, 2, 3]), (5, 1, [0, 1, 2, 3])],
)
def test_sliding_over_a_long_video(length, stride, starts):
    video = np.repeat(np.arange(length, dtype=np.uint8) * 50, 48).reshape(length, 4, 4, 3)
    first_frames, scores = slide(Grey(), iter(video), window=2, stride=stride, batch_size=2)
    assert first_frames.tolist() == starts
    greys = [[min(start + k, length - 1) * 50 for k in range(2)] for start in starts]
    assert scores[:, 0] == pytest.approx(sigmoid(4 * np.mean(greys, axis=1) / 255 - 2), abs=1e-6)


def test_sliding_refuses_gaps_and_empty_videos():
    with pytest.raises(UsageError, match="stride 3"):
        slide(Grey(), [], window=2, stride=3)
    with pytest.raises(DataError, match="without frames"):
        slide(Grey(), [], window=2, stride=1)
