"""The front of a search as a picture and as a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from ..files import save_figure
from ..pareto import Row
from ..run.numbers import short_number
from .drawing import ACCENT, INK, QUIET, finish, one_plot
from .page import Point
from .tables import Table

if TYPE_CHECKING:
    from ..problem import ArchitectureProblem, Column
    from ..run.search import SearchResult

NAME = "front.png"


def save_front(problem: ArchitectureProblem, result: SearchResult, folder: Path) -> None:
    """Write front.png, the picture of a search's front, into a folder."""
    population = {
        name: result.result.pop.get(name).astype(float) for name in problem.plotted_columns
    }
    figure, _ = front_picture(problem, population, result.rows, result.picked)
    save_figure(figure, folder / NAME, dpi=150)


def front_picture(
    problem: ArchitectureProblem,
    population: Mapping[str, np.ndarray],
    rows: Sequence[Row],
    picked: int | None = None,
) -> tuple[Figure, list[Point]]:
    """Plot a front, its picked row and the rest of the population in two columns.

    Args:
        problem: names the columns.
        population: column -> (n,) floats.
        rows: of the front.
        picked: index of a row, or None.

    Returns:
        The figure, and a :class:`~moonas.views.page.Point` for each row.
    """
    first, second = problem.plotted_columns
    figure, axes = one_plot()
    label = "population"
    axes.scatter(population[second], population[first], s=22, color=QUIET, label=label, zorder=2)
    places = np.array([[row.columns[second], row.columns[first]] for row in rows])
    points = []
    if rows:
        if problem.n_obj == 2:
            line = places[np.argsort(places[:, 0])]
            axes.step(*line.T, where="post", color=ACCENT, lw=1, alpha=0.6, zorder=2)
        axes.scatter(*places.T, s=34, color=ACCENT, label="Pareto front", zorder=3)
        points = [
            Point(axes, *place, tooltip(problem, row))
            for place, row in zip(places, rows, strict=True)
        ]
        if picked is not None:
            ring = dict(s=130, facecolors="none", edgecolors=INK, linewidths=1.4)
            axes.scatter(*places[picked], label="picked", zorder=4, **ring)
    label_axes(axes, problem.column(second), problem.column(first))
    axes.set_ylim(0, 1.08 * population[first].max() or 1)
    finish(axes)
    return figure, points


def tooltip(problem: ArchitectureProblem, row: Row) -> str:
    """Every column of a row that has a value, one per line, and its architecture."""
    columns = (c for c in problem.columns if np.isfinite(row.columns.get(c.name, np.nan)))
    lines = [f"{column_title(c)}: {format_value(c, row.columns[c.name])}" for c in columns]
    return "\n".join([*lines, str(row.architecture)])


def label_axes(axes: Axes, x: Column, y: Column) -> None:
    """Label axes with columns of a problem, and format their numbers briefly."""
    for axis, column in ((axes.xaxis, x), (axes.yaxis, y)):
        axis.set_label_text(column_title(column), color=INK)
        axis.set_major_formatter(FuncFormatter(lambda value, _: short_number(value)))


def table_columns(problem: ArchitectureProblem) -> list[Column]:
    """The columns in tables of a front: the objectives, and what the problem lists besides."""
    chosen = (c for c in problem.columns if c.in_table or c.name in problem.objectives)
    return [column for column in chosen if column.direction == "min"]


def front_table(
    problem: ArchitectureProblem,
    rows: Sequence[Row],
    picked: int | None = None,
    *,
    numbered: bool = False,
) -> Table:
    """A front as a table: objectives, sizes, and architectures as text.

    Args:
        problem: names the columns.
        rows: of the front.
        picked: index of the row to mark, or None.
        numbered: begin each row with its number, for pages.
    """
    columns = table_columns(problem)
    titles = [*map(column_title, columns)]
    texts = [
        [*(format_value(c, row.columns[c.name]) for c in columns), str(row.architecture)]
        for row in rows
    ]
    if numbered:
        titles = ["row", *titles, problem.architecture_title]
        texts = [[str(i), *text] for i, text in enumerate(texts)]
    else:
        titles.append(f"architecture: {problem.architecture_title}")
    return Table(
        titles,
        texts,
        marked=() if picked is None else (picked,),
        alignment="r" * (len(titles) - 1) + "l",
        title=f"Pareto front: {len(rows)} network{'s' * (len(rows) != 1)}",
        caption="" if picked is None else f"* picked: {problem.pick_description}",
    )


def column_title(column: Column) -> str:
    """The name of a column, with its unit unless that is the same as the name."""
    return column.name if column.is_size else f"{column.name} ({column.unit})"


def format_value(column: Column, value: float) -> str:
    """A value of a column as text, with the digits that suit its unit."""
    if column.is_size:
        return f"{int(value):,}"
    return f"{value:.2f}" if column.unit in ("%", "ms") else f"{value:.3g}"
