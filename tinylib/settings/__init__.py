"""What each notebook runs with: one frozen flat dataclass a notebook, in three columns (smoke, demo, full)."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
