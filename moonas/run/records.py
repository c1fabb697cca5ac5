"""Records of a run, each stored as one line of JSON with a checksum.

If the process crashes while it appends a line, that line is incomplete and is dropped on reading.
The checksums detect any other damage, which raises an error.
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

LENGTH_OF_CHECKSUM = len(b', "crc": "00000000"}')


class DamagedRun(ValueError):
    """A file in a run folder is corrupt."""


def encode_record(record: Record) -> bytes:
    """Encode a record as a line of JSON whose last key, "crc", is the CRC-32 of the other keys."""
    body = json.dumps(record, allow_nan=False).encode()
    return body[:-1] + _checksum(body) + b"\n"


def _checksum(body: bytes) -> bytes:
    """Return the end of a line of JSON, which replaces the last brace of ``body``."""
    return b', "crc": "%08x"}' % zlib.crc32(body)


def decode_record(line: bytes) -> Record | None:
    """Decode a line of JSON to a record.

    Args:
        line: the line, without its line end.

    Returns:
        The record, or None if :func:`encode_record` did not write the line.
    """
    body = line[:-LENGTH_OF_CHECKSUM] + b"}"
    if line[-LENGTH_OF_CHECKSUM:] != _checksum(body):
        return None
    try:
        record: Record = json.loads(line)
        valid = "call" in record
    except (ValueError, TypeError):
        return None
    return record if valid else None


def read_records(path: Path, *, advice: str, repair: bool = False) -> list[Record]:
    """Read the records of a file without an incomplete last line; return [] if the file is missing.

    Args:
        path: path of the file.
        advice: advice to the user, which ends the error message about a damaged line.
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
        record = decode_record(line)
        if record is None:
            raise DamagedRun(f"{path} is damaged in line {number}: {advice}")
        records.append(record)
    return records


def complete_lines(path: Path) -> list[bytes]:
    """Return the complete lines of a file, without their line ends.

    An incomplete last line is left out. A file that does not exist has no lines.
    """
    data = path.read_bytes() if path.exists() else b""
    return data[: data.rfind(b"\n") + 1].splitlines()


def remove_incomplete_line(path: Path) -> int:
    """Truncate a file after its last complete line.

    Returns:
        The size of the truncated file in bytes; 0 if the file does not exist.
    """
    if not path.exists():
        return 0
    data = path.read_bytes()
    size = data.rfind(b"\n") + 1
    if size < len(data):
        os.truncate(path, size)
    return size


def encode_result(result: dict[str, Any]) -> dict[str, Any]:
    """Convert the result of a call to JSON: arrays become lists and NaN becomes null."""
    return {key: _encode_value(value) for key, value in result.items()}


def decode_result(result: dict[str, Any]) -> dict[str, Any]:
    """Invert :func:`encode_result`: lists become arrays and null becomes NaN."""
    return {
        key: np.array([_decode_value(v) for v in value])
        if isinstance(value, list)
        else _decode_value(value)
        for key, value in result.items()
    }


def _encode_value(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return [_encode_value(v) for v in value.tolist()]
    if isinstance(value, float) and math.isnan(value):
        return None
    return value


def _decode_value(value: Any) -> Any:
    return math.nan if value is None else value
