"""The file front.csv of a run folder: a search writes it, and what starts from it reads it."""

import csv
import json
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

NAME = "front.csv"
PICKS = ("knee", "best-error", "smallest")  # besides numbers of rows
NOT_COLUMNS = ("picked", "x", "architecture", "in_words")


@dataclass(frozen=True)
class FrontRow:
    """One row of a front as the file has it.

    Args:
        columns: name -> float, every column; NaN where there was no number.
        picked: whether the search picked it.
        x: its genes, as text.
        architecture: what ``problem.architecture_to_json`` gave.
        in_words: the architecture, for people.
    """

    columns: dict
    picked: bool
    x: str
    architecture: object
    in_words: str


def write_front_csv(problem, rows, path, picked=None):
    """The front as CSV: every column, the genes, the architecture as JSON and in words.

    The row with the index ``picked`` has a 1 in the column ``picked``, the others a 0.

    Args:
        problem: gives the columns.
        rows: list of :class:`moonas.pareto.Row`.
        path: of the file.
        picked: index of a row, or None.
    """
    names = list(problem.objectives)
    names += [c.name for c in problem.columns if c.name not in names]
    part = path.with_suffix(".part")
    with open(part, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow([*names, *NOT_COLUMNS])
        for index, row in enumerate(rows):
            writer.writerow(
                [
                    *(_exact(row.columns.get(name)) for name in names),
                    int(index == picked),
                    problem.genes.text(row.x),
                    json.dumps(problem.architecture_to_json(row.architecture)),
                    str(row.architecture),
                ]
            )
    os.replace(part, path)


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
            return [_row(line) for line in csv.DictReader(file)]
    except (ValueError, KeyError, TypeError, csv.Error) as error:
        raise ValueError(f"{path} is damaged: {error}") from None


def _row(line):
    return FrontRow(
        {k: float(v) if v else np.nan for k, v in line.items() if k not in NOT_COLUMNS},
        line["picked"] == "1",
        line["x"],
        json.loads(line["architecture"]),
        line["in_words"],
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
    if pick == "knee" and rows:
        return next(i for i, row in enumerate(rows) if row.picked)
    if pick in PICKS and rows:
        name = error if pick == "best-error" else size
        return min(range(len(rows)), key=lambda i: rows[i].columns[name])
    raise ValueError(
        f"pick={pick!r} will not do: {', '.join(PICKS)}, or a row of the front, 0 to "
        f"{len(rows) - 1}."
    )


def spread_rows(n, k):
    """Indices of k of n rows of a front, from its first to its last, evenly; all if k is larger."""
    return np.unique(np.round(np.linspace(0, n - 1, min(k, n))).astype(int)).tolist() if n else []
