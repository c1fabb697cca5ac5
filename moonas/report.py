"""Fronts as files, pictures and tables."""

import csv
import json
import os

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter
from rich.table import Table

from .files import save_figure
from .genotype import SHORT
from .progress import short_number

COUNTS = ("parameters", "multiply-adds")  # units of whole numbers; the others have decimals
INK, ACCENT, QUIET = "#22313f", "#c8553d", "#9db4c0"


def write_front_csv(problem, rows, path, picked=None):
    """The front as CSV: every column, the genes, the architecture as JSON and in words.

    The row with the index ``picked`` has a 1 in the column ``picked``, the others a 0.
    """
    names = list(problem.objectives)
    names += [c.name for c in problem.columns if c.name not in names]
    part = path.with_suffix(".part")
    with open(part, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow([*names, "picked", "x", "architecture", "in_words"])
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


def draw_cell(axes, edges, title):
    """A cell as a graph: its two inputs, its nodes, and the operations between them.

    Args:
        axes: of matplotlib.
        edges: (operation, state) pairs, two a node.
        title: above it.
    """
    n_nodes = len(edges) // 2
    place = {0: (0, 1.0), 1: (0, -1.0)}
    place |= {2 + i: (1.5 + 1.5 * i, 0.9 if i % 2 else -0.9) for i in range(n_nodes)}
    labels = {0: "0: c[k-2]", 1: "1: c[k-1]"} | {2 + i: str(2 + i) for i in range(n_nodes)}
    for index, (operation, state) in enumerate(edges):
        if operation == "none":
            continue
        start, end = np.array(place[state]), np.array(place[2 + index // 2])
        bend = 0.18 if index % 2 else -0.18
        arrow = dict(arrowstyle="-|>", color=QUIET, connectionstyle=f"arc3,rad={bend}")
        axes.annotate("", end, start, arrowprops=arrow | dict(shrinkA=16, shrinkB=14))
        side = np.array([end[1] - start[1], start[0] - end[0]])  # to the bend's side
        middle = start + 0.42 * (end - start) + bend * 0.5 * side
        name = SHORT.get(operation, operation)
        box = dict(boxstyle="round,pad=0.15", fc="white", ec="none", alpha=0.85)
        axes.text(*middle, name, color=ACCENT, ha="center", va="center", fontsize=9, bbox=box)
    for state, (x, y) in place.items():
        box = dict(boxstyle="round,pad=0.35", fc="white", ec=INK)
        axes.text(x, y, labels[state], ha="center", va="center", color=INK, fontsize=9, bbox=box)
    axes.set(xlim=(-0.6, 1.5 * n_nodes + 0.6), ylim=(-2.1, 2.1))
    axes.set_aspect("equal")  # so that labels lie on the bent arrows
    axes.set_title(title, color=INK, loc="left")
    axes.axis("off")


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
    return column.name if column.unit in COUNTS else f"{column.name} ({column.unit})"


def _shown(column, value):
    if column.unit in COUNTS:
        return f"{int(value):,}"
    return f"{value:.2f}" if column.unit in ("%", "ms") else f"{value:.3g}"
