"""A cache folder for results that are computed once per machine."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

from .atomic import write_atomically

CACHE = "MOONAS_CACHE"  # environment variable that overrides the folder
DIGEST = 32  # size in bytes of the SHA-256 digest at the start of a cache file


def cached(name: str, compute: Callable[[], bytes]) -> bytes:
    """Return bytes from the cache folder, or compute and store them.

    The folder is ``$MOONAS_CACHE``, or ``~/.cache/moonas`` by default.

    Args:
        name: name of the file, which must identify everything that the bytes depend on.
        compute: function that returns the bytes. It is called if the file is missing or corrupt,
            and on every call if the folder is not writable.
    """
    folder = Path(os.environ.get(CACHE) or Path.home() / ".cache" / "moonas")
    path = folder / name
    try:
        stored = path.read_bytes()
    except OSError:
        stored = b""
    digest, data = stored[:DIGEST], stored[DIGEST:]
    if digest == hashlib.sha256(data).digest():
        return data
    data = compute()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_atomically(path, hashlib.sha256(data).digest() + data)
    except OSError:
        pass
    return data
