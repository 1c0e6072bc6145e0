"""From annotated video to tiny clips: windows by the rules of VIRAT and MEVA, cut and written as a dataset."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
