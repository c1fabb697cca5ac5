"""The file front.csv of a run folder: a search writes it, and what starts from it reads it."""

import csv
import io
import json
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from ..files import write_atomically
from ..metrics.rank_correlation import rank_correlation

NAME = "front.csv"
PICKS = ("knee", "best-error", "smallest")  # besides numbers of rows
DESCRIPTION = "description"
OLD_DESCRIPTION = "in_words"  # the name of that column in files of version 0.1 and earlier
NOT_COLUMNS = ("picked", "x", "architecture", DESCRIPTION)
TRAINED = "trained_"  # before the names of what a training from scratch gave


@dataclass(frozen=True)
class FrontRow:
    """One row of a front as the file has it.

    Args:
        columns: name -> float, every column; NaN where there was no number.
        picked: whether the search picked it.
        x: its genes, as text.
        architecture: what ``problem.architecture_to_json`` gave.
        description: the architecture as text.
        trained: name -> float, what a training from scratch gave; empty without one.
    """

    columns: dict
    picked: bool
    x: str
    architecture: object
    description: str
    trained: dict = field(default_factory=dict)


def write_front_csv(problem, rows, path, picked=None):
    """The front as CSV: every column, the genes, the architecture as JSON and in words.

    The row with the index ``picked`` has a 1 in the column ``picked``, the others a 0. What
    trainings from scratch have added to the same rows of an older file is kept.

    Args:
        problem: gives the columns.
        rows: list of :class:`moonas.pareto.Row`.
        path: of the file.
        picked: index of a row, or None.
    """
    names = list(problem.objectives)
    names += [c.name for c in problem.columns if c.name not in names]
    older = read_front_csv(path.parent) if path.exists() else []
    trained = {row.x: row.trained for row in older}
    written = [
        FrontRow(
            {name: row.columns.get(name, np.nan) for name in names},
            index == picked,
            problem.genes.text(row.x),
            problem.architecture_to_json(row.architecture),
            str(row.architecture),
            trained.get(problem.genes.text(row.x), {}),
        )
        for index, row in enumerate(rows)
    ]
    _write(path, names, written)


def _write(path, names, rows):
    extra = list(dict.fromkeys(name for row in rows for name in row.trained))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*names, *NOT_COLUMNS, *(f"{TRAINED}{name}" for name in extra)])
    for row in rows:
        cells = [_exact(row.columns[name]) for name in names]
        cells += [int(row.picked), row.x, json.dumps(row.architecture), row.description]
        writer.writerow([*cells, *(_exact(row.trained.get(name)) for name in extra)])
    write_atomically(path, text.getvalue().encode())


def add_results(folder, number, result):
    """Put what a training from scratch gave beside a row of a run folder's front.

    Args:
        folder: of the run.
        number: of the row, from 0 on.
        result: name -> float.
    """
    rows = read_front_csv(folder)
    rows[number] = replace(rows[number], trained={k: float(v) for k, v in result.items()})
    _write(Path(folder) / NAME, list(rows[0].columns), rows)


def correlation_with_training(rows: list[FrontRow], name: str) -> tuple[float, int] | None:
    """Rank correlation of a column's values in the search and after training from scratch.

    Args:
        rows: of a front; those that were not trained are left out.
        name: of the column.

    Returns:
        (Spearman's correlation, number of rows); None where it is not defined.
    """
    trained = [row for row in rows if name in row.trained and name in row.columns]
    correlation = rank_correlation(
        [row.columns[name] for row in trained], [row.trained[name] for row in trained]
    )
    return None if correlation is None else (correlation, len(trained))


def _exact(value):
    """Counts as whole numbers, other numbers with all their digits, nothing for NaN."""
    if value is None or np.isnan(value):
        return ""
    return int(value) if float(value).is_integer() and value > 1000 else float(value)


def read_front_csv(folder):
    """The rows of a run folder's front, a list of :class:`FrontRow`, in their order.

    Raises:
        ValueError: the run has not ended, or the file is damaged.
    """
    path = Path(folder) / NAME
    if not path.exists():
        raise ValueError(f"{folder} holds no {NAME}: the search has not ended, or it is no search.")
    try:
        with open(path, newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            header = [
                DESCRIPTION if name == OLD_DESCRIPTION else name for name in reader.fieldnames or ()
            ]
            reader.fieldnames = header
            if not set(NOT_COLUMNS) <= set(header):
                raise KeyError(f"it lacks one of the columns {', '.join(NOT_COLUMNS)}")
            return [_row(line) for line in reader]
    except (ValueError, KeyError, TypeError, csv.Error) as error:
        raise ValueError(f"{path} is damaged: {error}") from None


def _row(line):
    numbers = {k: float(v) if v else np.nan for k, v in line.items() if k not in NOT_COLUMNS}
    trained = {k[len(TRAINED) :]: v for k, v in numbers.items() if k.startswith(TRAINED)}
    return FrontRow(
        {k: v for k, v in numbers.items() if not k.startswith(TRAINED)},
        line["picked"] == "1",
        line["x"],
        json.loads(line["architecture"]),
        line[DESCRIPTION],
        {k: v for k, v in trained.items() if np.isfinite(v)},
    )


def find_row(rows, pick, *, error, size):
    """The index of a row of a front that a word names.

    Args:
        rows: list of :class:`FrontRow`.
        pick: "knee", the one that the search picked; "best-error" and "smallest", the lowest of
            these columns; or the number of a row as text, from 0 on.
        error: name of a column.
        size: the same.

    Raises:
        ValueError: there is no such row.
    """
    if pick.isdecimal() and int(pick) < len(rows):
        return int(pick)
    marked = [i for i, row in enumerate(rows) if row.picked]
    if pick == "knee" and marked:
        return marked[0]
    if pick in PICKS[1:] and rows:
        name = error if pick == "best-error" else size
        return min(range(len(rows)), key=lambda i: rows[i].columns[name])
    raise ValueError(
        f"pick={pick!r} will not do: {', '.join(PICKS)}, or a row of the front, 0 to "
        f"{len(rows) - 1}."
    )


def spread_rows(n, k):
    """Indices of k of n rows of a front, from its first to its last, evenly; all if k is larger."""
    return np.unique(np.round(np.linspace(0, n - 1, min(k, n))).astype(int)).tolist() if n else []
