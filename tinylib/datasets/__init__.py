"""Clips: which there are, decoded once into a store, drawn frame by frame, loaded in batches, counted and checked."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
