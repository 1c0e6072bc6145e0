"""SynthVIRAT, the procedural surveillance benchmark: planned, staged, filmed and annotated like the real one."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
