"""The front of a search as a figure and as a table."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure

from ..files import save_figure
from ..pareto import VIOLATION, Row, is_feasible
from ..plot.fronts import MOST_PLANE_OBJECTIVES, axis_title, front
from ..plot.style import create_figure
from ..run.journal import read_run
from ..run.numbers import plural
from .page import Point
from .scores import ScoredCandidates, last_scores, read_scores
from .tables import Table

if TYPE_CHECKING:
    from ..problem import ArchitectureProblem, Column
    from ..run.search import SearchResult

FILE_NAME = "front.png"
MOST_MORE = 3  # additional digits of a column


def save_front(
    problem: ArchitectureProblem,
    result: SearchResult,
    folder: Path,
    records: Sequence[Mapping[str, Any]] | None = None,
) -> None:
    """Write front.png, the figure of the front of a search, into a folder.

    Args:
        problem: problem that was searched.
        result: result of the search.
        folder: run folder of the search.
        records: records of the run's journal; by default, they are read from the folder.
    """
    records = read_run(folder)[1] if records is None else records
    figure, _ = plot_front(
        problem, last_scores(problem, read_scores(problem, records)), result.rows, result.picked
    )
    save_figure(figure, folder / FILE_NAME)


def plot_front(
    problem: ArchitectureProblem,
    evaluated: ScoredCandidates | None,
    rows: Sequence[Row],
    picked: int | None = None,
) -> tuple[Figure, list[Point]]:
    """Plot a front, its picked row and other candidates; see :func:`moonas.plot.front`.

    Published networks that the search started with are named.

    Args:
        problem: problem that was searched.
        evaluated: what :func:`last_scores` returned.
        rows: rows of the front.
        picked: index of the picked row, or None.

    Returns:
        The figure, and a :class:`~moonas.views.page.Point` per row; parallel coordinates have none.
    """
    size = (6.4, 4.0) if problem.n_obj > 2 else None
    figure, axes = create_figure(size)
    marks = {} if evaluated is None else _published(problem, evaluated)
    columns = None if evaluated is None else evaluated.columns
    front(axes, problem, rows, evaluated=columns, picked=picked, marks=marks)
    if problem.n_obj > MOST_PLANE_OBJECTIVES:  # lines, which cross and have no points
        return figure, []
    first, second = problem.plotted_columns
    at = [(float(row.columns[second]), float(row.columns[first])) for row in rows]
    tips = tooltips(problem, rows)
    return figure, [Point(axes, *p, tip) for p, tip in zip(at, tips, strict=True)]


def _published(
    problem: ArchitectureProblem, evaluated: ScoredCandidates
) -> dict[str, dict[str, float]]:
    """Return the columns of the published networks that the search started with, by name."""
    names = tuple(problem.settings.start)
    if not names:
        return {}
    index = {x.tobytes(): i for i, x in enumerate(evaluated.X.astype(problem.genes.dtype))}
    found = {}
    for published in problem.zoo():
        row = np.asarray(problem.encode(published.architecture)).astype(problem.genes.dtype)
        i = index.get(row.tobytes())
        if published.name in names and i is not None:
            found[published.name] = {k: float(v[i]) for k, v in evaluated.columns.items()}
    return found


def tooltips(problem: ArchitectureProblem, rows: Sequence[Row]) -> list[str]:
    """Return a tooltip per row: its finite columns, one per line, and its architecture."""
    formats = column_formats(problem.columns, rows)

    def tooltip(row: Row) -> str:
        columns = (c for c in problem.columns if np.isfinite(row.columns.get(c.name, np.nan)))
        lines = [f"{column_title(c)}: {formats[c.name](row.columns[c.name])}" for c in columns]
        return "\n".join([*lines, str(row.architecture)])

    return [tooltip(row) for row in rows]


def table_columns(problem: ArchitectureProblem) -> list[Column]:
    """Return the columns of a front table: minimized columns that are objectives or in_table."""
    chosen = (c for c in problem.columns if c.in_table or c.name in problem.objectives)
    return [column for column in chosen if column.direction == "min"]


def front_table(
    problem: ArchitectureProblem,
    rows: Sequence[Row],
    picked: int | None = None,
    rule: str = "",
) -> Table:
    """Return a front as a table of row numbers, objectives, sizes and architectures.

    Row numbers are those that ``moonas train --pick`` accepts.

    Args:
        problem: problem whose columns are shown.
        rows: rows of the front.
        picked: index of the row to mark, or None.
        rule: description of the picked row, for the caption.
    """
    columns = table_columns(problem)
    formats = column_formats(columns, rows)
    titles = ["row", *map(column_title, columns)]
    texts = [
        [str(i), *(formats[c.name](row.columns.get(c.name, np.nan)) for c in columns)]
        for i, row in enumerate(rows)
    ]
    feasible = is_feasible(rows)
    if not feasible:
        titles.append("violation")
        texts = [
            [*text, f"{row.columns[VIOLATION]:.3g}"] for text, row in zip(texts, rows, strict=True)
        ]
    titles.append(f"architecture: {problem.architecture_title}")
    texts = [[*text, str(row.architecture)] for text, row in zip(texts, rows, strict=True)]
    return Table(
        titles,
        texts,
        marked=() if picked is None else (picked,),
        alignment="r" * (len(titles) - 1) + "l",
        title=front_title(rows),
        caption="" if picked is None else f"* picked: {rule}",
    )


def front_title(rows: Sequence[Row]) -> str:
    """Return the title of a front: the number of its networks, or that none is feasible."""
    n = plural(len(rows), "network")
    if is_feasible(rows):
        return f"Pareto front: {n}"
    return f"No network is within the limits. Closest to them: {n}"


def column_title(column: Column) -> str:
    """Return the title of a column: its name if it is a size, else the title of its axis."""
    return column.name if column.is_size else axis_title(column)


def name_in_text(column: Column) -> str:
    """Return what a sentence calls a column: the title of its axis, without the unit."""
    return axis_title(column).removesuffix(f" ({column.unit})")


def format_value(column: Column, value: float, more: int = 0) -> str:
    """Format a value of a column with a number of digits that suits its unit; "-" for NaN.

    Args:
        column: the column.
        value: the value.
        more: number of additional digits; a size always has all of its digits.
    """
    if np.isnan(value):
        return "-"
    if column.is_size:
        return f"{int(value):,}"
    if column.unit in ("%", "ms"):
        return f"{value:.{2 + more}f}"
    return f"{value:#.{3 + more}g}".rstrip(".") if more else f"{value:.3g}"


def column_formats(
    columns: Iterable[Column], rows: Sequence[Row]
) -> dict[str, Callable[[float], str]]:
    """Return name -> format of columns, in which different values of a front read differently.

    Values that differ by less than :data:`MOST_MORE` additional digits show may read alike.

    Args:
        columns: the columns.
        rows: rows of the front.
    """
    formats = dict[str, Callable[[float], str]]()
    for column in columns:
        values = {row.columns.get(column.name, np.nan) for row in rows}
        values = {float(f"{v:.7g}") for v in values if np.isfinite(v)}
        for more in range(MOST_MORE + 1):
            if len({format_value(column, v, more) for v in values}) == len(values):
                break
        formats[column.name] = partial(format_value, column, more=more)
    return formats
