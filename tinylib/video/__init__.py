"""Frames out of video files and into them, exactly or with the reason why not."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
