"""What people wrote about a video: tracks and activities in KPF and VIRAT form, boxes of a user, the 26 labels."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
