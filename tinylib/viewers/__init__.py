"""Clips, maps and thresholds to move and click, with a kernel and without."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
