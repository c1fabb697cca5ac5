"""Reader of NAS-Bench-201 tables in CSV and npz files."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from moonas.tabular import Table

from . import space

MILLION_PREFIXES = ("mparams", "mflops", "mmacs")  # begin the names of columns in millions
LATENCY_PREFIX = "latency_"  # begins the names of columns in milliseconds


def read_table(path: str | Path, source_columns: Mapping[str, str]) -> Table:
    """Read the cells, the named columns and all latencies of a table.

    The cells are in a column ``architecture`` or ``arch_str``, as the benchmark writes them; or in
    ``ops``, (n, 6) indices into ``op_names`` (npz); or in six columns ``op_0`` to ``op_5`` (CSV).
    Each measured quantity has a separate column. In an npz file, ``latency_ms`` may also have the
    shape (n, k), with one column for each of the ``latency_devices``; these columns become
    ``latency_DEVICE``.

    Args:
        path: path of the file; a suffix other than .csv means npz.
        source_columns: name of a column in the result -> name of a column in the file. A column of
            the file whose name begins with mparams, mflops or mmacs is in millions.

    Returns:
        A :class:`~moonas.tabular.Table` with the columns that ``source_columns`` names, and all
        columns whose names begin with ``latency_``.

    Raises:
        ValueError: the file does not exist, is not a table, or lacks a column; the message
            says which of these.
    """
    path = Path(path)
    X, columns = _read(path)
    missing = [name for name in source_columns.values() if name not in columns]
    if missing:
        raise ValueError(f"{path} lacks the columns {missing}; it has {sorted(columns)}.")
    selected = {name: values for name, values in columns.items() if name.startswith(LATENCY_PREFIX)}
    for name, source in source_columns.items():
        values = np.asarray(columns[source], float)
        selected[name] = values * 1e6 if source.lower().startswith(MILLION_PREFIXES) else values
    return Table(X, space.N_CHOICES, selected)


def _read(path: Path) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Return the rows, (n, 6), and all numeric columns of a table, (n,) each."""
    if not path.is_file():
        raise ValueError(f"table={str(path)!r} does not exist.")
    return _read_csv(path) if path.suffix.lower() == ".csv" else _read_npz(path)


def _read_npz(path: Path) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except (ValueError, OSError, EOFError) as error:
        raise ValueError(f"{path} is not a table: {error}") from None
    if "ops" in arrays and "op_names" in arrays:
        indices = [_operation_index(path, name) for name in arrays["op_names"].tolist()]
        X = np.array(indices)[arrays["ops"]]
    else:
        X = _parse_cells(path, arrays)
    n = len(X)
    columns = {
        name: values
        for name, values in arrays.items()
        if values.shape == (n,) and values.dtype.kind in "iuf"
    }
    devices = arrays.get("latency_devices", np.empty(0)).tolist()
    if devices and arrays.get("latency_ms", np.empty(0)).shape == (n, len(devices)):
        for name, values in zip(devices, arrays["latency_ms"].T, strict=True):
            columns[f"latency_{name}"] = values
    return X, columns


def _read_csv(path: Path) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    with open(path, newline="", encoding="utf-8-sig") as file:
        header, *rows = [row for row in csv.reader(file) if row] or [[]]
    texts = {name.strip(): [row[i] for row in rows] for i, name in enumerate(header)}
    ops = [f"op_{i}" for i in range(len(space.EDGES))]
    if all(name in texts for name in ops):
        X = np.array([[_operation_index(path, op) for op in texts[name]] for name in ops]).T
    else:
        X = _parse_cells(path, texts)
    columns = {}
    for name, values in texts.items():
        try:
            columns[name] = np.array([float(text) if text else np.nan for text in values])
        except ValueError:
            continue  # not numeric
    return X, columns


def _parse_cells(path: Path, columns: Mapping[str, Any]) -> np.ndarray:
    """Return the rows, (n, 6), of the cells in the column ``architecture`` or ``arch_str``."""
    for name in ("architecture", "arch_str"):
        if name in columns:
            return np.array([space.encode(space.parse(text)) for text in columns[name]])
    raise ValueError(
        f"{path} lacks a column of cells: expected 'architecture' or 'arch_str' "
        "(|op~0|+|op~0|op~1|+...), 'ops' with 'op_names' (npz), or 'op_0' to 'op_5' (CSV)."
    )


def _operation_index(path: Path, name: str) -> int:
    if name not in space.OPERATIONS:
        raise ValueError(
            f"{path} has the unknown operation {name!r}: expected one of {list(space.OPERATIONS)}."
        )
    return space.OPERATIONS.index(name)
