"""What each notebook runs with: one frozen flat dataclass a notebook, in three columns (smoke, demo, full)."""

from tinylib.parameters import PROFILES
from tinylib.profiles.dataset import BuildTinyvirat, DatasetStatistics
from tinylib.profiles.stat import AttentionTransfer
from tinylib.profiles.tinyaction import Baseline, Baselines
from tinylib.profiles.tinyvirat import Backbone, ForegroundAttention, LowResolution, ProgressiveDvsr, Restoration

__all__ = [
    "PROFILES",
    "AttentionTransfer",
    "Backbone",
    "Baseline",
    "Baselines",
    "BuildTinyvirat",
    "DatasetStatistics",
    "ForegroundAttention",
    "LowResolution",
    "ProgressiveDvsr",
    "Restoration",
]
