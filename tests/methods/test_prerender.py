"""Rendering splits: any size of clip, any number of workers, killed at any moment."""

import os
import signal

import numpy as np
import pytest
import torch

from tinylib.datasets.index import Clip, Index
from tinylib.datasets.store import ClipStore
from tinylib.errors import UsageError
from tinylib.methods import prerender, super_resolution
from tinylib.models.dvsr import ProgressiveDVSR
from tinylib.models.realbasicvsr import RealBasicVSR

SIDES = (10, 12, 16, 30, 12)


@pytest.fixture
def low(tmp_path):
    """Clips of 5 frames and of several sizes."""
    rng = np.random.default_rng(0)
    clips = tuple(Clip(str(k), f"{k}.mp4", "v", ("a",)) for k in range(len(SIDES)))
    index = Index("folder", "train", tmp_path, ("a",), False, clips)
    videos = [rng.integers(0, 256, (5, side, side, 3), np.uint8) for side in SIDES]
    return index, ClipStore.render(index, tmp_path / "low.store", lambda start: iter(videos[start:]), made={})


def small_vsr(**sizes):
    torch.manual_seed(0)
    return prerender.ToSize(RealBasicVSR(channels=4, propagation_blocks=1, cleaning_blocks=1), **sizes)


ASKED = {"size": None, "frames": 5, "shown": None, "made": {}}


def test_ten_pixels_pass_through_realbasicvsr():
    network = small_vsr(size=56).eval()
    seen = []
    network.network.register_forward_pre_hook(lambda module, inputs: seen.append(tuple(inputs[0].shape[-2:])))
    with torch.no_grad():
        made = [network(torch.rand(1, 3, 2, side, wide)) for side, wide in ((10, 10), (10, 15), (70, 70))]
    assert seen == [(64, 64), (64, 96), (70, 70)]
    assert {tuple(video.shape) for video in made} == {(1, 3, 2, 56, 56)}
    assert torch.isfinite(made[0]).all()


def test_a_network_of_one_size_gets_that_size():
    network = ProgressiveDVSR(scale=2, frames=4, channels=4)
    whole = prerender.ToSize(network, size=20, at_least=12, at_most=12).eval()
    seen = []
    network.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0].shape[-1]))
    assert [whole(torch.rand(1, 3, 4, side, side)).shape[-1] for side in (10, 12, 40)] == [20, 20, 20]
    assert seen == [12, 12, 12]
    with pytest.raises(UsageError, match="at_most 8: expected 12"):
        prerender.ToSize(network, size=20, at_least=12, at_most=8)


def test_without_a_network_it_is_bicubic():
    video = torch.rand(1, 3, 2, 10, 10)
    plain = prerender.ToSize(None, size=24)
    torch.testing.assert_close(plain(video), super_resolution.bicubic_batch(video, 24))


@pytest.mark.slow
def test_the_bytes_do_not_depend_on_the_workers(low, tmp_path):
    index, store = low
    network = small_vsr(size=24, at_least=16)
    alone = super_resolution.super_resolved(network, store, index, tmp_path / "0.store", **ASKED, keep=3)
    spread = super_resolution.super_resolved(network, store, index, tmp_path / "2.store", **ASKED, keep=3, workers=2)
    assert [entry.sha256 for entry in alone.entries] == [entry.sha256 for entry in spread.entries]
    assert alone.file.read_bytes() == spread.file.read_bytes()
    assert alone.frames.tolist() == [3] * len(SIDES)


def test_a_cluster_that_is_there_renders_the_same(low, tmp_path):
    from tinylib.workers import connect

    index, store = low
    alone = super_resolution.super_resolved(super_resolution.bicubic(2), store, index, tmp_path / "0.store", **ASKED)
    with connect(None, 2, processes=False) as client:
        where = {"scheduler": client.scheduler.address}
        spread = super_resolution.super_resolved(
            super_resolution.bicubic(2), store, index, tmp_path / "s.store", **ASKED, **where
        )
    assert alone.file.read_bytes() == spread.file.read_bytes()


def test_restorers_that_are_functions_can_travel():
    cloudpickle = pytest.importorskip("cloudpickle")
    video = torch.rand(1, 3, 2, 6, 6)
    sent = cloudpickle.loads(cloudpickle.dumps(super_resolution.bicubic(2)))
    torch.testing.assert_close(sent(video), super_resolution.bicubic(2)(video))


def test_killed_it_goes_on_where_it_was(low, tmp_path):
    index, store = low
    whole = super_resolution.super_resolved(
        super_resolution.bicubic(2), store, index, tmp_path / "whole.store", **ASKED
    )
    file = tmp_path / "killed.store"

    def deadly(video):
        if video.shape[-1] == 16:
            os.kill(os.getpid(), signal.SIGKILL)
        return super_resolution.bicubic(2)(video)

    child = os.fork()
    if not child:
        super_resolution.super_resolved(deadly, store, index, file, **ASKED)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    assert not file.exists()
    sizes = []

    def counted(video):
        sizes.append(video.shape[-1])
        return super_resolution.bicubic(2)(video)

    resumed = super_resolution.super_resolved(counted, store, index, file, **ASKED)
    assert sizes == [16, 30, 12]
    assert resumed.file.read_bytes() == whole.file.read_bytes()


def test_the_weights_are_part_of_the_recipe(low, tmp_path):
    index, store = low
    network = prerender.ToSize(ProgressiveDVSR(scale=2, frames=5, channels=4), size=20, at_least=10, at_most=10)
    before = prerender.fingerprint(network)
    assert before == prerender.fingerprint(network) != prerender.fingerprint(small_vsr(size=20))
    first = super_resolution.super_resolved(network, store, index, tmp_path / "x.store", **ASKED)
    pixels = first[0].copy()
    with torch.no_grad():
        next(network.parameters()).add_(0.5)
    assert prerender.fingerprint(network) != before
    again = super_resolution.super_resolved(network, store, index, tmp_path / "x.store", **ASKED)
    assert again.recipe["made"]["network"] != first.recipe["made"]["network"] == before
    assert not np.array_equal(again[0], pixels)


def test_kept_frames_are_evenly_spread(low, tmp_path):
    index, store = low
    kept = super_resolution.super_resolved(None, store, index, tmp_path / "kept.store", **ASKED, keep=3)
    np.testing.assert_array_equal(kept[0], store[0][[0, 2, 4]])
