"""Narrow sisters of the classifiers: the same code at a size that a test can train."""

NARROW = {"widths": (8, 16, 24, 32)}
SISTERS = {
    "i3d": {},
    "i3d_tinyvirat": {},
    "r3d18": {**NARROW, "stem_channels": 8},
    "r3d18_2018": {**NARROW, "stem_channels": 8},
    "r3d50": {**NARROW, "stem_channels": 8},
    "wrn50": {**NARROW, "stem_channels": 8},
    "r3d18_torchvision": NARROW,
    "r2plus1d18": {**NARROW, "stem_middle": 6},
    "r2plus1d34": {**NARROW, "stem_middle": 6},
    "r2plus1d18_2020": NARROW,
    "r2plus1d50": NARROW,
    "ircsn26": {"width": 8},
    "uniformer_tiny": {},
    "tiny_r3d": {},
    "tiny_r2plus1d": {},
}
