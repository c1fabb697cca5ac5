"""Fronts as pictures and as tables."""

import numpy as np
from matplotlib.ticker import FuncFormatter
from rich.table import Table

from ..run.progress import short_number
from .drawing import ACCENT, INK, QUIET, finish, one_plot
from .page import Point


def front_picture(problem, everyone, rows, picked=None):
    """A picture of the front, its pick and the rest of the population in two columns.

    Args:
        problem: names the columns.
        everyone: column -> (n,) floats, of the population.
        rows: of the front, each with ``columns`` and ``architecture``.
        picked: index of a row, or None.

    Returns:
        The figure, and a list of :class:`~moonas.views.page.Point`, one a row.
    """
    first, second = problem.shown
    figure, axes = one_plot()
    axes.scatter(everyone[second], everyone[first], s=22, color=QUIET, label="population", zorder=2)
    points = np.array([[row.columns[second], row.columns[first]] for row in rows])
    tips = []
    if rows:
        if problem.n_obj == 2:
            line = points[np.argsort(points[:, 0])]
            axes.step(*line.T, where="post", color=ACCENT, lw=1, alpha=0.6, zorder=2)
        axes.scatter(*points.T, s=34, color=ACCENT, label="Pareto front", zorder=3)
        tips = [Point(axes, *xy, tip(problem, row)) for xy, row in zip(points, rows, strict=True)]
        if picked is not None:
            ring = dict(s=130, facecolors="none", edgecolors=INK, linewidths=1.4)
            axes.scatter(*points[picked], label="picked", zorder=4, **ring)
    name_axes(axes, problem.column(second), problem.column(first))
    axes.set_ylim(0, 1.08 * everyone[first].max() or 1)
    finish(axes)
    return figure, tips


def tip(problem, row):
    """All of a row in words, a line a column."""
    columns = (c for c in problem.columns if np.isfinite(row.columns.get(c.name, np.nan)))
    lines = [f"{title_of(c)}: {shown(c, row.columns[c.name])}" for c in columns]
    return "\n".join([*lines, str(row.architecture)])


def name_axes(axes, x, y):
    """Name axes after columns of a problem, and write their numbers short."""
    for axis, column in ((axes.xaxis, x), (axes.yaxis, y)):
        axis.set_label_text(title_of(column), color=INK)
        axis.set_major_formatter(FuncFormatter(lambda value, _: short_number(value)))


def listed(problem):
    """The columns that tables of a front show: objectives, and what the problem lists."""
    shown = (c for c in problem.columns if c.listed or c.name in problem.objectives)
    return [column for column in shown if column.direction == "min"]


def front_table(problem, rows, picked=None):
    """The front as a table of rich: objectives and counts, and the architecture in words.

    A star marks the row with the index ``picked``.
    """
    table = Table(
        title=f"Pareto front: {len(rows)} network{'s' * (len(rows) != 1)}",
        title_justify="left",
        expand=False,
    )
    columns = listed(problem)
    if picked is not None:
        table.caption, table.caption_justify = f"* picked: {problem.picked_as}", "left"
        table.add_column("")
    for column in columns:
        table.add_column(title_of(column), justify="right")
    table.add_column(f"architecture: {problem.in_words}", overflow="fold")
    for index, row in enumerate(rows):
        mark = [] if picked is None else ["*" if index == picked else ""]
        numbers = [shown(column, row.columns[column.name]) for column in columns]
        table.add_row(*mark, *numbers, str(row.architecture))
    return table


def title_of(column):
    """Its name, with its unit where that says more."""
    return column.name if column.is_size else f"{column.name} ({column.unit})"


def shown(column, value):
    """A value of a column as text."""
    if column.is_size:
        return f"{int(value):,}"
    return f"{value:.2f}" if column.unit in ("%", "ms") else f"{value:.3g}"
