"""A cache folder for results that are computed once per machine."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

from .atomic import write_atomically

CACHE = "MOONAS_CACHE"  # environment variable with the path of the cache folder
DIGEST_BYTES = 32  # size in bytes of the SHA-256 digest at the start of a cache file


def cache_folder() -> Path:
    """Return the path of the cache folder: ``$MOONAS_CACHE``, or ``~/.cache/moonas`` by default."""
    return Path(os.environ.get(CACHE) or Path.home() / ".cache" / "moonas")


def cached(name: str, compute: Callable[[], bytes]) -> bytes:
    """Return the content of a file in the cache folder, or compute and store it.

    Args:
        name: name of the file; it must identify everything on which the content depends.
        compute: function () -> content, in bytes. It is called if the file is missing or corrupt,
            and on every call if the cache folder is not writable.
    """
    folder = cache_folder()
    path = folder / name
    try:
        stored = path.read_bytes()
    except OSError:
        stored = b""
    digest, data = stored[:DIGEST_BYTES], stored[DIGEST_BYTES:]
    if digest == hashlib.sha256(data).digest():
        return data
    data = compute()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_atomically(path, hashlib.sha256(data).digest() + data)
    except OSError:
        pass
    return data
