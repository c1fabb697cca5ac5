"""Matplotlib figures of a comparison."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import moocore
import numpy as np
from matplotlib.figure import Figure

from ..views.drawing import COLORS, INK, apply_style, create_figure
from ..views.front import column_title, format_value, label_axes
from ..views.page import Point
from . import statistics

if TYPE_CHECKING:
    from .results import Comparison
    from .runs import Run


def algorithm_colors(comparison: Comparison) -> dict[str, str]:
    """Return a dict from algorithm to color; colors repeat after twelve algorithms."""
    names = list(comparison.plan.algorithms)
    return {name: COLORS[i % len(COLORS)] for i, name in enumerate(names)}


def plot_convergence(comparison: Comparison, problem: str) -> Figure:
    """Plot median and quartiles of the hypervolume over evaluations, one line per algorithm.

    If the true front is known, the missing share of its hypervolume is plotted on a logarithmic
    axis.

    Args:
        comparison: the comparison.
        problem: label of the problem.
    """
    figure, axes = create_figure()
    known, colors = comparison.plan.tasks[problem].tabular, algorithm_colors(comparison)
    for name, runs in comparison.successful_runs(problem).items():
        counts = np.unique(np.concatenate([run.evaluations for run in runs]))
        counts = counts[
            counts >= max(run.evaluations[0] for run in runs)
        ]  # all runs have a value there
        curves = np.array([_hypervolumes_after(run, counts) for run in runs])
        if known:
            curves = np.maximum(1 - curves, 1e-6)
        low, median, high = np.percentile(curves, [25, 50, 75], axis=0)
        axes.plot(counts, median, color=colors[name], label=name)
        axes.fill_between(counts, low, high, color=colors[name], alpha=0.13, lw=0)
    axes.set(
        xlabel="evaluations",
        ylabel="missing share of the true hypervolume" if known else "hypervolume",
        yscale="log" if known else "linear",
    )
    apply_style(axes)
    return figure


def _hypervolumes_after(run: Run, counts: np.ndarray) -> np.ndarray:
    """Return the hypervolumes of a run after given numbers of evaluations.

    Args:
        run: the run.
        counts: (n,) numbers of evaluations.

    Returns:
        (n,) hypervolumes after the last generation completed by then; NaN before the first one.
    """
    indices = np.searchsorted(run.evaluations, counts, side="right") - 1
    return np.where(indices >= 0, run.hypervolume_curve[np.maximum(indices, 0)], np.nan)


def plot_attainment(comparison: Comparison, problem: str) -> tuple[Figure, list[Point]]:
    """Plot median attainment surfaces in the first two objectives (Fonseca and Fleming, 1996).

    Args:
        comparison: the comparison.
        problem: label of the problem.

    Returns:
        The figure, and a point with a tooltip per member of the true front, if it is known.
    """
    figure, axes = create_figure()
    searched: Any = comparison.problems[problem]
    points = []
    first, second = searched.objectives[:2]
    for name, runs in comparison.successful_runs(problem).items():
        surface = median_attainment([run.compared_front[:, :2] for run in runs])
        color = algorithm_colors(comparison)[name]
        axes.step(surface[:, 1], surface[:, 0], where="post", color=color, label=name)
    if comparison.plan.tasks[problem].tabular:
        X, F = searched.true_front()
        axes.scatter(F[:, 1], F[:, 0], s=9, color=INK, zorder=3, label="true front")
        for x, f in zip(X, F, strict=True):
            columns = map(searched.column, searched.objectives)
            tip = [
                f"{column_title(c)}: {format_value(c, v)}" for c, v in zip(columns, f, strict=True)
            ]
            points.append(Point(axes, f[1], f[0], "\n".join([*tip, str(searched.decode(x))])))
    label_axes(axes, searched.column(second), searched.column(first))
    low, high = axes.dataLim.intervalx
    if low > 0 and high > 50 * low:
        axes.set_xscale("log")  # resets the tick formatter that label_axes sets
        label_axes(axes, searched.column(second), searched.column(first))
    apply_style(axes)
    return figure, points


def median_attainment(fronts: Sequence[np.ndarray]) -> np.ndarray:
    """Return the median attainment surface of several runs.

    Args:
        fronts: one (k, 2) front per run.

    Returns:
        (n, 2) points attained by at least half of the runs, by ascending second objective.
    """
    sets = np.concatenate([np.full(len(F), i + 1) for i, F in enumerate(fronts)])
    surface: np.ndarray = moocore.eaf(np.concatenate(fronts), sets, percentiles=[50])[:, :2]
    return surface[np.argsort(surface[:, 1])]


def plot_critical_difference(values: Mapping[str, np.ndarray], colors: Mapping[str, str]) -> Figure:
    """Plot mean ranks on a line; bars connect algorithms that do not differ significantly.

    The test is Nemenyi's at level 0.05 (Demšar, JMLR 2006).

    Args:
        values: algorithm -> (n,) paired values, higher is better; at least two algorithms.
        colors: algorithm -> color.
    """
    names, table = list(values), np.column_stack(list(values.values()))
    mean = statistics.ranks(table).mean(axis=0)
    critical = statistics.critical_difference(len(names), len(table))
    order = np.argsort(mean, kind="stable")
    groups = cliques(mean[order], critical)
    figure, axes = create_figure((5.2, 1.2 + 0.24 * (len(names) + len(groups))))
    for height, i in enumerate(order[::-1]):
        axes.plot([mean[i]] * 2, [height, len(names)], color=INK, lw=0.6, alpha=0.4)
        axes.scatter(mean[i], height, s=36, color=colors[names[i]], zorder=3)
        left = mean[i] > (1 + len(names)) / 2  # keeps all names within the figure
        axes.annotate(
            f"{names[i]} {mean[i]:.2f}",
            (mean[i], height),
            (-7 if left else 7, 0),
            textcoords="offset points",
            color=INK,
            va="center",
            ha="right" if left else "left",
        )
    level = len(names) + 0.35
    for first, last in groups:
        axes.plot([mean[order[first]], mean[order[last]]], [level] * 2, color=INK, lw=4)
        level += 0.5
    axes.set(
        xlim=(0.8, len(names) + 0.2),
        ylim=(-0.7, level + 0.2),
        xlabel=f"mean rank, 1 is best; critical difference {critical:.2f}",
        yticks=[],
    )
    axes.spines[["left", "right", "top"]].set_visible(False)
    return figure


def cliques(mean: np.ndarray, critical: float) -> list[tuple[int, int]]:
    """Find maximal groups of algorithms whose mean ranks do not differ significantly.

    Args:
        mean: (k,) ascending mean ranks.
        critical: critical difference.

    Returns:
        (first, last) indices of each group; no group is part of another group.
    """
    groups: list[tuple[int, int]] = []
    for first in range(len(mean)):
        last = int(np.flatnonzero(mean - mean[first] < critical)[-1])
        if last > first and (not groups or last > groups[-1][1]):
            groups.append((first, last))
    return groups


def plot_retraining(comparison: Comparison, problem: str) -> Figure:
    """Plot the first objective of every pick after training from scratch over its search value.

    Args:
        comparison: the comparison.
        problem: label of the problem.
    """
    figure, axes = create_figure()
    searched_problem = comparison.problems[problem]
    limits: list[float] = []
    for name, runs in comparison.successful_runs(problem).items():
        searched = np.concatenate([run.picks[:, 0] for run in runs])
        trained = np.concatenate([run.retrained[:, 0] for run in runs])
        limits += [*searched, *trained]
        axes.scatter(searched, trained, s=18, color=algorithm_colors(comparison)[name], label=name)
    low, high = min(limits), max(limits)
    axes.plot([low, high], [low, high], color=INK, lw=0.8, ls=":")
    column = searched_problem.column(searched_problem.objectives[0])
    label_axes(axes, column, column)
    axes.set_xlabel(f"{axes.get_xlabel()} in the search")
    axes.set_ylabel(f"{axes.get_ylabel()} after training from scratch")
    apply_style(axes)
    return figure
