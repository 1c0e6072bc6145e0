"""A frozen body and a head that learns: what moves, what does not, and that it can learn at all."""

import pytest
import torch

from tinylib.errors import UsageError
from tinylib.models import Probe, create
from tinylib.models.attention_maps import gradient_map
from tinylib.progress import Progress
from tinylib.training import Classify

NARROW = {"widths": (4, 4, 8, 8)}
VIDEO = torch.rand(4, 3, 4, 16, 16, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("kind", ["linear", "attentive"])
def test_the_head_learns_and_the_body_stays_with_its_norms(kind):
    torch.manual_seed(0)
    network = create("tiny_r3d", num_classes=3, probe=kind, **NARROW)
    assert isinstance(network, Probe)
    body = {key: value.clone() for key, value in network.body.state_dict().items()}
    lesson = Classify(network, loss="cross_entropy").train()
    (group,) = lesson.parameter_groups()
    optimiser = torch.optim.Adam(group["params"], lr=0.05)
    batch, progress = {"video": VIDEO, "label": torch.tensor([0, 1, 2, 0])}, Progress(0, 0, 1, 1, 0)
    values = []
    for _ in range(60):
        optimiser.zero_grad()
        loss = lesson.losses(batch, progress)["loss"]
        loss.backward()
        optimiser.step()
        values.append(float(loss.detach()))
    assert values[-1] < 0.3 * values[0]
    assert all(torch.equal(value, body[key]) for key, value in network.body.state_dict().items())
    assert not any(module.training for module in network.body.modules())
    assert not any(parameter.requires_grad for parameter in network.requires_grad_(True).body.parameters())


@pytest.mark.parametrize("kind", ["linear", "attentive"])
def test_it_keeps_the_contract_of_a_classifier(kind):
    network = create("tiny_r3d", num_classes=3, probe=kind, still=0.5, **NARROW).eval()
    assert (network.name, network.still) == ("tiny_r3d", 0.5)
    maps = network.features(VIDEO)
    assert list(maps) == ["stem", "layer1", "layer2", "layer3", "layer4", "pooled"]
    assert torch.allclose(network(VIDEO), network.fc(maps["pooled"]))
    assert (gradient_map(network, VIDEO, "layer2", torch.tensor([0, 1, 2, 0])) >= 0).all()
    network.reset_classifier(5)
    assert network(VIDEO).shape == (4, 5)
    with pytest.raises(UsageError, match="probe: expected one of linear, attentive, found 'deep'"):
        create("tiny_r3d", probe="deep")


@pytest.mark.parametrize("name", ["i3d", "ircsn26", "uniformer_s", "r3d_18", "swin3d_t"])
def test_every_family_can_be_probed(name):
    with torch.device("meta"):
        network = create(name, num_classes=4, probe="attentive").eval()
        assert network(torch.empty(2, 3, 8, 64, 64)).shape == (2, 4)
