"""The file front.csv of a run folder: a search writes its front to it, and later stages read it."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..files import write_atomically
from ..metrics.rank_correlation import correlation_interval, rank_correlation
from ..pareto import VIOLATION, nondominated, spread, tradeoffs

if TYPE_CHECKING:
    from ..pareto import Row
    from ..problem import ArchitectureProblem

FRONT_FILE = "front.csv"
PICK_RULES = (  # rules that select rows of a front
    "knee",
    "best-error",
    "smallest",
    "spread:K",
    "tradeoff:K",
    "under:COLUMN=NUMBER",
)
DESCRIPTION_COLUMN = "description"
OLD_DESCRIPTION_COLUMN = "in_words"  # name in files of version 0.1 and earlier
METADATA_COLUMNS = ("picked", "x", "architecture", DESCRIPTION_COLUMN)
TRAINED_PREFIX = "trained_"  # prefix of columns with results of training from scratch
LEAST_TRAINED = 5  # rows; the rank correlation of fewer says nothing


@dataclass(frozen=True)
class FrontRow:
    """One row of front.csv.

    Args:
        columns: name -> value of each column of the evaluator; NaN if the CSV cell is empty.
        picked: whether the search selected this row.
        x: genes as text; see :meth:`moonas.spaces.genes.Genes.text`.
        architecture: architecture as the JSON value that ``problem.architecture_to_json`` returns.
        description: architecture as text.
        trained: name -> value of each result of training from scratch; {} before training.
    """

    columns: dict[str, float]
    picked: bool
    x: str
    architecture: Any
    description: str
    trained: dict[str, float] = field(default_factory=dict)


def write_front_csv(
    problem: ArchitectureProblem, rows: Sequence[Row], path: Path, picked: int | None = None
) -> None:
    """Write a front as CSV: all columns, the genes, and the architecture as JSON and as text.

    The column ``picked`` is 1 in the selected row and 0 in all other rows. If the file exists, its
    results of training from scratch are copied to rows with the same genes.

    Args:
        problem: problem whose columns and genes are written.
        rows: rows of the front.
        path: path of the file.
        picked: index of the selected row, or None.
    """
    names = list(problem.objectives)
    names += [c.name for c in problem.columns if c.name not in names]
    names += [VIOLATION] if problem.limits else []
    previous = read_front_csv(path.parent) if path.exists() else []
    trained = {row.x: row.trained for row in previous}
    file_rows = [
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
    _write_csv(path, names, file_rows)


def _write_csv(path: Path, names: Sequence[str], rows: Sequence[FrontRow]) -> None:
    trained_names = list(dict.fromkeys(name for row in rows for name in row.trained))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(
        [*names, *METADATA_COLUMNS, *(f"{TRAINED_PREFIX}{name}" for name in trained_names)]
    )
    for row in rows:
        cells = [_format_number(row.columns[name]) for name in names]
        cells += [int(row.picked), row.x, json.dumps(row.architecture), row.description]
        writer.writerow(
            [*cells, *(_format_number(row.trained.get(name)) for name in trained_names)]
        )
    write_atomically(path, text.getvalue().encode())


def add_results(folder: str | Path, number: int, result: Mapping[str, float]) -> None:
    """Add results of training from scratch to a row of the front in a run folder.

    Args:
        folder: run folder of the search.
        number: index of the row, starting at 0.
        result: name -> value; each value is written to the column ``trained_NAME``.
    """
    rows = read_front_csv(folder)
    rows[number] = replace(rows[number], trained={k: float(v) for k, v in result.items()})
    _write_csv(Path(folder) / FRONT_FILE, list(rows[0].columns), rows)


def correlation_with_training(rows: Sequence[FrontRow], name: str) -> str:
    """Describe the rank correlation of a column between the search and training from scratch.

    Args:
        rows: rows of a front; rows without results of training are ignored.
        name: name of the column.

    Returns:
        A sentence with Spearman's rank correlation and its interval of 95 %, which is left out at 1
        and -1, where it has no width; empty if fewer than five rows were trained, or if the
        correlation is undefined.
    """
    trained = [row for row in rows if name in row.trained and name in row.columns]
    if len(trained) < LEAST_TRAINED:
        return ""
    correlation = rank_correlation(
        [row.columns[name] for row in trained], [row.trained[name] for row in trained]
    )
    if correlation is None:
        return ""
    low, high = correlation_interval(correlation, len(trained))
    interval = f" (95 % interval {low:.2f} to {high:.2f})" if low < high else ""
    return (
        f"{len(trained)} rows of the front have been trained; the rank correlation between their "
        f"{name} in the search and on the test set is {correlation:.2f}{interval}."
    )


def _format_number(value: float | None) -> float | int | str:
    """Return an integer above 1000 as int, another number as float, and NaN or None as ""."""
    if value is None or np.isnan(value):
        return ""
    return int(value) if float(value).is_integer() and value > 1000 else float(value)


def read_front_csv(folder: str | Path) -> list[FrontRow]:
    """Read the front in a run folder; rows have the order of the file.

    Raises:
        ValueError: the file is missing, because the search has not ended, or the file is damaged.
    """
    path = Path(folder) / FRONT_FILE
    if not path.exists():
        raise ValueError(
            f"{folder} contains no {FRONT_FILE}: the search has not ended, or this is not the run "
            "folder of a search."
        )
    try:
        with open(path, newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            header = [
                DESCRIPTION_COLUMN if name == OLD_DESCRIPTION_COLUMN else name
                for name in reader.fieldnames or ()
            ]
            reader.fieldnames = header
            if not set(METADATA_COLUMNS) <= set(header):
                raise KeyError(f"expected the columns {', '.join(METADATA_COLUMNS)}")
            return [_parse_row(line) for line in reader]
    except (ValueError, KeyError, TypeError, csv.Error) as error:
        raise ValueError(f"{path} is damaged: {error}") from None


def _parse_row(cells: Mapping[str, str]) -> FrontRow:
    numbers = {k: float(v) if v else np.nan for k, v in cells.items() if k not in METADATA_COLUMNS}
    trained = {
        k[len(TRAINED_PREFIX) :]: v for k, v in numbers.items() if k.startswith(TRAINED_PREFIX)
    }
    return FrontRow(
        {k: v for k, v in numbers.items() if not k.startswith(TRAINED_PREFIX)},
        cells["picked"] == "1",
        cells["x"],
        json.loads(cells["architecture"]),
        cells[DESCRIPTION_COLUMN],
        {k: v for k, v in trained.items() if np.isfinite(v)},
    )


def find_row(rows: Sequence[FrontRow], pick: str, *, error: str, size: str) -> int:
    """Return the index of the row of a front that ``pick`` selects; see :func:`find_rows`.

    Raises:
        ValueError: ``pick`` matches no row or several rows.
    """
    found = find_rows(rows, pick, error=error, size=size)
    if len(found) > 1:
        raise ValueError(f"pick={pick!r} is invalid: it selects {len(found)} rows, expected one.")
    return found[0]


def find_rows(rows: Sequence[FrontRow], pick: str, *, error: str, size: str) -> list[int]:
    """Return the indices of the rows of a front that ``pick`` selects, at least one.

    - "knee": the row that the search selected;
    - "best-error", "smallest": the row with the lowest value in the column ``error`` or ``size``;
    - "spread:K": at most K rows that are spread over the sizes, see :func:`moonas.pareto.spread`;
    - "tradeoff:K": the K rows with the best trade-offs, see :func:`moonas.pareto.tradeoffs`;
    - "under:COLUMN=NUMBER": the row with the lowest ``error`` whose value in the column is at most
      the number;
    - the number of a row, starting at 0.

    Args:
        rows: rows of the front.
        pick: one of these rules.
        error: name of the column with the error.
        size: name of the column with the size.

    Raises:
        ValueError: no row matches ``pick``.
    """
    if pick.isdecimal() and int(pick) < len(rows):
        return [int(pick)]
    rule, _, argument = pick.partition(":")
    picked = [i for i, row in enumerate(rows) if row.picked]
    if pick == "knee" and picked:
        return picked[:1]
    if rows and pick in ("best-error", "smallest"):
        name = error if pick == "best-error" else size
        return [min(range(len(rows)), key=lambda i: rows[i].columns[name])]
    if rows and rule in ("spread", "tradeoff") and argument.isdecimal() and int(argument):
        F = np.array([[row.columns[error], row.columns[size]] for row in rows])
        complete = np.flatnonzero(np.isfinite(F).all(axis=1))
        if rule == "tradeoff" and len(complete):
            complete = complete[nondominated(F[complete])]
        choose = spread if rule == "spread" else tradeoffs
        chosen = [int(complete[i]) for i in choose(F[complete], int(argument))]
        if chosen:
            return chosen
    if rows and rule == "under":
        return [_best_within(rows, pick, argument, error)]
    if not rows:
        raise ValueError(f"pick={pick!r} is invalid: the front has no rows.")
    raise ValueError(
        f"pick={pick!r} is invalid: expected {', '.join(PICK_RULES)}, or the number of a row of "
        f"the front, 0 to {len(rows) - 1}."
    )


def _best_within(rows: Sequence[FrontRow], pick: str, argument: str, error: str) -> int:
    """Return the index of the row with the lowest error among rows below a bound."""
    name, equals, number = argument.partition("=")
    try:
        bound = float(number)
    except ValueError:
        bound = np.nan
    if not equals or np.isnan(bound) or name not in rows[0].columns:
        raise ValueError(
            f"pick={pick!r} is invalid: expected under:COLUMN=NUMBER with one of the columns "
            f"{list(rows[0].columns)}, such as under:params=50000."
        )
    within = [i for i, row in enumerate(rows) if row.columns[name] <= bound]
    if not within:
        lowest = min(row.columns[name] for row in rows)
        raise ValueError(
            f"pick={pick!r} is invalid: no row of the front has {name} of at most {bound:g}; the "
            f"lowest is {lowest:g}."
        )
    return min(within, key=lambda i: rows[i].columns[error])


def evenly_spaced_rows(n: int, k: int) -> list[int]:
    """Return the indices of ``k`` evenly spaced rows of ``n``, including the first and the last.

    If k is larger than n, the indices of all n rows are returned.
    """
    if n == 0:
        return []
    indices: list[int] = np.round(np.linspace(0, n - 1, min(k, n))).astype(int).tolist()
    return sorted(set(indices))
