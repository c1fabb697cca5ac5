"""Files: written whole or not at all, cached, and tensors with a header."""

from .atomic import CACHE, cached, save_figure, sha256, write_atomically

__all__ = ["CACHE", "cached", "save_figure", "sha256", "write_atomically"]
