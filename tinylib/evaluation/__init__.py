"""What a network answers over a split and how good that is: metrics, intervals, calibration, ensembles, maps."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
