"""The papers' procedures whole: super-resolution, its pre-rendering, attention transfer, snapshots, recipes."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
