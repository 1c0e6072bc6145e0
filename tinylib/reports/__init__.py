"""The graph of notebooks: run, rendered to self-contained pages, with an index."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
