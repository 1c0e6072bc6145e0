"""I3D against the recorded official networks; SAME padding against its definition."""

from functools import partial

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F

from tests.models.recorded import assert_as_recorded, blank
from tinylib.errors import UsageError
from tinylib.models import CLASSIFIERS
from tinylib.models.i3d import I3D, MaxPoolSame, same_padding

RECORDED = {
    "i3d_charades": partial(CLASSIFIERS["i3d"], num_classes=157),
    "i3d_charades_oddsize": partial(CLASSIFIERS["i3d"], num_classes=157),
    "i3d_kinetics": CLASSIFIERS["i3d"],
}


@pytest.mark.parametrize("name", RECORDED)
def test_equals_the_recorded_network(parity, name):
    model = blank(RECORDED[name])
    assert_as_recorded(parity, name, model, call=model.moments)


def test_equals_the_recorded_tinyvirat_network(parity):
    model = blank(CLASSIFIERS["i3d_tinyvirat"], num_classes=26)
    assert_as_recorded(parity, "i3d_tinyvirat", model, prefix="model.")
    assert model.dropout.p == 0.5  # invisible in eval


@given(size=st.integers(1, 300), kernel=st.integers(1, 7), stride=st.integers(1, 3))
def test_same_padding_gives_the_ceiling(size, kernel, stride):
    front, back = same_padding(size, kernel, stride)
    assert 0 <= back - front <= 1
    if kernel >= stride:
        assert (size + front + back - kernel) // stride + 1 == -(-size // stride)


@pytest.mark.parametrize(("kernel", "stride"), [((1, 3, 3), (1, 2, 2)), ((3, 3, 3), (2, 2, 2)), ((2, 2, 2), (2, 2, 2))])
@pytest.mark.parametrize("shape", [(4, 7, 8), (5, 1, 2), (1, 9, 3), (8, 28, 29)])
def test_pool_equals_zero_padding_after_a_relu(kernel, stride, shape):
    x = torch.randn(1, 2, *shape, generator=torch.Generator().manual_seed(0)).relu()
    pads = [same_padding(n, k, s) for n, k, s in zip(shape, kernel, stride, strict=True)]
    padded = F.pad(x, [p for pair in reversed(pads) for p in pair])
    torch.testing.assert_close(MaxPoolSame(kernel, stride)(x), F.max_pool3d(padded, kernel, stride), rtol=0, atol=0)


def test_moments_join_over_time():
    video = torch.rand(2, 3, 32, 32, 32, generator=torch.Generator().manual_seed(0))
    model = I3D(num_classes=5, stem="low").eval()
    with torch.no_grad():
        moments = model.moments(video)
        assert moments.shape == (2, 5, 3)  # ceil(32 / 8) - 1
        torch.testing.assert_close(model(video), moments.mean(2))
        model.time = "max"
        torch.testing.assert_close(model(video), moments.amax(2))
        pooled = model.features(video)["pooled"]
        torch.testing.assert_close(model.logits(pooled[..., None, None, None]).flatten(1), moments.mean(2))
    with pytest.raises(UsageError, match="mean"):
        I3D(time="median")
