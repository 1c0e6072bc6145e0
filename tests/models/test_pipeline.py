"""Super-resolution before classification."""

import torch

from tinylib.models.dvsr import ProgressiveDVSR
from tinylib.models.pipeline import SuperResolvedClassifier
from tinylib.models.tiny import TinyR3D


def build():
    torch.manual_seed(0)
    return SuperResolvedClassifier(ProgressiveDVSR(scale=4, channels=4), TinyR3D(num_classes=5), size=14)


@torch.no_grad()
def test_clips_of_any_size_are_super_resolved_to_one():
    network = build().eval()
    for side in (10, 14, 70):
        image = network.super_resolve(torch.rand(2, 3, 16, side, side))
        assert image.shape == (2, 3, 16, 56, 56)
        assert image.min() >= 0
        assert image.max() <= 1
    video = torch.rand(2, 3, 16, 20, 20)
    torch.testing.assert_close(network(video), network.classifier(network.super_resolve(video)))
    assert torch.equal(network.features(video)["super_resolved"], network.super_resolve(video))


def test_only_the_classifier_learns():
    network = build().train()
    network(torch.rand(2, 3, 16, 14, 14)).sum().backward()
    assert not any(p.requires_grad for p in network.generator.parameters())
    assert not network.generator.training
    assert [n for n, p in network.classifier.named_parameters() if p.grad is None] == []


def test_a_new_head():
    network = build()
    network.reset_classifier(7)
    assert network.eval()(torch.rand(1, 3, 16, 14, 14)).shape == (1, 7)
