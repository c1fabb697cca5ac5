"""Algorithms compared over several runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.ticker import FixedLocator, FuncFormatter
from numpy.typing import ArrayLike

from .style import ACCENT, INK, QUIET, finish, format_log_axis, legend, look, scale_axis, styled

N_BARS = 7  # error bars per line, at different places for each algorithm
ROUNDING = 1e-12  # missing shares below it are zero but for rounding


@styled
def convergence(
    axes: Axes,
    curves: Mapping[str, tuple[ArrayLike, ArrayLike]],
    *,
    missing: bool = False,
) -> Axes:
    """Draw the median hypervolume of each algorithm over evaluations as steps.

    Error bars reach from the lower to the upper quartile. They are at different places for each
    algorithm, so that they stay apart.

    Args:
        axes: axes to draw on.
        curves: algorithm -> (n,) numbers of evaluations and (n_runs, n) hypervolumes after them;
            numbers after which a hypervolume is not finite are left out.
        missing: whether the share that is missing to 1 is drawn instead, on a logarithmic scale.
            Its lower end is labeled 0 and stands for runs that miss nothing.

    Returns:
        ``axes``.
    """
    quartiles = {name: _quartiles(*curve, missing) for name, curve in curves.items()}
    every = np.concatenate([[], *(np.ravel(q) for _, q in quartiles.values())])
    positive = every[every > 0]
    zero = None  # where shares of 0 are drawn on a logarithmic axis
    if missing and 0 < len(positive) < len(every):
        zero = positive.min() / max(1.5, (positive.max() / positive.min()) ** 0.08)
    ends = []
    for i, (name, (x, shares)) in enumerate(quartiles.items()):
        if not len(x):
            continue
        low, median, high = shares if zero is None else np.maximum(shares, zero)
        style = look(i)
        marker = style.pop("marker")
        axes.step(x, median, where="post", label="_nolegend_", lw=1.6, zorder=3, **style)
        ends.append(x[-1])
        at = np.linspace(x[0], x[-1], N_BARS * len(curves) + 1)[i + 1 :: len(curves)]
        index = np.maximum(np.searchsorted(x, at, side="right") - 1, 0)
        axes.errorbar(
            at,
            median[index],
            yerr=(median[index] - low[index], high[index] - median[index]),
            fmt=marker,
            color=style["color"],
            ms=4.5,
            lw=1.1,
            capsize=2.5,
            zorder=4,
        )
        axes.plot([], [], label=name, marker=marker, ms=4.5, **style)  # for the legend
    axes.set(
        xlabel="evaluations",
        ylabel="missing share of the true hypervolume" if missing else "hypervolume (share)",
    )
    if missing and len(positive):
        low_end, high_end = float(positive.min()), float(positive.max())
        axes.set_yscale("log")
        axes.set_ylim((low_end if zero is None else zero) / 1.15, high_end * 1.15)
        format_log_axis(axes.yaxis, low_end, max(high_end, 1.01 * low_end))
        if zero is not None:
            _add_zero(axes.yaxis, float(zero), low_end, high_end)
    else:
        scale_axis(axes.yaxis, every, from_zero=missing)
    scale_axis(axes.xaxis, [0.0, *ends], from_zero=True)
    finish(axes)
    return legend(axes)


def _quartiles(
    counts: ArrayLike, values: ArrayLike, missing: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Return (m,) numbers of evaluations, and (3, m) quartiles of the shares that are drawn."""
    x, shares = np.asarray(counts, float), np.asarray(values, float)
    if missing:
        shares = 1 - shares
        shares[shares < ROUNDING] = 0.0
    known = np.isfinite(shares).all(axis=0)
    return x[known], np.percentile(shares[:, known], [25, 50, 75], axis=0)


def _add_zero(axis: Axis, position: float, low: float, high: float) -> None:
    """Label a position below the ticks of a logarithmic axis from ``low`` to ``high`` with 0."""
    major, minor = (
        ticks[(ticks >= low / 1.01) & (ticks <= 1.15 * high)]
        for ticks in (axis.get_majorticklocs(), axis.get_minorticklocs())
    )
    text = axis.get_major_formatter()
    axis.set_major_locator(FixedLocator([position, *major]))
    axis.set_minor_locator(FixedLocator(minor.tolist()))
    axis.set_major_formatter(FuncFormatter(lambda y, i: "0" if y <= position else text(y, i)))


