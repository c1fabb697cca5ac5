"""How a search or a training went."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import ArrayLike

from ..run.numbers import format_duration
from .fronts import set_axis_labels
from .style import (
    ACCENT,
    INK,
    QUIET,
    VALUES,
    finish,
    integer_ticks,
    legend,
    look,
    number_formatter,
    scale_axis,
    styled,
)

if TYPE_CHECKING:
    from ..problem import ArchitectureProblem

TIME_UNITS = ((3600, "hours"), (60, "minutes"), (1, "seconds"))
MOST_MARKED = 30  # longer lines have no markers
POPULATION = "population"  # gid of the points of :func:`travel`


@styled
def hypervolume(axes: Axes, evaluations: ArrayLike, values: ArrayLike) -> Axes:
    """Draw the hypervolume over evaluations as steps.

    Args:
        axes: axes to draw on.
        evaluations: (n,) numbers of evaluations after each generation.
        values: (n,) shares that ``problem.hypervolume`` returned, in [0, 1].

    Returns:
        ``axes``.
    """
    x, y = np.asarray(evaluations, float), np.asarray(values, float)
    marker = "o" if len(x) <= MOST_MARKED else None
    axes.step(x, y, where="post", color=ACCENT, marker=marker, ms=3.5, clip_on=False)
    axes.set(xlabel="evaluations", ylabel="hypervolume (share)")
    scale_axis(axes.xaxis, [0.0, *x], from_zero=True)
    _set_share_limits(axes, y)
    return finish(axes)


@styled
def hypervolumes(axes: Axes, curves: Mapping[str, tuple[ArrayLike, ArrayLike]]) -> Axes:
    """Draw the hypervolumes of several searches over evaluations as steps.

    Args:
        axes: axes to draw on.
        curves: name of a search -> (n,) numbers of evaluations and (n,) hypervolumes after them, as
            shares of the same box.

    Returns:
        ``axes``.
    """
    drawn = []
    for i, (name, (evaluations, values)) in enumerate(curves.items()):
        x, y = np.asarray(evaluations, float), np.asarray(values, float)
        options = look(i) | ({"marker": None} if len(x) > MOST_MARKED else {})
        axes.step(x, y, where="post", ms=4, label=name, clip_on=False, **options)
        drawn.append((x, y))
    axes.set(xlabel="evaluations", ylabel="hypervolume (share)")
    scale_axis(axes.xaxis, [0.0, *np.concatenate([x for x, _ in drawn])], from_zero=True)
    _set_share_limits(axes, np.concatenate([y for _, y in drawn]))
    finish(axes)
    legend(axes)
    return axes


def _set_share_limits(axes: Axes, values: np.ndarray) -> None:
    """Zoom in on shares without leaving [0, 1]."""
    low, high = float(values.min(initial=1)), float(values.max(initial=0))
    margin = max(0.08 * (high - low), 0.002)
    axes.set_ylim(max(0.0, low - margin), min(1.0, high + margin))


@styled
def travel(
    axes: Axes,
    problem: ArchitectureProblem,
    columns: Mapping[str, np.ndarray],
    evaluations: ArrayLike,
) -> Axes:
    """Draw everything that a search has evaluated; colors show when, and the latest is on top.

    Args:
        axes: axes to draw on.
        problem: problem whose ``plotted_columns`` name the columns of the y-axis and of the x-axis.
        columns: name of a column -> (n,) values.
        evaluations: (n,) numbers of evaluations so far, when each of them was evaluated.

    Returns:
        ``axes``.
    """
    first, second = problem.plotted_columns
    when = np.asarray(evaluations, float)
    order = np.argsort(when, kind="stable")
    x, y = columns[second].astype(float)[order], columns[first].astype(float)[order]
    dots = axes.scatter(
        x,
        y,
        c=when[order],
        s=18,
        cmap=VALUES.reversed(),
        ec=INK,
        lw=0.25,
        clip_on=False,
        gid=POPULATION,
        zorder=3,
    )
    figure = axes.get_figure()
    assert figure is not None
    ticks = integer_ticks(6)
    bar = figure.colorbar(dots, ax=axes, label="evaluations so far", ticks=ticks, pad=0.02)
    bar.outline.set_visible(False)
    bar.ax.grid(False)
    bar.ax.yaxis.set_major_formatter(number_formatter())
    scale_axis(axes.xaxis, x)
    scale_axis(axes.yaxis, y, from_zero=True)
    set_axis_labels(axes, problem.column(second), problem.column(first))
    return finish(axes)


@styled
def durations(axes: Axes, seconds: Mapping[str, float]) -> Axes:
    """Draw the time of each phase as a bar, the longest first.

    Args:
        axes: axes to draw on.
        seconds: name of a phase -> its time in seconds.

    Returns:
        ``axes``.
    """
    ordered = dict(sorted(seconds.items(), key=lambda item: -item[1]))
    longest = max(ordered.values(), default=0.0)
    scale, unit = next((u for u in TIME_UNITS if longest >= 2 * u[0]), TIME_UNITS[-1])
    values = [value / scale for value in ordered.values()]
    axes.barh(list(ordered), values, color=QUIET, height=0.7)
    for i, (value, text) in enumerate(zip(values, ordered.values(), strict=True)):
        shown = format_duration(text) if text >= 10 else f"{text:.2g} s"
        axes.annotate(
            shown,
            (value, i),
            (4, 0),
            textcoords="offset points",
            va="center",
            color=INK,
            fontsize=9,
        )
    axes.invert_yaxis()
    axes.set_xlabel(f"time ({unit})")
    axes.set_xlim(0, 1.18 * (longest / scale or 1))
    axes.xaxis.set_major_formatter(number_formatter())
    axes.tick_params(axis="y", length=0)
    return finish(axes, grid="none")


@styled
def losses(
    axes: Axes,
    curves: Mapping[str, tuple[Sequence[float], Sequence[float]]],
    *,
    xlabel: str = "epoch",
    ylabel: str = "loss",
    first: int = 0,
) -> Axes:
    """Draw losses or other values of a training; on a logarithmic scale if they fall by orders.

    Args:
        axes: axes to draw on.
        curves: name -> (epochs, values); values that are not finite are left out.
        xlabel: label of the x-axis.
        ylabel: label of the y-axis, with the unit.
        first: number of the first look, so that curves in several axes can have different ones.

    Returns:
        ``axes``.
    """
    drawn: list[float] = []
    for i, (name, (epochs, values)) in enumerate(curves.items(), first):
        x, y = np.asarray(epochs, float), np.asarray(values, float)
        finite = np.isfinite(y)
        style = look(i)
        style["marker"] = style["marker"] if finite.sum() <= MOST_MARKED else None
        axes.plot(x[finite], y[finite], label=name, clip_on=False, **style)
        drawn += y[finite].tolist()
    scale_axis(axes.yaxis, drawn)
    axes.xaxis.set_major_locator(integer_ticks())
    axes.set(xlabel=xlabel, ylabel=ylabel)
    finish(axes)
    return legend(axes)
