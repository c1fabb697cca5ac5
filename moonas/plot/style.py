"""Common style of all figures: colors, scales, tick labels and legends."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection
from functools import cache, wraps
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.colorbar import Colorbar
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from matplotlib.ticker import (
    Formatter,
    FuncFormatter,
    LogFormatterMathtext,
    LogLocator,
    MaxNLocator,
    NullFormatter,
)
from numpy.typing import ArrayLike

from ..run.numbers import short_number

STYLE_FILE = Path(__file__).parent / "moonas.mplstyle"
# colors of text and outlines, of highlights, and of background elements
INK, ACCENT, QUIET = "#22313f", "#d55e00", "#9db4c0"
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
DASHES: tuple[Any, ...] = (
    "-",
    (0, (5, 1.5)),
    (0, (1.5, 1.2)),
    (0, (6, 1.5, 1.5, 1.5)),
    (0, (9, 3)),
)
LOG_FACTOR = 20  # values that span more than this factor are drawn on a logarithmic scale
MOST_DECADES = 4  # on longer scales, tick labels are powers of ten

# Color map of values and of time: even steps to the eye, also in gray. The ends of viridis, which
# are hard to see on dark and on white pages, are left out.
VALUES = ListedColormap(matplotlib.colormaps["viridis"](np.linspace(0.18, 0.93, 256)), "values")

P = ParamSpec("P")
R = TypeVar("R")


@cache
def _style() -> Any:
    return matplotlib.rc_params_from_file(STYLE_FILE, use_default_template=False)


def styled(function: Callable[P, R]) -> Callable[P, R]:
    """Make a function draw in the common style; settings of Matplotlib do not change."""

    @wraps(function)
    def drawn(*args: P.args, **kwargs: P.kwargs) -> R:
        with matplotlib.rc_context(_style()):
            return function(*args, **kwargs)

    return drawn


def colors() -> list[str]:
    """Return the colors of the common style, which color-blind readers can tell apart."""
    return [str(color) for color in _style()["axes.prop_cycle"].by_key()["color"]]


def look(index: int) -> dict[str, Any]:
    """Return color, marker and dash pattern of an algorithm, a model or a class.

    Markers and dash patterns tell lines apart in print without colors. Looks repeat after 210.

    Args:
        index: number of the algorithm, at least 0.

    Returns:
        Keyword arguments of ``Axes.plot``: ``color``, ``marker`` and ``linestyle``.
    """
    palette = colors()
    return {
        "color": palette[index % len(palette)],
        "marker": MARKERS[index % len(MARKERS)],
        "linestyle": DASHES[index % len(DASHES)],
    }


@styled
def create_figure(
    size: tuple[float, float] | None = None, rows: int = 1, columns: int = 1, **options: Any
) -> tuple[Figure, Any]:
    """Create a figure with axes in the common style, without pyplot.

    Args:
        size: (width, height) in inches; 5.2 x 4 by default.
        rows: number of rows of axes.
        columns: number of columns of axes.
        options: keyword arguments of ``Figure.subplots``.

    Returns:
        The figure, and its axes: one ``Axes``, or an array of them if there are several.
    """
    figure = Figure(figsize=size, layout="constrained")
    return figure, figure.subplots(rows, columns, **options)


def needs_log(values: ArrayLike) -> bool:
    """Return whether values are drawn on a logarithmic scale.

    They are if they are positive and span more than a factor of 20. Values that are not finite do
    not count.
    """
    array = np.asarray(values, float).ravel()
    array = array[np.isfinite(array)]
    return bool(len(array) and array.min() > 0 and array.max() > LOG_FACTOR * array.min())


def integer_ticks(most: int = 8) -> MaxNLocator:
    """Return a locator of at most ``most`` + 1 whole numbers, which are 1, 2, 5, 10, ... apart."""
    return MaxNLocator(most, integer=True, steps=[1, 2, 5, 10], min_n_ticks=1)


def scale_axis(axis: Axis, values: ArrayLike, *, from_zero: bool = False) -> None:
    """Choose the scale, the limits and the tick labels of an axis for values.

    The scale is logarithmic if :func:`needs_log` says so. A single value of 0 makes it linear: it
    has no place on a logarithmic scale, and an error of 0 must not be hidden.

    Args:
        axis: ``axes.xaxis`` or ``axes.yaxis``.
        values: values that are drawn along the axis; those that are not finite do not count.
        from_zero: whether a linear axis starts at 0, unless all values are far above it. If all
            values are 0, the axis always does.
    """
    array = np.asarray(values, float).ravel()
    array = array[np.isfinite(array)]
    vertical = axis is axis.axes.yaxis
    set_scale = axis.axes.set_yscale if vertical else axis.axes.set_xscale
    set_limits = axis.axes.set_ylim if vertical else axis.axes.set_xlim
    if not len(array):
        return
    low, high = array.min(), array.max()
    if needs_log(array):
        set_scale("log")
        margin = (high / low) ** 0.05
        set_limits(low / margin, high * margin)
        format_log_axis(axis, low, high)
        return
    set_scale("linear")
    starts_at_zero = (from_zero and 0 <= low < high / 2) or low == high == 0
    margin = 0.05 * (high - (0.0 if starts_at_zero else low)) or 0.05 * abs(high) or 1.0
    bottom = 0.0 if starts_at_zero else low - margin
    set_limits(bottom, high + margin)
    axis.set_major_formatter(number_formatter())


class _ShortNumbers(Formatter):
    """:func:`short_number` with at least three digits, and as many as the ticks need."""

    digits = 3
    spacing = 0.0  # between ticks

    def set_locs(self, locs: Any) -> None:
        """Choose the number of digits for ticks."""
        super().set_locs(locs)
        ticks = np.unique(np.asarray(locs, float))
        if len(ticks) < 2:
            return
        self.spacing = float(np.diff(ticks).min())
        self.digits = 3
        while self.digits < 15 and any(
            abs(float(f"{tick:.{self.digits}g}") - tick) > 0.01 * self.spacing for tick in ticks
        ):
            self.digits += 1

    def __call__(self, value: float, pos: int | None = None) -> str:
        """Format a tick; what rounding left of zero is 0."""
        return short_number(0.0 if abs(value) < 1e-6 * self.spacing else value, self.digits)


def number_formatter() -> Formatter:
    """Return the format of ticks of a linear axis: short, but with all digits of each tick."""
    return _ShortNumbers()


def format_log_axis(axis: Axis, low: float, high: float) -> None:
    """Set readable ticks on a logarithmic axis from ``low`` to ``high``, both positive."""
    decades = math.log10(high / low)
    subs = (1.0, 2.0, 5.0) if decades <= 2.2 else (1.0, 3.0) if decades <= 3 else (1.0,)
    axis.set_major_locator(LogLocator(subs=subs, numticks=12))
    axis.set_minor_locator(LogLocator(subs=tuple(range(2, 10)), numticks=12))
    axis.set_minor_formatter(NullFormatter())
    if decades > MOST_DECADES or low < 1e-3:
        axis.set_major_formatter(LogFormatterMathtext())
    else:
        axis.set_major_formatter(FuncFormatter(lambda value, _: short_number(value)))


def format_color_bar(bar: Colorbar, values: ArrayLike) -> None:
    """Format the ticks of a color bar like those of axes, and remove its frame."""
    bar.outline.set_visible(False)
    bar.ax.grid(False)
    if needs_log(values):
        array = np.asarray(values, float)
        array = array[np.isfinite(array)]
        format_log_axis(bar.ax.yaxis, float(array.min()), float(array.max()))
    else:
        bar.ax.yaxis.set_major_formatter(number_formatter())


def finish(axes: Axes, *, grid: str = "both") -> Axes:
    """Give axes that were created elsewhere the lines and colors of the common style.

    Args:
        axes: the axes.
        grid: axis of the grid lines: "both", "x", "y" or "none".

    Returns:
        The axes.
    """
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_axisbelow(True)
    axes.grid(False)
    if grid != "none":
        style = _style()
        line = {name: style[f"grid.{name}"] for name in ("color", "alpha", "linewidth")}
        axes.grid(True, axis=grid, **line)  # type: ignore[arg-type]
    for axis in (axes.xaxis, axes.yaxis):
        axis.label.set_color(INK)
    return axes


@styled
def legend(axes: Axes, *, columns: int | None = None) -> Axes:
    """Put a legend above axes, in one row if it is not too wide.

    The legend of axes whose artists have fewer than two labels is left out.

    Args:
        axes: the axes.
        columns: entries per row; by default, as many as fit.

    Returns:
        The axes.
    """
    handles, labels = axes.get_legend_handles_labels()
    if len(labels) < 2:
        return axes
    figure = axes.get_figure(root=True)
    assert figure is not None
    for n in range(columns or len(labels), 0, -1):
        if n != columns and -(-len(labels) // -(-len(labels) // n)) != n:
            continue  # fewer columns need no more rows
        box = axes.legend(
            handles,
            labels,
            loc="lower left",
            bbox_to_anchor=(0, 1.0),
            borderaxespad=0.3,
            borderpad=0.2,
            ncols=n,
        )
        if n == columns:
            break
        box.set_in_layout(False)  # a wide legend would make the axes narrower
        figure.draw_without_rendering()
        fits = box.get_window_extent().x1 <= axes.get_window_extent().x1 + 1
        box.set_in_layout(True)
        if fits:
            break
    return axes


def size_with_legend(names: Collection[str]) -> tuple[float, float]:
    """Return the size of a figure of axes with a line per name: (width, height) in inches.

    The figure is higher for a :func:`legend` of more than two rows.
    """
    width, height = _style()["figure.figsize"]
    entry = 0.6 + 0.085 * max(map(len, names), default=0)  # inches, of a line and a name
    rows = math.ceil(len(names) / max(1, (width - 0.7) // entry))
    return width, height + 0.19 * max(0, rows - 2)


def halo(width: float = 3.0) -> list[Any]:
    """Return the path effects of text that stays readable on lines and points."""
    return [withStroke(linewidth=width, foreground="white")]
