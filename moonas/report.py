"""Fronts as files, pictures and tables."""

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter
from rich.table import Table

from .drawing import ACCENT, INK, QUIET
from .files import save_figure
from .progress import short_number


def draw_front(problem, population, rows, path, picked=None):
    """A picture of the front, its pick and the rest of the population in two columns."""
    first, second = problem.shown
    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes = figure.subplots()
    everyone = np.array([population.get(name).astype(float) for name in (second, first)])
    axes.scatter(*everyone, s=28, color=QUIET, label="population", zorder=2)
    if rows:
        points = np.array([[row.columns[second], row.columns[first]] for row in rows])
        chosen = None if picked is None else points[picked]
        points = points[np.argsort(points[:, 0])]
        if problem.n_obj == 2:
            axes.step(*points.T, where="post", color=ACCENT, lw=1, alpha=0.6, zorder=2)
        axes.scatter(*points.T, s=44, color=ACCENT, label="Pareto front", zorder=3)
        if chosen is not None:
            ring = dict(s=150, facecolors="none", edgecolors=INK, linewidths=1.4)
            axes.scatter(*chosen, label="picked", zorder=4, **ring)
    for axis, name in ((axes.xaxis, second), (axes.yaxis, first)):
        axis.set_label_text(_title(problem.column(name)), color=INK)
        axis.set_major_formatter(FuncFormatter(lambda value, _: short_number(value)))
    axes.set_ylim(0, 1.08 * everyone[1].max() or 1)
    axes.set_title(
        f"{len(rows)} of {len(population)} candidates on the front", color=INK, loc="left"
    )
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    save_figure(figure, path)


def front_table(problem, rows, picked=None):
    """The front as a table of rich: objectives and counts, and the architecture in words.

    A star marks the row with the index ``picked``.
    """
    table = Table(
        title=f"Pareto front: {len(rows)} network{'s' * (len(rows) != 1)}",
        title_justify="left",
        expand=False,
    )
    shown = (c for c in problem.columns if c.listed or c.name in problem.objectives)
    names = [c.name for c in shown if c.direction == "min"]
    if picked is not None:
        table.caption, table.caption_justify = f"* picked: {problem.picked_as}", "left"
        table.add_column("")
    for name in names:
        table.add_column(_title(problem.column(name)), justify="right")
    table.add_column(f"architecture: {problem.in_words}", overflow="fold")
    for index, row in enumerate(rows):
        mark = [] if picked is None else ["*" if index == picked else ""]
        numbers = [_shown(problem.column(name), row.columns[name]) for name in names]
        table.add_row(*mark, *numbers, str(row.architecture))
    return table


def _title(column):
    return column.name if column.is_size else f"{column.name} ({column.unit})"


def _shown(column, value):
    if column.is_size:
        return f"{int(value):,}"
    return f"{value:.2f}" if column.unit in ("%", "ms") else f"{value:.3g}"
