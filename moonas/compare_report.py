"""What a comparison says, as pictures and as tables in Markdown and LaTeX."""

import math

import moocore
import numpy as np
from matplotlib.figure import Figure

from . import statistics
from .files import save_figure, write_atomically
from .report import INK

COLORS = (
    *("#c8553d", "#22313f", "#6a994e", "#9db4c0", "#e09f3e"),
    *("#7d5ba6", "#3d8b8b", "#b56576", "#8a8d91", "#bc6c25"),
)
TITLES = {
    "algorithm": "algorithm",
    "median": "hypervolume",
    "quartiles": "quartiles",
    "mean_rank": "mean rank",
    "log10_gap": "log10 gap",
    "evaluations_to_99": "to 99 %",
    "reached_99": "reached",
    "failed": "failed",
}


def color_of(comparison):
    """Algorithm -> colour; after ten they come again."""
    names = list(comparison.plan.algorithms)
    return {name: COLORS[i % len(COLORS)] for i, name in enumerate(names)}


def draw_convergence(comparison, problem, path):
    """Median and quartiles of the hypervolume over evaluations, a line an algorithm.

    Where the true front is known, what is drawn is the gap to it, on a logarithmic axis.
    """
    figure = Figure(figsize=(8, 4.8), layout="constrained")
    axes, true = figure.subplots(), comparison.true_hypervolume(problem)
    for name, color in color_of(comparison).items():
        runs = [run for run in comparison.of(problem, name) if not run.failed]
        if not runs:
            continue
        every = np.unique(np.concatenate([run.evaluations for run in runs]))
        curves = np.array([_stairs(run, every) for run in runs])
        if not math.isnan(true):
            curves = np.maximum(true - curves, 1e-12)
        low, middle, high = np.nanpercentile(curves, [25, 50, 75], axis=0)
        axes.plot(every, middle, color=color, label=name)
        axes.fill_between(every, low, high, color=color, alpha=0.13, lw=0)
    known = not math.isnan(true)
    axes.set(
        xlabel="evaluations",
        ylabel="hypervolume missing to the true front" if known else "hypervolume",
        yscale="log" if known else "linear",
        title=f"{problem}: median and quartiles of {len(comparison.plan.seeds)} seeds",
    )
    _finish(figure, axes, path)


def _stairs(run, every):
    """Hypervolumes of a run at some numbers of evaluations; NaN before its first generation."""
    series = run.archive if len(run.archive) else run.population
    places = np.searchsorted(run.evaluations, every, side="right") - 1
    return np.where(places >= 0, series[np.maximum(places, 0)], np.nan)


def draw_attainment(comparison, problem, path):
    """What half of the runs have attained (median attainment surfaces), of two objectives.

    After Fonseca and Fleming (1996), by moocore.
    """
    figure = Figure(figsize=(8, 4.8), layout="constrained")
    axes, made = figure.subplots(), comparison.problems[problem]
    for name, color in color_of(comparison).items():
        runs = [run for run in comparison.of(problem, name) if not run.failed]
        if not runs:
            continue
        surface = median_attainment([run.best if len(run.best) else run.front for run in runs])
        axes.step(surface[:, 1], surface[:, 0], where="post", color=color, label=name)
    if not math.isnan(comparison.true_hypervolume(problem)):
        F = made.true_front()[1]
        axes.scatter(F[:, 1], F[:, 0], s=14, color=INK, zorder=3, label="true front")
    first, second = (made.column(name) for name in made.objectives[:2])
    axes.set(
        xlabel=f"{second.name} ({second.unit})",
        ylabel=f"{first.name} ({first.unit})",
        title=f"{problem}: attained by half of the runs",
    )
    _finish(figure, axes, path)


def median_attainment(fronts):
    """The points that half of some runs have attained, by ascending second objective.

    Args:
        fronts: list of (k, 2), one a run.

    Returns:
        (n, 2).
    """
    sets = np.concatenate([np.full(len(F), i + 1) for i, F in enumerate(fronts)])
    surface = moocore.eaf(np.concatenate(fronts), sets, percentiles=[50])[:, :2]
    return surface[np.argsort(surface[:, 1])]


