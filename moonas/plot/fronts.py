"""The front of a search, over two objectives or as parallel coordinates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import NullFormatter, NullLocator
from numpy.typing import ArrayLike

from ..run.numbers import short_number
from .labels import place_labels
from .style import (
    ACCENT,
    INK,
    MARKERS,
    QUIET,
    VALUES,
    finish,
    format_color_bar,
    halo,
    legend,
    look,
    needs_log,
    scale_axis,
    styled,
)

if TYPE_CHECKING:
    from ..pareto import Row
    from ..problem import ArchitectureProblem, Column

MOST_PLANE_OBJECTIVES = 3  # fronts of more objectives are drawn as parallel coordinates
EVALUATED = {False: "evaluated", True: "evaluated with the last weights"}  # by nonstationary
PICKED = "picked"
ACRONYMS = {"fid": "FID", "is": "IS", "kid": "KID", "auroc": "AUROC", "iou": "IoU"}


@styled
def front(
    axes: Axes,
    problem: ArchitectureProblem,
    rows: Sequence[Row],
    *,
    evaluated: Mapping[str, np.ndarray] | None = None,
    picked: int | None = None,
    marks: Mapping[str, Mapping[str, float]] | None = None,
) -> Axes:
    """Draw a front with its picked row and everything that was evaluated.

    Two columns span the plane; a front of two objectives is joined by steps. Colors show a third
    objective. More than three objectives are drawn by :func:`parallel_coordinates`, without what is
    not on the front. If the problem knows its true front of two objectives, it is drawn as well.
    Points that are not finite are left out.

    Args:
        axes: axes to draw on.
        problem: problem whose ``plotted_columns`` name the columns of the y-axis and of the x-axis.
        rows: rows of the front.
        evaluated: name of a column -> (n,) values of the evaluated architectures.
        picked: index of the picked row, or None.
        marks: name of another network, such as a published one -> name of a column -> its value.

    Returns:
        ``axes``.
    """
    if problem.n_obj > MOST_PLANE_OBJECTIVES:
        return parallel_coordinates(axes, problem, rows, picked=picked)
    first, second = problem.plotted_columns
    drawn = [np.array([[r.columns[second], r.columns[first]] for r in rows], float).reshape(-1, 2)]
    if evaluated is not None:
        points = np.column_stack([evaluated[second], evaluated[first]]).astype(float)
        beyond = np.atleast_1d((problem.constraint_values(evaluated) > 0).any(axis=1))
        _draw_evaluated(axes, points, beyond, EVALUATED[problem.nonstationary])
        drawn.append(points)
    true = problem.pareto_front() if problem.n_obj == 2 else None
    if true is not None:
        true = np.asarray(true, float)[:, ::-1]
        _draw_steps(axes, true, color=INK, lw=0.8, ls=(0, (4, 2)), zorder=2.4)
        axes.scatter(
            true[:, 0],
            true[:, 1],
            s=16,
            marker="x",
            lw=0.9,
            color=INK,
            label="true front",
            zorder=2.5,
        )
        drawn.append(true)
    named = {name: (float(v[second]), float(v[first])) for name, v in (marks or {}).items()}
    named = {name: point for name, point in named.items() if np.isfinite(point).all()}
    for i, (x, y) in enumerate(named.values()):
        axes.scatter(
            x, y, s=44, marker=MARKERS[1 + i % 6], color=INK, ec="white", zorder=5, clip_on=False
        )
        drawn.append(np.array([[x, y]]))
    every = np.concatenate(drawn)
    scale_axis(axes.xaxis, every[:, 0])
    scale_axis(axes.yaxis, every[:, 1], from_zero=True)
    if rows:
        _draw_front(axes, problem, rows, drawn[0])
    set_axis_labels(axes, problem.column(second), problem.column(first))
    finish(axes)
    legend(axes)
    names = list(named)
    positions = list(named.values())
    if picked is not None and rows and np.isfinite(drawn[0][picked]).all():
        ring = drawn[0][picked]
        axes.scatter(
            ring[0],
            ring[1],
            s=130,
            facecolors="none",
            ec=INK,
            lw=1.4,
            zorder=5,
            clip_on=False,
            gid=PICKED,
        )
        names.insert(0, f"{PICKED} (row {picked})")
        positions.insert(0, tuple(ring))
    if names:
        line = _along_steps(drawn[0]) if problem.n_obj == 2 else drawn[0]
        place_labels(axes, positions, names, np.concatenate([every, line]))
    return axes


@styled
def fronts(axes: Axes, problem: ArchitectureProblem, rows_of: Mapping[str, Sequence[Row]]) -> Axes:
    """Draw the fronts of several searches; fronts of two objectives are joined by steps.

    Args:
        axes: axes to draw on.
        problem: problem whose ``plotted_columns`` name the columns of the y-axis and of the x-axis.
        rows_of: name of a search -> rows of its front; rows without these columns are left out.

    Returns:
        ``axes``.
    """
    first, second = problem.plotted_columns
    drawn = []
    for i, (name, rows) in enumerate(rows_of.items()):
        known = [r.columns for r in rows if {first, second} <= set(r.columns)]
        points = np.array([[c[second], c[first]] for c in known], float).reshape(-1, 2)
        options = look(i) | dict(label=name, ms=5, clip_on=False)
        if problem.n_obj == 2:
            _draw_steps(axes, points, **options)
        else:
            axes.plot(*points.T, **options | {"linestyle": "none"})
        drawn.append(points)
    every = np.concatenate(drawn)
    scale_axis(axes.xaxis, every[:, 0])
    scale_axis(axes.yaxis, every[:, 1], from_zero=True)
    set_axis_labels(axes, problem.column(second), problem.column(first))
    finish(axes)
    legend(axes)
    return axes


def _draw_evaluated(axes: Axes, points: np.ndarray, beyond: np.ndarray, label: str) -> None:
    """Draw evaluated architectures, and those that exceed a limit as faint rings."""
    for chosen, options in (
        (points[~beyond], dict(alpha=0.6, lw=0, label=label)),
        (points[beyond], dict(facecolors="none", lw=0.7, label="beyond the limits")),
    ):
        if len(chosen):
            style: dict[str, Any] = {"s": 13, "color": QUIET, "zorder": 2} | options
            if "facecolors" in style:
                style["edgecolors"] = style.pop("color")
            axes.scatter(chosen[:, 0], chosen[:, 1], **style)


def _draw_steps(axes: Axes, points: np.ndarray, **options: Any) -> None:
    """Draw what points dominate as steps from the smallest to the largest x."""
    ordered = _by_x(points)
    axes.step(ordered[:, 0], ordered[:, 1], where="post", **options)


def _along_steps(points: np.ndarray) -> np.ndarray:
    """Return points on the steps through a front, (n, 2)."""
    ordered = _by_x(points)
    corners = np.column_stack([ordered[1:, 0], ordered[:-1, 1]])
    t = np.linspace(0, 1, 12)[:, None, None]
    across = ordered[:-1] + t * (corners - ordered[:-1])
    down = corners + t * (ordered[1:] - corners)
    return np.concatenate([across, down]).reshape(-1, 2)


def _by_x(points: np.ndarray) -> np.ndarray:
    """Return the finite ones of (n, 2) points by ascending x, then y."""
    finite: np.ndarray = points[np.isfinite(points).all(axis=1)]
    ordered: np.ndarray = finite[np.lexsort((finite[:, 1], finite[:, 0]))]
    return ordered


def _draw_front(
    axes: Axes, problem: ArchitectureProblem, rows: Sequence[Row], points: np.ndarray
) -> None:
    """Draw the rows of a front; a third objective has a color bar."""
    feasible = all(row.columns.get("violation", 0.0) <= 0 for row in rows)
    label = "Pareto front" if feasible else "closest to the limits"
    options: dict[str, Any] = dict(s=34, label=label, zorder=4, clip_on=False)
    if problem.n_obj < 3:
        if problem.n_obj == 2:
            _draw_steps(axes, points, color=ACCENT, lw=1.3, alpha=0.8, zorder=3)
        axes.scatter(points[:, 0], points[:, 1], color=ACCENT, **options)
        return
    third = problem.column(problem.objectives[2])
    values = _finite_or_nan([row.columns[third.name] for row in rows])
    norm = "log" if needs_log(values) else "linear"
    dots = axes.scatter(
        points[:, 0], points[:, 1], c=values, cmap=VALUES, norm=norm, ec=INK, lw=0.5, **options
    )
    figure = axes.get_figure()
    assert figure is not None
    bar = figure.colorbar(dots, ax=axes, label=axis_title(third), pad=0.02)
    format_color_bar(bar, values)


@styled
def parallel_coordinates(
    axes: Axes,
    problem: ArchitectureProblem,
    rows: Sequence[Row],
    *,
    picked: int | None = None,
) -> Axes:
    """Draw a front with a vertical scale per objective and a line per row.

    Colors show the first objective. Every scale ends at the lowest and the highest value of the
    front, and is logarithmic if these differ by more than a factor of 20. Values that are not
    finite are left out; so are rows without a finite first objective.

    Args:
        axes: axes to draw on.
        problem: problem that names the objectives.
        rows: rows of the front.
        picked: index of the picked row, or None.

    Returns:
        ``axes``.
    """
    columns = [problem.column(name) for name in problem.objectives]
    heights = parallel_heights(problem, rows)
    cmap = VALUES
    for i in np.argsort(-heights[:, 0], kind="stable") if len(rows) else ():
        axes.plot(heights[i], color=cmap(0.9 * heights[i, 0]), lw=1.1, alpha=0.85, zorder=2)
    if picked is not None and len(rows) and np.isfinite(heights[picked]).all():
        line = axes.plot(heights[picked], color=INK, lw=2.2, marker="o", ms=6, zorder=4)[0]
        line.set(gid=PICKED, clip_on=False)
        last = float(heights[picked, -1])
        axes.annotate(
            f"{PICKED} (row {picked})",
            (len(columns) - 1, last),
            (9, 6 * ((last < 0.05) - (last > 0.95))),  # away from the numbers at both ends
            textcoords="offset points",
            va="center",
            color=INK,
            fontsize=9,
            annotation_clip=False,
        )
    for x, column in enumerate(columns):
        values = _finite_or_nan([row.columns[column.name] for row in rows])
        values = values[np.isfinite(values)]
        axes.axvline(x, color=INK, lw=0.8, zorder=3)
        scale = ", log" if needs_log(values) else ""
        for y, value, side in ((0, np.min, "top"), (1, np.max, "bottom")):
            axes.annotate(
                short_number(float(value(values))) if len(values) else "",
                (x, y),
                (0, -4 if y == 0 else 4),
                textcoords="offset points",
                ha="center",
                va=side,
                color=INK,
                fontsize=9,
                path_effects=halo(),
            )
        axes.annotate(
            axis_title(column) + scale,
            (x, 0),
            (0, -18),
            textcoords="offset points",
            ha="center",
            va="top",
            color=INK,
            annotation_clip=False,
        )
    axes.set(xlim=(-0.15, len(columns) - 0.85), ylim=(-0.02, 1.02), xticks=[], yticks=[])
    axes.xaxis.set_major_formatter(NullFormatter())
    axes.yaxis.set_major_locator(NullLocator())
    axes.spines[:].set_visible(False)
    axes.grid(False)
    return axes


def parallel_heights(problem: ArchitectureProblem, rows: Sequence[Row]) -> np.ndarray:
    """Return where lines of :func:`parallel_coordinates` cross the scales.

    Returns:
        (n_rows, n_obj) heights in [0, 1]; 0 is the lowest value of an objective, and NaN stands for
        a value that is not finite.
    """
    F = _finite_or_nan([[row.columns[name] for name in problem.objectives] for row in rows])
    F = F.reshape(len(rows), problem.n_obj)
    for column in F.T:
        if needs_log(column):
            column[:] = np.log(column)
        if np.isfinite(column).any():
            column -= np.nanmin(column)
            column /= np.nanmax(column) or 1.0
    return F


def _finite_or_nan(values: ArrayLike) -> np.ndarray:
    """Return values as floats, with NaN for those that are not finite."""
    array = np.asarray(values, float)
    return np.where(np.isfinite(array), array, np.nan)


def axis_title(column: Column) -> str:
    """Return the label of an axis: the name of a column with its unit, or what it counts."""
    if column.is_size:
        return column.unit
    words = column.name.removesuffix(f"_{column.unit}").split("_")
    name = " ".join(ACRONYMS.get(word, word) for word in words)
    return f"{name} ({column.unit})" if column.unit else name


def set_axis_labels(axes: Axes, x: Column, y: Column) -> None:
    """Label axes with the names and the units of two columns."""
    axes.set_xlabel(axis_title(x))
    axes.set_ylabel(axis_title(y))
