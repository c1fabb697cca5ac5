"""Files: atomic writes, a cache and, in :mod:`.tensors`, tensors with a header."""

from .atomic import save_figure, sha256, write_atomically, write_json
from .cache import CACHE, cached

__all__ = ["CACHE", "cached", "save_figure", "sha256", "write_atomically", "write_json"]