def draw_critical_difference(values, path, title=""):
    """Mean ranks on a line; a bar joins algorithms that do not differ (Nemenyi, level 0.05).

    Args:
        values: algorithm -> (n,), paired, higher is better; two algorithms at least.
        path: of the PNG.
        title: above it.
    """
    names, table = list(values), np.column_stack(list(values.values()))
    mean = statistics.ranks(table).mean(axis=0)
    critical = statistics.critical_difference(len(names), len(table))
    order = np.argsort(mean, kind="stable")
    figure = Figure(figsize=(8, 1.3 + 0.34 * len(names)), layout="constrained")
    axes = figure.subplots()
    for height, i in enumerate(order[::-1]):
        axes.plot([mean[i]] * 2, [height, len(names)], color=INK, lw=0.8, alpha=0.5)
        axes.scatter(mean[i], height, s=36, color=COLORS[i % len(COLORS)], zorder=3)
        axes.text(mean[i], height - 0.12, f"  {names[i]} {mean[i]:.2f}", color=INK, va="center")
    level = len(names) + 0.25
    for first, last in cliques(mean[order], critical):
        axes.plot([mean[order[first]], mean[order[last]]], [level] * 2, color=INK, lw=4)
        level += 0.3
    axes.set(
        xlim=(0.8, len(names) + 0.9),
        ylim=(-0.7, level + 0.2),
        xlabel=f"mean rank, 1 is best; critical difference {critical:.2f}",
        title=title,
        yticks=[],
    )
    axes.spines[["left", "right", "top"]].set_visible(False)
    save_figure(figure, path)


def cliques(mean, critical):
    """Stretches of ascending mean ranks that span less than the critical difference.

    Returns:
        A list of (first, last) indices, none within another.
    """
    found = []
    for first in range(len(mean)):
        last = int(np.flatnonzero(mean - mean[first] < critical)[-1])
        if last > first and (not found or last > found[-1][1]):
            found.append((first, last))
    return found


def _finish(figure, axes, path):
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(frameon=False, fontsize=9)
    save_figure(figure, path)


def table_rows(comparison, problem):
    """The results of a problem as texts: titles, and a row an algorithm, by mean rank."""
    rows = [row for row in comparison.results() if row["problem"] == problem]
    rows.sort(key=lambda row: row.get("mean_rank", math.inf))
    known = not math.isnan(comparison.true_hypervolume(problem))
    names = [
        n for n in TITLES if known or n not in ("log10_gap", "evaluations_to_99", "reached_99")
    ]
    if not any(row["failed"] for row in rows):
        names.remove("failed")
    return [TITLES[name] for name in names], [[_text(row, name) for name in names] for row in rows]


def _text(row, name):
    if name == "quartiles":
        return f"{row['q1']:.4f}, {row['q3']:.4f}" if "q1" in row else "-"
    value = row.get(name)
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "-"
    if name == "reached_99":
        return f"{value} of {row['runs']}"
    if name == "evaluations_to_99":
        return "never" if math.isinf(value) else f"{value:.0f}"
    digits = {"median": 4, "mean_rank": 2, "log10_gap": 2}
    return f"{value:.{digits[name]}f}" if name in digits else str(value)


def markdown(titles, rows):
    """A table in Markdown."""
    lines = [titles, ["---", *["---:"] * (len(titles) - 1)], *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def latex(titles, rows):
    """A table in LaTeX, for booktabs."""

    def line(cells):
        escaped = [c.replace("%", r"\%").replace("_", r"\_").replace("&", r"\&") for c in cells]
        return f"{' & '.join(escaped)} \\\\\n"

    head = f"\\begin{{tabular}}{{l{'r' * (len(titles) - 1)}}}\n\\toprule\n{line(titles)}\\midrule\n"
    return f"{head}{''.join(map(line, rows))}\\bottomrule\n\\end{{tabular}}\n"


def write_tables(comparison, out):
    """Write results.md and results.tex, a table a problem."""
    texts = {"md": "", "tex": ""}
    for problem in comparison.plan.problems:
        table = table_rows(comparison, problem)
        texts["md"] += f"## {problem}\n\n{markdown(*table)}\n"
        texts["tex"] += f"% {problem}\n{latex(*table)}\n"
    for ending, text in texts.items():
        write_atomically(out / f"results.{ending}", text.encode())
