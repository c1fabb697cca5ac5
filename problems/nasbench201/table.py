"""Reader of NAS-Bench-201 tables in CSV and npz files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from moonas.errors import reason
from moonas.files.reading import read_csv, read_npz
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
    try:
        return Table(X, space.N_CHOICES, selected)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def _read(path: Path) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Return the rows, (n, 6), and all numeric columns of a table, (n,) each."""
    return _read_csv(path) if path.suffix.lower() == ".csv" else _read_npz(path)


def _read_npz(path: Path) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    arrays = read_npz(path)
    if "ops" in arrays and "op_names" in arrays:
        X = _rows_of_indices(path, arrays["ops"], arrays["op_names"])
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
    table = read_csv(path)
    texts = {name: table.column(name) for name in table.header}
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
            try:
                return np.array([space.encode(space.parse(text)) for text in columns[name]])
            except (ValueError, TypeError) as error:
                raise ValueError(f"{path}: {reason(error, 200)}") from None
    raise ValueError(
        f"{path} lacks a column of cells: expected 'architecture' or 'arch_str' "
        "(|op~0|+|op~0|op~1|+...), 'ops' with 'op_names' (npz), or 'op_0' to 'op_5' (CSV)."
    )


def _rows_of_indices(path: Path, ops: np.ndarray, names: np.ndarray) -> np.ndarray:
    """Return the rows, (n, 6), of operations that are given as indices into their names."""
    indices = np.array([_operation_index(path, name) for name in np.ravel(names).tolist()])
    n_edges = len(space.EDGES)
    if ops.ndim != 2 or ops.shape[1] != n_edges or ops.dtype.kind not in "iu":
        raise ValueError(
            f"{path}: 'ops' is invalid: expected integers of shape (n, {n_edges}), got "
            f"{ops.dtype} of shape {ops.shape}."
        )
    if len(ops) and not 0 <= ops.min() <= ops.max() < len(indices):
        raise ValueError(
            f"{path}: 'ops' is invalid: expected indices from 0 to {len(indices) - 1}, got "
            f"{ops.min()} to {ops.max()}."
        )
    rows: np.ndarray = indices[ops]
    return rows


def _operation_index(path: Path, name: str) -> int:
    if name not in space.OPERATIONS:
        raise ValueError(
            f"{path} has the unknown operation {name!r}: expected one of {list(space.OPERATIONS)}."
        )
    return space.OPERATIONS.index(name)
