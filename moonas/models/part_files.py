"""Latencies of another device, such as a phone: write the parts of a space as ONNX, read the times.

A device that does not run moonas cannot measure a latency table. Instead, every part is written as
an ONNX file with a fixed input shape and a batch size of 1, and ``parts.csv`` lists the files. A
benchmark program of the device measures them, the user enters the times, and the completed
``parts.csv`` becomes a latency table.
"""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from ..files import write_csv
from ..files.reading import read_csv
from ..nets.parts import Part
from ..nets.randomness import generator
from ..run.callbacks import Progress, progress_function
from ..run.numbers import plural
from .export import TOLERANCE
from .latency_table import require_parts
from .onnx_files import require_onnx, write_onnx

if TYPE_CHECKING:
    from ..problem import ArchitectureProblem

PARTS_FILE = "parts.csv"
COLUMNS = ("file", "part", "input", "latency_ms")


def write_parts(
    problem: ArchitectureProblem, folder: str | Path, *, on_progress: Progress | None = None
) -> Path:
    """Write every part of a problem's search space as an ONNX file, and ``parts.csv``.

    Files that exist are kept, so an interrupted call can be repeated. Times in an existing
    ``parts.csv`` are kept as well.

    Args:
        problem: problem that returns the parts in ``operations()``.
        folder: folder of the files, which is created.
        on_progress: called with (phase, done, total, unit) before each part and at the end.

    Returns:
        Path of ``parts.csv``. It has one row per part, with the columns ``file``, ``part`` (the key
        in a latency table), ``input`` (1 x channels x height x width) and ``latency_ms`` (empty).

    Raises:
        ValueError: the problem has no parts, a package for ONNX is missing, or the outputs of a
            file differ from those of its part.
    """
    parts = require_parts(problem)
    require_onnx()
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    table = folder / PARTS_FILE
    before = [row for _, row in _read_rows(table)] if table.exists() else []
    rows = {row.get("file", ""): dict.fromkeys(COLUMNS, "") | row for row in before}
    report_progress = progress_function(on_progress)
    for i, part in enumerate(parts):
        report_progress("writing parts", i, len(parts), "parts")
        path = folder / _file_name(part)
        if not path.exists():
            _write_part(part, path)
        shape = "x".join(map(str, (1, *part.shape)))
        row = {"file": path.name, "part": part.key, "input": shape, "latency_ms": ""}
        rows[path.name] = row | {"latency_ms": rows.get(path.name, row)["latency_ms"]}
    report_progress("writing parts", len(parts), len(parts), "parts")
    write_csv(table, rows.values())
    return table


def _file_name(part: Part) -> str:
    """Return a file name without spaces that contains the key of a part."""
    return re.sub(r"[^\w.-]+", "_", part.key) + ".onnx"


def _write_part(part: Part, path: Path) -> None:
    """Write one part as an ONNX file and compare the outputs of the file with those of the part."""
    module = part.build().eval()
    example = torch.rand(1, *part.shape, generator=generator(part.key, "example"))
    unverified = path.with_suffix(".part")
    try:
        with torch.inference_mode():
            expected = _outputs(module(example))
        run = write_onnx(module, example, unverified, {"part": part.key}, n_outputs=len(expected))
        pairs = zip(expected, run(example), strict=True)
        difference = max(float((a - b).abs().max()) for a, b in pairs)
        if not difference <= TOLERANCE:
            raise ValueError(
                f"The outputs of the exported part {part.key!r} differ by {difference:.2g}, more "
                f"than {TOLERANCE:g}."
            )
        unverified.replace(path)
    finally:
        unverified.unlink(missing_ok=True)


def _outputs(value: Any) -> tuple[torch.Tensor, ...]:
    """Return the outputs of a module, which may be one tensor or several."""
    return tuple(value) if isinstance(value, tuple | list) else (value,)


def read_times(
    problem: ArchitectureProblem, path: str | Path, device: str = "another device"
) -> dict[str, Any]:
    """Read measured times of all parts of a problem's search space.

    Args:
        problem: problem that returns the parts in ``operations()``.
        path: ``parts.csv`` with all times, or any CSV file with the columns ``part`` (or ``file``)
            and ``latency_ms``, separated by commas, semicolons or tabs. Rows of parts that this
            space does not have are ignored.
        device: name of the device on which the times were measured.

    Returns:
        The latency table, as :func:`.latency_table.measure_parts` returns it, without ``spread``.

    Raises:
        ValueError: the file is missing or is no such table, a time is not a positive number, or a
            part has no time.
    """
    parts = require_parts(problem)
    key_of_file = {_file_name(part): part.key for part in parts}
    keys, times = set(key_of_file.values()), dict[str, float]()
    unknown = ""
    for number, row in _read_rows(path):
        key, text = row.get("part") or key_of_file.get(row.get("file", ""), ""), row["latency_ms"]
        if key not in keys:
            name = row.get("part") or row["file"]
            unknown = unknown or f" The file has others, such as {name!r}."
            continue
        if text == "":
            continue
        try:
            times[key] = float(text)
        except ValueError:
            times[key] = math.nan
        if not 0 < times[key] < math.inf:
            raise ValueError(
                f"{path}, line {number}: latency_ms={text!r} is invalid: expected a positive "
                "number of milliseconds with a decimal point."
            )
    missing = [part.key for part in parts if part.key not in times]
    if missing:
        raise ValueError(
            f"{path} lacks the times of {plural(len(missing), 'part')} of {len(parts)}, for "
            f"example {missing[0]!r}.{unknown} Times measured with other channels, layers or "
            "images do not fit; moonas latency TASK --parts DIR adds missing parts to "
            "DIR/parts.csv."
        )
    about = {"problem": type(problem).__name__, "device": device, "batch": 1}
    return {"about": about, "parts": {part.key: times[part.key] for part in parts}}


def _read_rows(path: str | Path) -> list[tuple[int, dict[str, str]]]:
    """Return the line number and the stripped values of each row of a table of parts.

    Raises:
        ValueError: the file cannot be read, lacks a column, or a row has too many values.
    """
    advice = "Write times with a decimal point, not with a comma."
    table = read_csv(path, fills_rows=True, advice=advice)
    if "latency_ms" not in table.header or not {"part", "file"} & set(table.header):
        raise ValueError(
            f"{path} is not a table of parts: expected the columns part (or file) and latency_ms, "
            f"as in {PARTS_FILE}; got {', '.join(table.header) or 'an empty file'}."
        )
    stripped = ([value.strip() for value in row] for row in table.rows)
    rows = zip(table.lines, stripped, strict=True)
    return [(number, dict(zip(table.header, row, strict=True))) for number, row in rows if any(row)]
