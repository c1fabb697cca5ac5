"""Files: atomic writes, a cache, and files of tensors with a header (:mod:`.tensors`)."""

from .atomic import save_figure, sha256, write_atomically, write_csv, write_json
from .cache import CACHE, cached

__all__ = [
    "CACHE",
    "cached",
    "save_figure",
    "sha256",
    "write_atomically",
    "write_csv",
    "write_json",
]
