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
    return index, ClipStore.render(index, tmp_path / "low.store", lambda start: iter(videos[start:]), origin={})


def small_vsr(**sizes):
    torch.manual_seed(0)
    return prerender.ToSize(RealBasicVSR(channels=4, propagation_blocks=1, cleaning_blocks=1), **sizes)


RECIPE = {"size": None, "frames": 5, "shown": None, "origin": {}}


def test_ten_pixels_pass_through_realbasicvsr():
    network = small_vsr(size=56).eval()
    seen = []
    network.network.register_forward_pre_hook(lambda module, inputs: seen.append(tuple(inputs[0].shape[-2:])))
    with torch.no_grad():
        enlarged = [network(torch.rand(1, 3, 2, side, wide)) for side, wide in ((10, 10), (10, 15), (70, 70))]
    assert seen == [(64, 64), (64, 96), (70, 70)]
    assert {tuple(video.shape) for video in enlarged} == {(1, 3, 2, 56, 56)}
    assert torch.isfinite(enlarged[0]).all()


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
    alone = super_resolution.super_resolved(network, store, index, tmp_path / "0.store", **RECIPE, keep=3)
    spread = super_resolution.super_resolved(network, store, index, tmp_path / "2.store", **RECIPE, keep=3, workers=2)
    assert [entry.sha256 for entry in alone.entries] == [entry.sha256 for entry in spread.entries]
    assert alone.file.read_bytes() == spread.file.read_bytes()
    assert alone.frames.tolist() == [3] * len(SIDES)


def test_a_cluster_that_is_there_renders_the_same(low, tmp_path):
    from tinylib.workers import connect

    index, store = low
    alone = super_resolution.super_resolved(super_resolution.bicubic(2), store, index, tmp_path / "0.store", **RECIPE)
    with connect(None, 2, processes=False) as client:
        where = {"scheduler": client.scheduler.address}
        spread = super_resolution.super_resolved(
            super_resolution.bicubic(2), store, index, tmp_path / "s.store", **RECIPE, **where
        )
    assert alone.file.read_bytes() == spread.file.read_bytes()


def test_restorers_that_are_functions_can_travel():
    cloudpickle = pytest.importorskip("cloudpickle")
    video = torch.rand(1, 3, 2, 6, 6)
    sent = cloudpickle.loads(cloudpickle.dumps(super_resolution.bicubic(2)))
    torch.testing.assert_close(sent(video), super_resolution.bicubic(2)(video))


def test_killed_it_goes_on_with_the_group_in_which_it_was(low, tmp_path, monkeypatch):
    monkeypatch.setattr(prerender, "TOGETHER", 2)
    index, store = low
    whole = super_resolution.super_resolved(
        super_resolution.bicubic(2), store, index, tmp_path / "whole.store", **RECIPE
    )
    file = tmp_path / "killed.store"

    def deadly(video):
        if video.shape[-1] == 16:
            os.kill(os.getpid(), signal.SIGKILL)
        return super_resolution.bicubic(2)(video)

    child = os.fork()
    if not child:
        super_resolution.super_resolved(deadly, store, index, file, **RECIPE)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    assert not file.exists()
    sizes = []

    def counted(video):
        sizes.append(video.shape[-1])
        return super_resolution.bicubic(2)(video)

    resumed = super_resolution.super_resolved(counted, store, index, file, **RECIPE)
    assert sizes == [16, 30, 12]
    assert resumed.file.read_bytes() == whole.file.read_bytes()


def test_neighbours_of_one_shape_are_restored_in_one_batch_and_a_bound_holds(low, tmp_path, monkeypatch):
    index, store = low
    whole = super_resolution.bicubic(2)
    batches = []

    def counted(video):
        batches.append((video.shape[0], video.shape[-1]))
        return whole(video)

    together = super_resolution.super_resolved(counted, store, index, tmp_path / "together.store", **RECIPE)
    assert batches == [(1, 10), (2, 12), (1, 16), (1, 30)]
    for place, side in enumerate(SIDES):
        alone = torch.from_numpy(store[place].copy()).permute(3, 0, 1, 2)[None].float() / 255
        expected = prerender.pixels(prerender.restore(whole, alone))[0]
        np.testing.assert_array_equal(together[place], expected, err_msg=str(side))
    batches.clear()
    monkeypatch.setattr(prerender, "PIXELS", 5 * 12 * 12)
    super_resolution.super_resolved(counted, store, index, tmp_path / "bounded.store", **RECIPE)
    assert batches == [(1, 10), (1, 12), (1, 12), (1, 16), (1, 30)]


@pytest.mark.parametrize("start", [1, 2, 3, 4])
def test_gone_on_with_anywhere_the_bytes_are_the_same(low, tmp_path, monkeypatch, start):
    index, store = low
    torch.manual_seed(0)
    network = prerender.ToSize(ProgressiveDVSR(scale=2, frames=5, channels=4), size=20, at_least=10, at_most=10)
    whole = super_resolution.super_resolved(network, store, index, tmp_path / "whole.store", **RECIPE)
    render = ClipStore.render

    def later(index, file, videos, *, origin):
        for place, video in enumerate(videos(start), start):
            np.testing.assert_array_equal(video, whole[place])
        return render(index, file, videos, origin=origin)

    monkeypatch.setattr(ClipStore, "render", later)
    again = super_resolution.super_resolved(network, store, index, tmp_path / "again.store", **RECIPE)
    assert again.file.read_bytes() == whole.file.read_bytes()


def test_the_weights_are_part_of_the_recipe(low, tmp_path):
    index, store = low
    network = prerender.ToSize(ProgressiveDVSR(scale=2, frames=5, channels=4), size=20, at_least=10, at_most=10)
    before = prerender.fingerprint(network)
    assert before == prerender.fingerprint(network) != prerender.fingerprint(small_vsr(size=20))
    first = super_resolution.super_resolved(network, store, index, tmp_path / "x.store", **RECIPE)
    pixels = first[0].copy()
    with torch.no_grad():
        next(network.parameters()).add_(0.5)
    assert prerender.fingerprint(network) != before
    again = super_resolution.super_resolved(network, store, index, tmp_path / "x.store", **RECIPE)
    assert again.recipe["made"]["network"] != first.recipe["made"]["network"] == before
    assert not np.array_equal(again[0], pixels)


def test_kept_frames_are_evenly_spread(low, tmp_path):
    index, store = low
    shorter = super_resolution.super_resolved(None, store, index, tmp_path / "kept.store", **RECIPE, keep=3)
    np.testing.assert_array_equal(shorter[0], store[0][[0, 2, 4]])


def test_a_network_that_has_just_learned_can_be_copied():
    import copy

    from tinylib.methods import prerender
    from tinylib.models.dvsr import DVSR

    network = DVSR(scale=2, channels=4, growth=4, blocks=1, spectral=True)
    video = torch.rand(1, 3, 2, 6, 6)
    network.train()(video).sum().backward()
    network.eval()
    twin = copy.deepcopy(prerender._detached(network)).eval()
    torch.testing.assert_close(twin(video), network(video))
