"""All classifiers by name. Each takes keyword arguments; num_classes, dropout, stem, mean and std are common to all.

forward(video (B, 3, T, H, W) in [0, 1]) -> logits (B, num_classes); features(video) -> named maps and "pooled";
reset_classifier(num_classes). stem="low" removes the early spatial strides and pools, for 14 to 56 pixels; networks of
torchvision (`adapted.TORCHVISION`) have none, and start from its weights with pretrained="kinetics400".
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from tinylib.errors import UsageError
from tinylib.models.adapted import TORCHVISION, torchvision_network
from tinylib.models.common import IMAGENET_MEAN, IMAGENET_STD, VideoClassifier
from tinylib.models.csn import CSN
from tinylib.models.i3d import I3D
from tinylib.models.probe import Kind, Probe
from tinylib.models.r2plus1d import R2Plus1D, R2Plus1DHara
from tinylib.models.resnet3d import HARA_2018_MEAN, HARA_2018_STD, ResNet3D, VideoResNet
from tinylib.models.tiny import TinyR2Plus1D, TinyR3D
from tinylib.models.uniformer import UniFormer

CLASSIFIERS: dict[str, Callable[..., VideoClassifier]] = {
    # I3D: the released network (TinyAction: 32 x 224 x 224, time="max"), and TinyVIRAT's at 16 x 112 x 112
    "i3d": partial(I3D, second_pool=True),
    "i3d_tinyvirat": partial(I3D, second_pool=False),
    # Hara 2020, Kinetics-700; r3d18 is TinyAction's "3D ResNet"
    "r3d18": partial(ResNet3D, blocks=(2, 2, 2, 2), bottleneck=False),
    "r3d34": partial(ResNet3D, blocks=(3, 4, 6, 3), bottleneck=False),
    "r3d50": partial(ResNet3D, blocks=(3, 4, 6, 3), bottleneck=True),
    # Hara 2018, Kinetics-400: r3d50_2018 and wrn50 are TinyVIRAT's, wrn50 also TinyAction's
    "r3d18_2018": partial(
        ResNet3D,
        num_classes=400,
        blocks=(2, 2, 2, 2),
        bottleneck=False,
        shortcut="A",
        mean=HARA_2018_MEAN,
        std=HARA_2018_STD,
    ),
    "r3d34_2018": partial(
        ResNet3D,
        num_classes=400,
        blocks=(3, 4, 6, 3),
        bottleneck=False,
        shortcut="A",
        mean=HARA_2018_MEAN,
        std=HARA_2018_STD,
    ),
    "r3d50_2018": partial(
        ResNet3D, num_classes=400, blocks=(3, 4, 6, 3), bottleneck=True, mean=HARA_2018_MEAN, std=HARA_2018_STD
    ),
    "wrn50": partial(
        ResNet3D, num_classes=400, blocks=(3, 4, 6, 3), widen=2, stem_channels=64, mean=IMAGENET_MEAN, std=IMAGENET_STD
    ),
    "wrn50_2020": partial(ResNet3D, blocks=(3, 4, 6, 3), widen=2, stem_channels=128),
    # torchvision's names
    "r3d18_torchvision": partial(VideoResNet, blocks=(2, 2, 2, 2)),
    "r2plus1d18": partial(R2Plus1D, blocks=(2, 2, 2, 2), shared_middle=True, eps=1e-5),
    "r2plus1d34": partial(R2Plus1D, blocks=(3, 4, 6, 3), shared_middle=False, eps=1e-3),
    # Hara 2020; r2plus1d50 is TinyAction's
    "r2plus1d18_2020": partial(R2Plus1DHara, blocks=(2, 2, 2, 2), bottleneck=False),
    "r2plus1d50": partial(R2Plus1DHara, blocks=(3, 4, 6, 3), bottleneck=True),
    # the winning solution's
    "ircsn152": partial(CSN, depth=152),
    "ircsn50": partial(CSN, depth=50),
    "ircsn26": partial(CSN, depth=26),
    "uniformer_b": partial(UniFormer, depth=(5, 8, 20, 7), drop_path=0.3),
    "uniformer_s": partial(UniFormer, depth=(3, 4, 8, 3), drop_path=0.1),
    # our own, for CPUs
    "ircsn_tiny": partial(CSN, depth=14, width=16),
    "uniformer_tiny": partial(UniFormer, depth=(1, 1, 2, 1), dims=(32, 64, 96, 128), head_dim=32, drop_path=0.0),
    "tiny_r3d": partial(TinyR3D),
    "tiny_r2plus1d": partial(TinyR2Plus1D),
    # torchvision's own: r3d_18, mc3_18, r2plus1d_18, s3d, mvit_v1_b, mvit_v2_s, swin3d_t, swin3d_s, swin3d_b
    **{name: partial(torchvision_network, name) for name in TORCHVISION},
}


def create(
    name: str,
    *,
    still: float = 1.0,
    pretrained: str | Path | None = None,
    classes: Sequence[str] = (),
    probe: Kind | None = None,
    **explicit: object,
) -> VideoClassifier:
    """The classifier `name` with the given constructor arguments; UsageError lists the names there are.

    still: share of what stands still in a clip that the network sees (`VideoClassifier`), 0 to 1. pretrained: starting
    weights, "synthvirat", "kinetics400" or a .safetensors file, and classes: the outputs' names, as in
    `pretrained.start`. probe: "linear" or "attentive", the network frozen under a head that learns (`probe.Probe`).
    """
    if name not in CLASSIFIERS:
        raise UsageError(f"no classifier {name!r}; there are {', '.join(CLASSIFIERS)}")
    if not 0 <= still <= 1:
        raise UsageError(f"still: expected 0 to 1, found {still}")
    network = CLASSIFIERS[name](**explicit)
    network.still, network.name = still, name
    if pretrained is not None:
        from tinylib.models.pretrained import start

        start(network, pretrained, classes=classes)
    if probe:
        head = network.get_parameter(f"{network.head_name}.weight")
        return Probe(network, kind=probe, num_classes=len(head))
    return network
