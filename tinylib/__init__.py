"""tinylib: recognising actions in very low-resolution video."""

__version__ = "0.1.0"
