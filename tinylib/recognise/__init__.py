"""A user's video: what moves in it, followed, cut, recognised, drawn and put on a timeline."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
