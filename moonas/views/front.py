"""The front of a search as a figure and as a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from ..files import save_figure
from ..pareto import VIOLATION, Row, is_feasible, scored_columns
from ..run.numbers import plural, short_number
from .drawing import ACCENT, INK, QUIET, apply_style, create_figure
from .page import Point
from .tables import Table

if TYPE_CHECKING:
    from ..problem import ArchitectureProblem, Column
    from ..run.search import SearchResult

FILE_NAME = "front.png"


def save_front(problem: ArchitectureProblem, result: SearchResult, folder: Path) -> None:
    """Write front.png, the figure of the front of a search, into a folder.

    Args:
        problem: problem that was searched.
        result: result of the search.
        folder: existing folder.
    """
    columns = scored_columns(problem, result.result.algorithm)
    figure, _ = plot_front(problem, columns, result.rows, result.picked)
    save_figure(figure, folder / FILE_NAME, dpi=150)


def plot_front(
    problem: ArchitectureProblem,
    columns: Mapping[str, np.ndarray],
    rows: Sequence[Row],
    picked: int | None = None,
) -> tuple[Figure, list[Point]]:
    """Plot a front, its picked row and other candidates over two columns.

    Args:
        problem: problem whose ``plotted_columns`` name the columns of the y-axis and of the x-axis.
        columns: column name -> (n,) values of the population or, if scores do not change during a
            run, of all evaluated candidates.
        rows: rows of the front.
        picked: index of the picked row, or None.

    Returns:
        The figure, and a :class:`~moonas.views.page.Point` per row.
    """
    first, second = problem.plotted_columns
    figure, axes = create_figure()
    x, y = columns[second].astype(float), columns[first].astype(float)
    beyond = (problem.constraint_values(columns) > 0).any(axis=1)
    label = "population" if problem.nonstationary else "evaluated"
    axes.scatter(x[~beyond], y[~beyond], s=22, color=QUIET, label=label, zorder=2)
    if beyond.any():
        axes.scatter(
            x[beyond],
            y[beyond],
            s=18,
            facecolors="none",
            edgecolors=QUIET,
            linewidths=0.8,
            label="beyond the limits",
            zorder=2,
        )
    highest = y.max()
    positions = np.array([[row.columns[second], row.columns[first]] for row in rows])
    points = []
    if rows:
        x, y = positions.T
        if problem.n_obj == 2:
            order = np.argsort(x)
            axes.step(x[order], y[order], where="post", color=ACCENT, lw=1, alpha=0.6, zorder=2)
        label = "Pareto front" if is_feasible(rows) else "closest to the limits"
        axes.scatter(x, y, s=34, color=ACCENT, label=label, zorder=3)
        points = [Point(axes, x[i], y[i], tooltip(problem, row)) for i, row in enumerate(rows)]
        if picked is not None:
            axes.scatter(
                x[picked],
                y[picked],
                s=130,
                facecolors="none",
                edgecolors=INK,
                linewidths=1.4,
                label="picked",
                zorder=4,
            )
    label_axes(axes, problem.column(second), problem.column(first))
    axes.set_ylim(0, 1.08 * highest or 1)
    apply_style(axes)
    return figure, points


def tooltip(problem: ArchitectureProblem, row: Row) -> str:
    """Return a tooltip: the finite columns of a row, one per line, and its architecture."""
    columns = (c for c in problem.columns if np.isfinite(row.columns.get(c.name, np.nan)))
    lines = [f"{column_title(c)}: {format_value(c, row.columns[c.name])}" for c in columns]
    return "\n".join([*lines, str(row.architecture)])


def label_axes(axes: Axes, x: Column, y: Column) -> None:
    """Label axes with the titles of two columns, and abbreviate their tick labels, as in 12k."""
    for axis, column in ((axes.xaxis, x), (axes.yaxis, y)):
        axis.set_label_text(column_title(column), color=INK)
        axis.set_major_formatter(FuncFormatter(lambda value, _: short_number(value)))


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
    titles = ["row", *map(column_title, columns)]
    texts = [
        [str(i), *(format_value(c, row.columns.get(c.name, np.nan)) for c in columns)]
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
    """Return the name of a column, with its unit unless the column is a size."""
    return column.name if column.is_size else f"{column.name} ({column.unit})"


def format_value(column: Column, value: float) -> str:
    """Format a value of a column with a number of digits that suits its unit; "-" for NaN."""
    if np.isnan(value):
        return "-"
    if column.is_size:
        return f"{int(value):,}"
    return f"{value:.2f}" if column.unit in ("%", "ms") else f"{value:.3g}"