@styled
def attainment(
    axes: Axes,
    surfaces: Mapping[str, ArrayLike],
    *,
    labels: tuple[str, str] = ("first objective", "second objective"),
    true_front: ArrayLike | None = None,
) -> Axes:
    """Draw median attainment surfaces in two objectives (Fonseca and Fleming, 1996).

    Lines become thinner from one algorithm to the next, so that hidden ones remain visible.

    Args:
        axes: axes to draw on.
        surfaces: algorithm -> (n, 2) points that at least half of its runs attain, by ascending
            second objective; an empty surface is not drawn.
        labels: labels of the first objective (y-axis) and of the second one (x-axis), with units.
        true_front: (m, 2) true front, if it is known.

    Returns:
        ``axes``.
    """
    points = [np.asarray(surface, float).reshape(-1, 2) for surface in surfaces.values()]
    true = np.asarray([] if true_front is None else true_front, float).reshape(-1, 2)
    every = np.concatenate([*points, true])
    scale_axis(axes.xaxis, every[:, 1])
    scale_axis(axes.yaxis, every[:, 0], from_zero=True)
    right, top = axes.get_xlim()[1], axes.get_ylim()[1]
    widths = np.linspace(2.6, 0.9, len(points)) if len(points) > 1 else [1.6]
    for i, (name, surface) in enumerate(zip(surfaces, points, strict=True)):
        if not len(surface):
            continue
        style = look(i)
        first, last = surface[0], surface[-1]
        # a surface goes on upwards from its smallest and to the right from its largest point
        x = [first[1], *surface[:, 1], max(right, last[1])]
        y = [max(top, first[0]), *surface[:, 0], last[0]]
        style.pop("marker")
        axes.step(x, y, where="post", lw=widths[i], label=name, zorder=2 + 0.1 * i, **style)
    if len(true):
        axes.scatter(
            true[:, 1], true[:, 0], s=14, marker="x", lw=0.9, color=INK, zorder=5, clip_on=False
        ).set_label("true front")
    axes.set(xlabel=labels[1], ylabel=labels[0])
    finish(axes)
    return legend(axes)


@styled
def ranks(
    axes: Axes, mean_ranks: Mapping[str, float], critical: float, *, differ: bool = True
) -> Axes:
    """Draw mean ranks with the critical difference; bars join algorithms that do not differ.

    The drawing is that of Demšar (JMLR 2006): names stand in two columns beside the axis of ranks,
    and stems lead to them without crossing a name.

    Args:
        axes: axes to draw on; the figure should have the size :func:`ranks_size`.
        mean_ranks: algorithm -> mean rank, 1 is best; at least two algorithms.
        critical: critical difference of mean ranks, such as that of Nemenyi's test.
        differ: whether any algorithms differ, such as the result of Friedman's test; if not, one
            bar joins all.

    Returns:
        ``axes``.
    """
    n = len(mean_ranks)
    names = sorted(mean_ranks, key=mean_ranks.__getitem__)
    index = {name: i for i, name in enumerate(mean_ranks)}
    mean = np.array([mean_ranks[name] for name in names])
    groups = cliques(mean, critical if differ else np.inf)
    top = 0.4 * len(groups) + 0.5  # of the names, below the axis and the bars
    half = (n + 1) // 2
    left, right = 1 - 0.04 * (n - 1), n + 0.04 * (n - 1)
    axes.hlines(0, 1, n, color=INK, lw=1)
    axes.vlines(range(1, n + 1), -0.12, 0, color=INK, lw=1)
    for rank in range(1, n + 1):
        axes.text(rank, -0.2, str(rank), ha="center", va="bottom", fontsize=9, color=INK)
    for i, name in enumerate(names):
        best = i < half
        height = top + 0.55 * (i if best else n - 1 - i)
        edge = left if best else right
        axes.plot([mean[i], mean[i], edge], [0, height, height], color=INK, lw=0.8, zorder=1)
        style = look(index[name])
        axes.plot(mean[i], 0, marker=style["marker"], color=style["color"], ms=7, zorder=3)
        axes.annotate(
            f"{name}  {mean[i]:.2f}" if best else f"{mean[i]:.2f}  {name}",
            (edge, height),
            (-4 if best else 4, 0),
            textcoords="offset points",
            ha="right" if best else "left",
            va="center",
            color=INK,
        )
    beyond = min(0.02 * n, 0.12)  # of a bar, so that it crosses its outer stems
    for k, (first, last) in enumerate(groups):
        axes.plot(
            [mean[first] - beyond, mean[last] + beyond],
            [0.35 + 0.4 * k] * 2,
            color=INK,
            lw=4.5,
            solid_capstyle="butt",
            zorder=2,
        )
    shown = min(critical, n - 1)
    axes.plot([1, 1 + shown], [-1.0] * 2, color=INK, lw=1.2, marker="|", ms=7)
    axes.annotate(
        f"critical difference {critical:.2f}",
        (1 + shown, -1.0),
        (6, 0),
        textcoords="offset points",
        va="center",
        fontsize=9,
        color=INK,
    )
    bottom = top + 0.55 * (half - 1) + 0.35
    axes.set(xlim=(left, right), ylim=(bottom, -1.35))
    axes.axis("off")
    return axes


