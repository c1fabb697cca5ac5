"""Atomic writes: after a crash, a file has either its old or its complete new content."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import math
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any


def write_atomically(path: str | Path, data: bytes) -> None:
    """Write a file; even after a crash, it has either its old or its complete new content.

    Args:
        path: path of the file.
        data: new content of the file.

    Raises:
        OSError: the disk is full, or the folder is not writable.
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


def replaceable(paths: Iterable[Path], marks: Iterable[str]) -> Path:
    """Return the first path where no other file is, or else the last one.

    Args:
        paths: paths to choose from, in the order of preference; one or more.
        marks: texts that a file must contain to be replaced.
    """
    for path in paths:
        text = path.read_text(encoding="utf-8", errors="replace") if path.exists() else None
        if text is None or all(mark in text for mark in marks):
            return path
    return path


def write_json(path: str | Path, value: Any) -> None:
    """Write a value as indented JSON, atomically.

    Args:
        path: path of the file.
        value: JSON-serializable value.

    Raises:
        TypeError: the value is not JSON-serializable.
        OSError: the disk is full, or the folder is not writable.
    """
    write_atomically(path, (json.dumps(value, indent=1) + "\n").encode())


def write_csv(path: str | Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write rows as CSV, atomically, with one column per key; NaN and missing values are empty.

    Args:
        path: path of the file.
        rows: dicts from column to value; columns are in the order in which keys first occur.

    Raises:
        OSError: the disk is full, or the folder is not writable.
    """
    rows = list(rows)
    text = io.StringIO()
    names = list(dict.fromkeys(name for row in rows for name in row))
    writer = csv.DictWriter(text, names, lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({k: "" if _is_nan(v) else v for k, v in row.items()})
    write_atomically(path, text.getvalue().encode())


def _is_nan(value: Any) -> bool:
    return isinstance(value, float) and math.isnan(value)


def sha256(path: str | Path) -> str:
    """Return the SHA-256 digest of a file as hexadecimal text."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
