"""The folder for results that are computed once per machine."""

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

from .atomic import write_atomically

CACHE = "MOONAS_CACHE"  # environment variable that names another folder
DIGEST = 32  # bytes of SHA-256 that a file in the cache begins with


def cached(name: str, compute: Callable[[], bytes]) -> bytes:
    """Bytes from the cache, ``$MOONAS_CACHE`` or ``~/.cache/moonas``, computed if necessary.

    Args:
        name: of the file; it must identify everything that the bytes depend on.
        compute: returns the bytes. It is called if the file is missing or damaged, and every time
            if the folder cannot be written.
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
