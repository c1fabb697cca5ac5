"""Files: atomic writes, figures, a cache, and files of tensors with a header (:mod:`.tensors`)."""

from .atomic import replaceable, sha256, write_atomically, write_csv, write_json
from .cache import CACHE, cached
from .figures import FORMATS, picture_formats, save_figure

__all__ = [
    "CACHE",
    "FORMATS",
    "cached",
    "picture_formats",
    "replaceable",
    "save_figure",
    "sha256",
    "write_atomically",
    "write_csv",
    "write_json",
]
