"""Numbers: one row each, the papers' own, the tables that put them side by side, and which orderings hold."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
