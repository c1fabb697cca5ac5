"""Fronts as files, pictures and tables."""

import csv
import json
import os

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter
from rich.table import Table

from .progress import short_number

FRACTIONAL = ("%", "ms")  # units of numbers with decimals; the others are counts
INK, ACCENT, QUIET = "#22313f", "#c8553d", "#9db4c0"


def write_front_csv(problem, rows, path):
    """The front as CSV: every column, the integers, the architecture as JSON and in words."""
    names = list(problem.objectives)
    names += [c.name for c in problem.columns if c.name not in names]
    part = path.with_suffix(".part")
    with open(part, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow([*names, "x", "architecture", "in_words"])
        for row in rows:
            writer.writerow(
                [
                    *(_exact(row.columns.get(name)) for name in names),
                    " ".join(map(str, row.x.tolist())),
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


def draw_front(problem, population, rows, path):
    """A picture of the front and of the rest of the population in the first two objectives."""
    first, second = problem.objectives[:2]
    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes = figure.subplots()
    F = population.get("F")
    axes.scatter(F[:, 1], F[:, 0], s=28, color=QUIET, label="population", zorder=2)
    if rows:
        points = np.array([[row.objectives[second], row.objectives[first]] for row in rows])
        points = points[np.argsort(points[:, 0])]
        if problem.n_obj == 2:
            axes.step(*points.T, where="post", color=ACCENT, lw=1, alpha=0.6, zorder=2)
        axes.scatter(*points.T, s=44, color=ACCENT, label="Pareto front", zorder=3)
    for axis, name in ((axes.xaxis, second), (axes.yaxis, first)):
        axis.set_label_text(_title(problem.column(name)), color=INK)
        axis.set_major_formatter(FuncFormatter(lambda value, _: short_number(value)))
    axes.set_ylim(bottom=0)
    axes.set_title(f"{len(rows)} of {len(F)} candidates on the front", color=INK, loc="left")
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    part = path.with_suffix(".part")
    figure.savefig(part, dpi=130, format="png", metadata={"Software": None})
    os.replace(part, path)


def front_table(problem, rows):
    """The front as a table of rich: objectives and counts, and the architecture in words."""
    table = Table(title=f"Pareto front: {len(rows)} networks", title_justify="left", expand=False)
    names = [c.name for c in problem.columns if c.direction == "min"]
    for name in names:
        table.add_column(_title(problem.column(name)), justify="right")
    table.add_column(f"architecture: {problem.in_words}", overflow="fold")
    for row in rows:
        numbers = [_shown(problem.column(name), row.columns[name]) for name in names]
        table.add_row(*numbers, str(row.architecture))
    return table


def _title(column):
    return f"{column.name} ({column.unit})" if column.unit in FRACTIONAL else column.name


def _shown(column, value):
    return f"{value:.2f}" if column.unit in FRACTIONAL else f"{int(value):,}"
