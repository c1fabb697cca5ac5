"""Records of a run as lines of JSON, each with a checksum; a torn last line is not one.

A crash while a file grows leaves at most its last line incomplete, and that line is dropped. Any
other damage is found by the checksum, and is an error.
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
    """A file of a run folder is not what was written."""


def to_line(record: Record) -> bytes:
    """The line of a record, with the CRC-32 of the rest as its last key."""
    body = json.dumps(record, allow_nan=False)
    return f'{body[:-1]}, "crc": "{zlib.crc32(body.encode()):08x}"}}\n'.encode()


def from_line(line: bytes) -> Record | None:
    """The record of a line without its line end; None if :func:`to_line` did not write it so."""
    try:
        record = json.loads(line)
        body = {key: value for key, value in record.items() if key != "crc"}
        good = "call" in record and to_line(body) == line + b"\n"
    except (ValueError, TypeError, AttributeError):
        good = False
    return record if good else None


def read_records(path: Path, *, advice: str, repair: bool = False) -> list[Record]:
    """The records of a file, without a torn last line; [] if there is no file.

    Args:
        path: of the file.
        advice: the end of the message about a damaged line.
        repair: whether to remove a torn last line from the file.

    Raises:
        DamagedRun: a line is not what was written.
    """
    if not path.exists():
        return []
    if repair:
        cut_torn_line(path)
    records = []
    for number, line in enumerate(whole_lines(path), 1):
        record = from_line(line)
        if record is None:
            raise DamagedRun(f"{path} is damaged in line {number}: {advice}")
        records.append(record)
    return records


def whole_lines(path: Path) -> list[bytes]:
    """The lines of a file without their ends, and without a torn last one."""
    data = path.read_bytes() if path.exists() else b""
    return data[: data.rfind(b"\n") + 1].splitlines()


def cut_torn_line(path: Path) -> int:
    """Remove what follows the last complete line of a file; the length in bytes of what stays."""
    if not path.exists():
        return 0
    data = path.read_bytes()
    size = data.rfind(b"\n") + 1
    if size < len(data):
        os.truncate(path, size)
    return size


def encode_result(result: dict[str, Any]) -> dict[str, Any]:
    """A result as JSON holds it: arrays as lists, NaN as null, other values as they are."""
    return {key: _encoded(value) for key, value in result.items()}


def decode_result(result: dict[str, Any]) -> dict[str, Any]:
    """The result that :func:`encode_result` encoded: lists as arrays, null as NaN."""
    return {
        key: np.array([_decoded(v) for v in value]) if isinstance(value, list) else _decoded(value)
        for key, value in result.items()
    }


def _encoded(value):
    if isinstance(value, np.ndarray):
        return [_encoded(v) for v in value.tolist()]
    if isinstance(value, float) and math.isnan(value):
        return None
    return value


def _decoded(value):
    return math.nan if value is None else value
