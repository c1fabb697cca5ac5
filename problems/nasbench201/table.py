"""Reading a table of NAS-Bench-201 that the user has, CSV or npz."""

import csv
from pathlib import Path

import numpy as np

from moonas.tabular import Table

from . import space

MILLIONS = ("mparams", "mflops", "mmacs")  # what the names of columns in millions begin with
LATENCY = "latency_"  # what those of columns with milliseconds begin with


def read_table(path, wanted):
    """The rows of a table, some of its columns, and all with latencies.

    Cells are in a column ``architecture`` (or ``arch_str``), as the benchmark writes them, or in
    ``ops``, (n, 6) labels with ``op_names`` (npz), or in six columns ``op_0`` to ``op_5`` (CSV).
    Numbers are in columns of their own; ``latency_ms`` of an npz may be (n, k), a column for each
    of ``latency_devices``, which are then called ``latency_DEVICE``.

    Args:
        path: of the file.
        wanted: column of the problem -> column of the file. One whose name begins with mparams,
            mflops or mmacs is in millions.

    Returns:
        A :class:`~moonas.tabular.Table` with the problem's columns, and those that begin with
        ``latency_`` by their own names.

    Raises:
        ValueError: the file is missing, is no table, or lacks a column, which the message names.
    """
    path = Path(path)
    X, columns = _read(path)
    missing = [name for name in wanted.values() if name not in columns]
    if missing:
        raise ValueError(f"{path} lacks the columns {missing}; it has {sorted(columns)}.")
    scaled = {name: values for name, values in columns.items() if name.startswith(LATENCY)}
    for name, source in wanted.items():
        values = np.asarray(columns[source], float)
        scaled[name] = values * 1e6 if source.lower().startswith(MILLIONS) else values
    return Table(X, space.N_CHOICES, scaled)


def _read(path):
    """Rows and all columns with numbers."""
    if not path.is_file():
        raise ValueError(f"table={str(path)!r} is not there.")
    return _read_csv(path) if path.suffix.lower() == ".csv" else _read_npz(path)


def _read_npz(path):
    try:
        with np.load(path, allow_pickle=False) as file:
            held = {name: file[name] for name in file.files}
    except (ValueError, OSError, EOFError) as error:
        raise ValueError(f"{path} is no table: {error}") from None
    if "ops" in held and "op_names" in held:
        labels = [_label(path, name) for name in held["op_names"].tolist()]
        X = np.array(labels)[held["ops"]]
    else:
        X = _cells(path, held)
    n = len(X)
    columns = {
        name: values
        for name, values in held.items()
        if values.shape == (n,) and values.dtype.kind in "iuf"
    }
    devices = held.get("latency_devices", np.empty(0)).tolist()
    if devices and held.get("latency_ms", np.empty(0)).shape == (n, len(devices)):
        for name, values in zip(devices, held["latency_ms"].T, strict=True):
            columns[f"latency_{name}"] = values
    return X, columns


def _read_csv(path):
    with open(path, newline="", encoding="utf-8-sig") as file:
        header, *rows = [row for row in csv.reader(file) if row] or [[]]
    held = {name.strip(): [row[i] for row in rows] for i, name in enumerate(header)}
    ops = [f"op_{i}" for i in range(len(space.EDGES))]
    if all(name in held for name in ops):
        X = np.array([[_label(path, op) for op in held[name]] for name in ops]).T
    else:
        X = _cells(path, held)
    columns = {}
    for name, texts in held.items():
        try:
            columns[name] = np.array([float(text) if text else np.nan for text in texts])
        except ValueError:
            continue  # words
    return X, columns


def _cells(path, held):
    for name in ("architecture", "arch_str"):
        if name in held:
            return np.array([space.encode(space.parse(text)) for text in held[name]])
    raise ValueError(
        f"{path} lacks a column of cells: 'architecture' or 'arch_str' (|op~0|+|op~0|op~1|+...), "
        "'ops' with 'op_names' (npz), or 'op_0' to 'op_5' (CSV)."
    )


def _label(path, name):
    if name not in space.OPERATIONS:
        raise ValueError(
            f"{path} has the operation {name!r}, and NAS-Bench-201 has {list(space.OPERATIONS)}."
        )
    return space.OPERATIONS.index(name)
