"""R(2+1)D: every 3D convolution as a spatial and a temporal one with a ReLU between (Tran et al. 2018)."""

from __future__ import annotations

from tinylib.models.common import Stem, Triple
from tinylib.models.resnet3d import (
    HARA_2020_MEAN,
    HARA_2020_STD,
    TORCHVISION_MEAN,
    TORCHVISION_STD,
    Blocks,
    ResNet3D,
    VideoResNet,
)


class R2Plus1D(VideoResNet):
    """R(2+1)D-18 of torchvision and R(2+1)D-34 of VMZ / IG-65M, which share key names (section 3.5, Table 1).

    video: (B, 3, T, H, W)  ->  maps stem, layer1..layer4 as `VideoResNet`; 16 x 112 x 112 is the paper's input.
    18: blocks (2, 2, 2, 2), shared_middle, eps 1e-5. 34: blocks (3, 4, 6, 3), middle widths counted for each
    convolution, eps 1e-3. Differs from the VMZ code: momentum is 0.1; its 0.9 is Caffe2's convention (the share kept)
    written into PyTorch's field (the share replaced), and would forget the running statistics when fine-tuning.
    """

    def __init__(
        self,
        *,
        num_classes: int = 400,
        blocks: Blocks = (2, 2, 2, 2),
        widths: Blocks = (64, 128, 256, 512),
        shared_middle: bool = True,
        stem_middle: int = 45,
        eps: float = 1e-5,
        dropout: float = 0.0,
        stem: Stem = "paper",
        mean: Triple = TORCHVISION_MEAN,
        std: Triple = TORCHVISION_STD,
    ) -> None:
        super().__init__(
            num_classes=num_classes,
            blocks=blocks,
            widths=widths,
            factorised=True,
            shared_middle=shared_middle,
            stem_middle=stem_middle,
            eps=eps,
            dropout=dropout,
            stem=stem,
            mean=mean,
            std=std,
        )


class R2Plus1DHara(ResNet3D):
    """R(2+1)D of Hara et al. 2020 and the TinyAction baseline (50 layers), not key-compatible with `R2Plus1D`.

    video: (B, 3, T, H, W)  ->  maps stem, layer1..layer4 as `ResNet3D`. The stem is (1, 7, 7) then (7, 1, 1) and a
    3x3x3 max pool; only the 3x3x3 of a bottleneck is factorised, so 50 layers cost a quarter of `R2Plus1D`'s 18.
    """

    def __init__(
        self,
        *,
        num_classes: int = 700,
        blocks: Blocks = (3, 4, 6, 3),
        bottleneck: bool = True,
        widths: Blocks = (64, 128, 256, 512),
        conv1_t_size: int = 7,
        conv1_t_stride: int = 1,
        max_pool: bool = True,
        dropout: float = 0.0,
        stem: Stem = "paper",
        mean: Triple = HARA_2020_MEAN,
        std: Triple = HARA_2020_STD,
    ) -> None:
        super().__init__(
            num_classes=num_classes,
            blocks=blocks,
            bottleneck=bottleneck,
            widths=widths,
            stem_channels=widths[0],
            conv1_t_size=conv1_t_size,
            conv1_t_stride=conv1_t_stride,
            max_pool=max_pool,
            factorised=True,
            dropout=dropout,
            stem=stem,
            mean=mean,
            std=std,
        )
