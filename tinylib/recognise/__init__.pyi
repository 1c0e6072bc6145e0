from .drawing import label as label
from .pipeline import CutConfig as CutConfig
from .pipeline import clip_maps as clip_maps
from .pipeline import deepest as deepest
from .pipeline import recognise as recognise
from .proposals import ProposalConfig as ProposalConfig
from .tracking import agreement as agreement
