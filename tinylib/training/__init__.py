"""One training loop, its settings and its folder on disk; the losses of the papers and the objectives made of them."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
