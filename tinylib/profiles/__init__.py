"""What each notebook runs with: one frozen flat dataclass a notebook, in three columns (smoke, demo, full)."""

from tinylib.parameters import PROFILES
from tinylib.profiles.beyond import BeyondThePapers
from tinylib.profiles.dataset import BuildTinyvirat, DatasetStatistics
from tinylib.profiles.own import OwnVideo
from tinylib.profiles.stat import AttentionTransfer
from tinylib.profiles.summary import PapersVsOurs
from tinylib.profiles.tinyaction import Baseline, Baselines
from tinylib.profiles.tinyvirat import Backbone, ForegroundAttention, LowResolution, ProgressiveDvsr, Restoration
from tinylib.profiles.winner import DualResolution, Ensemble, Network, SamplingAndBalance, Winner

__all__ = [
    "PROFILES",
    "AttentionTransfer",
    "Backbone",
    "Baseline",
    "Baselines",
    "BeyondThePapers",
    "BuildTinyvirat",
    "DatasetStatistics",
    "DualResolution",
    "Ensemble",
    "ForegroundAttention",
    "LowResolution",
    "Network",
    "OwnVideo",
    "PapersVsOurs",
    "ProgressiveDvsr",
    "Restoration",
    "SamplingAndBalance",
    "Winner",
]
