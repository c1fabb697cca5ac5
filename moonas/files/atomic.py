"""Files that are either complete or not there."""

from __future__ import annotations

import hashlib
import io
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def write_atomically(path: str | Path, data: bytes) -> None:
    """Write bytes so that the file is the old one or the complete new one, whatever happens.

    Raises:
        OSError: the disk is full, or the folder cannot be written.
    """
    path = Path(path)
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


def write_json(path: str | Path, value: Any) -> None:
    """Write a value as indented JSON, atomically; see :func:`write_atomically`.

    Raises:
        TypeError: JSON cannot hold the value.
        OSError: the disk is full, or the folder cannot be written.
    """
    write_atomically(path, (json.dumps(value, indent=1) + "\n").encode())


def save_figure(figure: Figure, path: str | Path, dpi: int = 130) -> None:
    """Write a matplotlib figure as PNG; the same figure gives the same bytes."""
    png = io.BytesIO()
    figure.savefig(png, dpi=dpi, format="png", metadata={"Software": None})
    write_atomically(path, png.getvalue())


def sha256(path: str | Path) -> str:
    """SHA-256 of a file, in hexadecimal digits."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
