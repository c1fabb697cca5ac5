"""Records of a run, stored as one line of JSON each, with a checksum per line.

If the process crashes while a file grows, at most the last line is incomplete, and it is dropped.
Any other damage is detected by the checksums and raises an error.
"""

from __future__ import annotations

import json
import math
import os
import zlib
from pathlib import Path
from typing import Any

import numpy as np

Record = dict[str, Any]


class DamagedRun(ValueError):
    """A file in a run folder is corrupt."""


def to_line(record: Record) -> bytes:
    """Encode a record as a line of JSON whose last key is the CRC-32 of the rest."""
    body = json.dumps(record, allow_nan=False)
    return f'{body[:-1]}, "crc": "{zlib.crc32(body.encode()):08x}"}}\n'.encode()


def from_line(line: bytes) -> Record | None:
    """Decode a line, without its line end; return None if :func:`to_line` did not write it."""
    try:
        record: Record = json.loads(line)
        body = {key: value for key, value in record.items() if key != "crc"}
        valid = "call" in record and to_line(body) == line + b"\n"
    except (ValueError, TypeError, AttributeError):
        return None
    return record if valid else None


def read_records(path: Path, *, advice: str, repair: bool = False) -> list[Record]:
    """Read the records of a file, ignoring an incomplete last line; [] if there is no file.

    Args:
        path: path of the file.
        advice: end of the error message about a damaged line: what the user can do.
        repair: whether to remove an incomplete last line from the file.

    Raises:
        DamagedRun: a line is corrupt.
    """
    if not path.exists():
        return []
    if repair:
        remove_incomplete_line(path)
    records = []
    for number, line in enumerate(complete_lines(path), 1):
        record = from_line(line)
        if record is None:
            raise DamagedRun(f"{path} is damaged in line {number}: {advice}")
        records.append(record)
    return records


def complete_lines(path: Path) -> list[bytes]:
    """Return the lines of a file without their line ends, and without an incomplete last line.

    A file that does not exist has no lines.
    """
    data = path.read_bytes() if path.exists() else b""
    return data[: data.rfind(b"\n") + 1].splitlines()


def remove_incomplete_line(path: Path) -> int:
    """Truncate a file after its last complete line.

    Returns:
        The remaining length in bytes; 0 if the file does not exist.
    """
    if not path.exists():
        return 0
    data = path.read_bytes()
    size = data.rfind(b"\n") + 1
    if size < len(data):
        os.truncate(path, size)
    return size


def encode_result(result: dict[str, Any]) -> dict[str, Any]:
    """Convert a result to JSON: arrays become lists and NaN becomes null."""
    return {key: _encode(value) for key, value in result.items()}


def decode_result(result: dict[str, Any]) -> dict[str, Any]:
    """Invert :func:`encode_result`: lists become arrays and null becomes NaN."""
    return {
        key: np.array([_decode(v) for v in value]) if isinstance(value, list) else _decode(value)
        for key, value in result.items()
    }


def _encode(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return [_encode(v) for v in value.tolist()]
    if isinstance(value, float) and math.isnan(value):
        return None
    return value


def _decode(value: Any) -> Any:
    return math.nan if value is None else value
