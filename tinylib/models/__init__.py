"""Networks, one architecture a file, by name; their checkpoints, their cost, and the maps that show where they look.

forward(video (B, 3, T, H, W) in [0, 1]) -> logits (B, num_classes); features(video) -> named maps and "pooled";
reset_classifier(num_classes). stem="low" removes the early spatial strides and pools, for 14 to 56 pixels.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
