"""Read files that other programs may have written or damaged: text, CSV, JSON and NumPy archives.

Every error is a ``ValueError`` of one line with the path of the file and the reason.
"""

from __future__ import annotations

import csv
import io
import json
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import reason

DELIMITERS = ",;\t"
BYTE_ORDER_MARKS = {b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16", b"\xef\xbb\xbf": "utf-8-sig"}
REASON_LENGTH = 200  # characters


def read_text(path: str | Path) -> str:
    """Read a text file in UTF-8, or in UTF-16 with a byte order mark.

    Raises:
        ValueError: the file is missing or unreadable, or has another encoding.
    """
    try:
        data = Path(path).read_bytes()
    except FileNotFoundError:
        raise ValueError(f"{path} does not exist.") from None
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror or error}.") from None
    encoding = next((e for mark, e in BYTE_ORDER_MARKS.items() if data.startswith(mark)), "utf-8")
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise ValueError(
            f"{path} is not UTF-8 text: line {line} contains the byte 0x{data[error.start]:02x}. "
            "Save the file as UTF-8 (in Excel: CSV UTF-8)."
        ) from None


@dataclass(frozen=True)
class CsvTable:
    """The content of a CSV file.

    Args:
        path: path of the file.
        header: (k,) names of the columns, without spaces around them.
        rows: n rows of k texts each.
        lines: (n,) line numbers of the rows in the file.
    """

    path: Path
    header: tuple[str, ...]
    rows: list[list[str]]
    lines: list[int]

    def column(self, name: str) -> list[str]:
        """Return the n texts of a column."""
        index = self.header.index(name)
        return [row[index] for row in self.rows]


def read_csv(path: str | Path, *, fills_rows: bool = False, advice: str = "") -> CsvTable:
    """Read a CSV file with a header; values are separated by commas, semicolons or tabs.

    Empty lines are ignored.

    Args:
        path: path of the file.
        fills_rows: whether rows may lack their last values, which are then empty.
        advice: sentence that the error message about a row with too many values ends with.

    Raises:
        ValueError: the file cannot be read as text, or a row has another number of values than the
            header.
    """
    text = read_text(path)
    first_line = next((line for line in text.splitlines() if line.strip()), "")
    delimiter = max(DELIMITERS, key=first_line.count)  # the first one of those that are equal
    reader = csv.reader(io.StringIO(text), delimiter=delimiter)
    header: tuple[str, ...] = ()
    rows: list[list[str]] = []
    lines = []
    try:
        for row in reader:
            if not row:
                continue
            if not header:
                header = tuple(name.strip() for name in row)
                continue
            if fills_rows:
                row += [""] * (len(header) - len(row))
            if len(row) != len(header):
                raise ValueError(
                    f"{path}, line {reader.line_num} is invalid: expected {len(header)} values, "
                    f"got {len(row)}. {advice}".rstrip()
                )
            rows.append(row)
            lines.append(reader.line_num)
    except csv.Error as error:
        raise ValueError(f"{path}, line {reader.line_num} is not CSV: {error}.") from None
    return CsvTable(Path(path), header, rows, lines)


def read_json(path: str | Path) -> Any:
    """Read a JSON file.

    Raises:
        ValueError: the file is missing or unreadable, or is not JSON.
    """
    try:
        return json.loads(read_text(path))
    except (json.JSONDecodeError, RecursionError) as error:
        raise ValueError(f"{path} is not JSON: {reason(error, REASON_LENGTH)}.") from None


def read_npz(path: str | Path) -> dict[str, np.ndarray]:
    """Read all arrays of a NumPy archive (.npz) without pickled objects.

    Raises:
        ValueError: the file is missing, is not such an archive, or is damaged.
    """
    try:
        with open(path, "rb") as file:
            if not zipfile.is_zipfile(file):
                raise ValueError("it is not an .npz file")
        with np.load(path, allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays.files}
    except FileNotFoundError:
        raise ValueError(f"{path} does not exist.") from None
    except Exception as error:  # NumPy and zipfile raise many kinds of exceptions
        text = reason(error, REASON_LENGTH) or type(error).__name__
        raise ValueError(f"{path} cannot be read as an .npz file: {text}.") from None
