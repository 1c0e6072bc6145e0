"""Channels last in memory on a CPU: values, keys and the caller's layout stay."""

import pytest
import torch

from tinylib import models
from tinylib.models import channels_last
from tinylib.models.dvsr import DVSR


@pytest.mark.parametrize("name", ["tiny_r3d", "tiny_r2plus1d", "ircsn_tiny", "uniformer_tiny"])
def test_inside_the_layout_is_another_and_the_logits_agree(name):
    torch.manual_seed(0)
    network = models.create(name, num_classes=3).eval()
    video, before = torch.rand(2, 3, 4, 32, 32), {k: v.clone() for k, v in network.state_dict().items()}
    with torch.no_grad():
        plain = network(video)
        with channels_last(network):
            kernels = [p for p in network.parameters() if p.dim() == 5]
            assert all(p.is_contiguous(memory_format=torch.channels_last_3d) for p in kernels)
            torch.testing.assert_close(network(video), plain, rtol=1e-4, atol=1e-5)
            with channels_last(network):
                pass
            assert all(p.is_contiguous(memory_format=torch.channels_last_3d) for p in kernels)
    assert all(p.is_contiguous() for p in network.parameters())
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())


def test_an_error_inside_gives_the_layout_back():
    network = DVSR(scale=2, channels=4, growth=4, blocks=1, spectral=True)
    with pytest.raises(ZeroDivisionError), channels_last(network):
        raise ZeroDivisionError
    torch.nn.utils.parameters_to_vector(network.parameters())
