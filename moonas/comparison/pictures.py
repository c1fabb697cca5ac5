"""What a comparison says, as pictures: figures of matplotlib."""

import math

import moocore
import numpy as np

from ..views.drawing import COLORS, INK, finish, one_plot
from ..views.front import column_title, format_value, label_axes
from ..views.page import Point
from . import statistics


def color_of(comparison):
    """Algorithm -> colour; after twelve they come again."""
    names = list(comparison.plan.algorithms)
    return {name: COLORS[i % len(COLORS)] for i, name in enumerate(names)}


def convergence(comparison, problem):
    """Median and quartiles of the hypervolume over evaluations, a line an algorithm.

    Where the true front is known, what is drawn is the gap to it, on a logarithmic axis.
    """
    figure, axes = one_plot()
    true, colors = comparison.true_hypervolume(problem), color_of(comparison)
    for name, runs in comparison.succeeded(problem).items():
        every = np.unique(np.concatenate([run.evaluations for run in runs]))
        every = every[every >= max(run.evaluations[0] for run in runs)]  # all have begun
        curves = np.array([_stairs(run, every) for run in runs])
        if not math.isnan(true):
            curves = np.maximum(true - curves, 1e-6)
        low, middle, high = np.percentile(curves, [25, 50, 75], axis=0)
        axes.plot(every, middle, color=colors[name], label=name)
        axes.fill_between(every, low, high, color=colors[name], alpha=0.13, lw=0)
    known = not math.isnan(true)
    axes.set(
        xlabel="evaluations",
        ylabel="hypervolume missing" if known else "hypervolume",
        yscale="log" if known else "linear",
    )
    finish(axes)
    return figure


def _stairs(run, every):
    """Hypervolumes of a run at some numbers of evaluations; NaN before its first generation."""
    places = np.searchsorted(run.evaluations, every, side="right") - 1
    return np.where(places >= 0, run.series[np.maximum(places, 0)], np.nan)


def attainment(comparison, problem):
    """What half of the runs have attained (median attainment surfaces), of two objectives.

    After Fonseca and Fleming (1996), by moocore.

    Returns:
        The figure, and a list of :class:`~moonas.views.page.Point`, those of the true front.
    """
    figure, axes = one_plot()
    made, points = comparison.problems[problem], []
    first, second = made.objectives[:2]
    for name, runs in comparison.succeeded(problem).items():
        surface = median_attainment([run.points[:, :2] for run in runs])
        color = color_of(comparison)[name]
        axes.step(surface[:, 1], surface[:, 0], where="post", color=color, label=name)
    if comparison.plan.tasks[problem].table:
        X, F = made.true_front()
        axes.scatter(F[:, 1], F[:, 0], s=9, color=INK, zorder=3, label="true front")
        for x, f in zip(X, F, strict=True):
            columns = map(made.column, made.objectives)
            tip = [
                f"{column_title(c)}: {format_value(c, v)}" for c, v in zip(columns, f, strict=True)
            ]
            points.append(Point(axes, f[1], f[0], "\n".join([*tip, str(made.decode(x))])))
    label_axes(axes, made.column(second), made.column(first))
    low, high = axes.dataLim.intervalx
    if low > 0 and high > 50 * low:
        axes.set_xscale("log")
        label_axes(axes, made.column(second), made.column(first))  # a scale brings its own numbers
    finish(axes)
    return figure, points


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


def critical_difference(values, colors):
    """Mean ranks on a line; a bar joins algorithms that do not differ (Nemenyi, level 0.05).

    Args:
        values: algorithm -> (n,), paired, higher is better; two algorithms at least.
        colors: algorithm -> colour.
    """
    names, table = list(values), np.column_stack(list(values.values()))
    mean = statistics.ranks(table).mean(axis=0)
    critical = statistics.critical_difference(len(names), len(table))
    order = np.argsort(mean, kind="stable")
    groups = cliques(mean[order], critical)
    figure, axes = one_plot((5.2, 1.2 + 0.24 * (len(names) + len(groups))))
    for height, i in enumerate(order[::-1]):
        axes.plot([mean[i]] * 2, [height, len(names)], color=INK, lw=0.6, alpha=0.4)
        axes.scatter(mean[i], height, s=36, color=colors[names[i]], zorder=3)
        left = mean[i] > (1 + len(names)) / 2  # so that no name leaves the picture
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


def retraining(comparison, problem):
    """First objective of every pick after its training from scratch, over that in the search."""
    figure, axes = one_plot()
    made, limits = comparison.problems[problem], []
    for name, runs in comparison.succeeded(problem).items():
        searched = np.concatenate([run.picks[:, 0] for run in runs])
        trained = np.concatenate([run.retrained[:, 0] for run in runs])
        limits += [*searched, *trained]
        axes.scatter(searched, trained, s=18, color=color_of(comparison)[name], label=name)
    low, high = min(limits), max(limits)
    axes.plot([low, high], [low, high], color=INK, lw=0.8, ls=":")
    column = made.column(made.objectives[0])
    label_axes(axes, column, column)
    axes.set_xlabel(f"{axes.get_xlabel()}, in the search")
    axes.set_ylabel(f"{axes.get_ylabel()}, from scratch")
    finish(axes)
    return figure