def ranks_size(mean_ranks: Mapping[str, float], critical: float) -> tuple[float, float]:
    """Return the size of a figure for :func:`ranks`: (width, height) in inches."""
    n = len(mean_ranks)
    names = sorted(mean_ranks, key=mean_ranks.__getitem__)
    half = (n + 1) // 2
    columns = [max(map(len, side)) + len("  1.00") for side in (names[:half], names[half:])]
    n_groups = len(cliques(np.sort(list(mean_ranks.values())), critical))
    width = 0.09 * sum(columns) + max(2.2, 0.28 * n)
    return max(5.2, width), 0.42 * (1.35 + 0.4 * n_groups + 0.5 + 0.55 * half + 0.35)


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


@styled
def agreement(
    axes: Axes,
    pairs: Mapping[str, tuple[ArrayLike, ArrayLike]],
    *,
    xlabel: str,
    ylabel: str,
) -> Axes:
    """Draw two measurements of the same networks against each other, with the line of equality.

    Args:
        axes: axes to draw on.
        pairs: algorithm -> (n,) values of the x-axis and (n,) values of the y-axis.
        xlabel: label of the x-axis, with the unit.
        ylabel: label of the y-axis, with the unit.

    Returns:
        ``axes``.
    """
    every = np.concatenate([np.ravel(values) for pair in pairs.values() for values in pair])
    for i, (name, (x, y)) in enumerate(pairs.items()):
        style = look(i)
        axes.scatter(
            x, y, s=24, color=style["color"], marker=style["marker"], label=name, clip_on=False
        )
    low, high = float(every.min()), float(every.max())
    axes.plot([low, high], [low, high], color=INK, lw=0.8, ls=":", label="equal")
    for axis in (axes.xaxis, axes.yaxis):
        scale_axis(axis, every)
    axes.set(xlabel=xlabel, ylabel=ylabel)
    finish(axes)
    return legend(axes)


@styled
def proxies(
    axes: Axes,
    labels: Sequence[str],
    saved: ArrayLike,
    correlation: ArrayLike,
    interval: ArrayLike,
    *,
    xlabel: str,
) -> Axes:
    """Draw the rank correlation of proxies and the share of the time that they save.

    Args:
        axes: axes to draw on.
        labels: value of the setting of each of the n proxies.
        saved: (n,) shares of the time that are saved.
        correlation: (n,) rank correlations with the full trainings.
        interval: (n, 2) lower and upper ends of their intervals.
        xlabel: name of the setting.

    Returns:
        ``axes``.
    """
    positions, values = np.arange(len(labels)), np.asarray(correlation, float)
    low, high = np.asarray(interval, float).T
    axes.bar(
        positions,
        np.asarray(saved, float),
        width=0.6,
        color=QUIET,
        label="share of the time that is saved",
    )
    axes.errorbar(
        positions,
        values,
        yerr=(values - low, high - values),
        color=ACCENT,
        marker="o",
        capsize=3,
        label="rank correlation with the full trainings (95 %)",
    )
    axes.axhline(0, color=INK, lw=0.8)
    axes.set_xticks(positions, list(labels))
    axes.set_xlim(-0.7, len(labels) - 0.3)
    axes.set_xlabel(xlabel)
    return finish(axes, grid="none")
