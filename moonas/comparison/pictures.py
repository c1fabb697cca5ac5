"""Matplotlib figures of a comparison."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import moocore
import numpy as np
from matplotlib.figure import Figure

from .. import plot
from ..plot.fronts import axis_title
from ..plot.style import create_figure
from ..views.front import column_title, format_value
from ..views.page import Point
from . import statistics
from .results import SIGNIFICANCE_LEVEL

if TYPE_CHECKING:
    from .results import Comparison
    from .runs import Run


def plot_convergence(comparison: Comparison, problem: str) -> Figure:
    """Plot median and quartiles of the hypervolume over evaluations, one line per algorithm.

    If the true front is known, the missing share of its hypervolume is plotted on a logarithmic
    axis.

    Args:
        comparison: the comparison.
        problem: label of the problem.
    """
    curves = {}
    for name, runs in comparison.successful_runs(problem).items():
        counts = np.unique(np.concatenate([run.evaluations for run in runs]))
        # all runs have a value there
        counts = counts[counts >= max(run.evaluations[0] for run in runs)]
        curves[name] = counts, np.array([_hypervolumes_after(run, counts) for run in runs])
    figure, axes = create_figure(plot.size_with_legend(curves))
    plot.convergence(axes, curves, missing=comparison.plan.tasks[problem].tabular)
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


def plot_attainment(comparison: Comparison, problem: str) -> tuple[Figure, list[Point], list[str]]:
    """Plot median attainment surfaces in the first two objectives (Fonseca and Fleming, 1996).

    Args:
        comparison: the comparison.
        problem: label of the problem.

    Returns:
        The figure, a point with a tooltip per member of the true front, if it is known, and the
        names of algorithms without a surface.
    """
    searched: Any = comparison.problems[problem]
    first, second = (searched.column(name) for name in searched.objectives[:2])
    surfaces = {
        name: median_attainment(
            [run.compared_front.reshape(-1, searched.n_obj)[:, :2] for run in runs]
        )
        for name, runs in comparison.successful_runs(problem).items()
    }
    figure, axes = create_figure(plot.size_with_legend(surfaces))
    points = []
    true = None
    if comparison.plan.tasks[problem].tabular:
        X, true = searched.true_front()
        for x, f in zip(X, true, strict=True):
            columns = map(searched.column, searched.objectives)
            tip = [
                f"{column_title(c)}: {format_value(c, v)}" for c, v in zip(columns, f, strict=True)
            ]
            points.append(Point(axes, f[1], f[0], "\n".join([*tip, str(searched.decode(x))])))
    plot.attainment(
        axes,
        surfaces,
        labels=(axis_title(first), axis_title(second)),
        true_front=None if true is None else true[:, :2],
    )
    return figure, points, [name for name, surface in surfaces.items() if not len(surface)]


def median_attainment(fronts: Sequence[np.ndarray]) -> np.ndarray:
    """Return the median attainment surface of several runs.

    Args:
        fronts: one (k, 2) front per run; empty for a run that found nothing feasible.

    Returns:
        (n, 2) points attained by at least half of the runs, by ascending second objective; empty
        if more than half of the fronts are empty.
    """
    found = [F for F in fronts if len(F)]
    if not found or 2 * len(found) < len(fronts):
        return np.empty((0, 2))
    sets = np.concatenate([np.full(len(F), i + 1) for i, F in enumerate(found)])
    half = 50 * len(fronts) / len(found)  # of all runs; moocore does not count empty fronts
    surface: np.ndarray = moocore.eaf(np.concatenate(found), sets, percentiles=[half])[:, :2]
    return surface[np.argsort(surface[:, 1])]


def plot_critical_difference(values: Mapping[str, np.ndarray]) -> Figure:
    """Plot mean ranks on a line; bars connect algorithms that do not differ significantly.

    The test is Nemenyi's at level 0.05, which follows Friedman's (Demšar, JMLR 2006): if Friedman's
    test finds no difference between three or more algorithms, one bar connects all.

    Args:
        values: algorithm -> (n,) paired values, higher is better; at least two algorithms.
    """
    table = np.column_stack(list(values.values()))
    mean = dict(zip(values, statistics.ranks(table).mean(axis=0).tolist(), strict=True))
    critical = statistics.critical_difference(len(values), len(table))
    differ = len(values) < 3 or statistics.friedman(table) < SIGNIFICANCE_LEVEL
    figure, axes = create_figure(plot.ranks_size(mean, critical))
    plot.ranks(axes, mean, critical, differ=differ)
    return figure


def plot_retraining(comparison: Comparison, problem: str) -> Figure:
    """Plot the first objective of every pick after training from scratch over its search value.

    Args:
        comparison: the comparison.
        problem: label of the problem.
    """
    searched = comparison.problems[problem]
    title = axis_title(searched.column(searched.objectives[0]))
    pairs = {
        name: (
            np.concatenate([run.picks[:, 0] for run in runs]),
            np.concatenate([run.retrained[:, 0] for run in runs]),
        )
        for name, runs in comparison.successful_runs(problem).items()
    }
    figure, axes = create_figure(plot.size_with_legend(pairs))
    plot.agreement(
        axes,
        pairs,
        xlabel=f"{title} in the search",
        ylabel=f"{title} after training from scratch",
    )
    return figure
