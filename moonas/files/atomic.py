"""Files that are either whole or not there, and the folder for what is computed once a machine."""

import hashlib
import io
import os
from pathlib import Path

CACHE = "MOONAS_CACHE"  # environment variable that names another folder
DIGEST = 32  # bytes of SHA-256 that a file in the cache begins with


def write_atomically(path, data):
    """Write bytes so that the file is the old one or the whole new one, whatever happens.

    Raises:
        OSError: the disk is full, or the folder cannot be written.
    """
    part = path.with_suffix(path.suffix + ".part")
    try:
        with open(part, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    except OSError:
        part.unlink(missing_ok=True)
        raise
    os.replace(part, path)


def save_figure(figure, path, dpi=130):
    """Write a figure of matplotlib as PNG, the same bytes for the same figure."""
    png = io.BytesIO()
    figure.savefig(png, dpi=dpi, format="png", metadata={"Software": None})
    write_atomically(path, png.getvalue())


def sha256(path):
    """SHA-256 of a file, in hexadecimal digits."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def cached(name, compute):
    """Bytes that are computed once and kept in the cache: ``$MOONAS_CACHE`` or ``~/.cache/moonas``.

    Args:
        name: of the file; it should tell all that the bytes depend on.
        compute: () -> bytes.

    Returns:
        The bytes. Where the folder cannot be written, they are computed each time; where a file is
        damaged, anew.
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
