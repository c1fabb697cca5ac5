"""The common look of all pictures: colours, axes, and graphs of architectures."""

from __future__ import annotations

from typing import TYPE_CHECKING

from matplotlib.axes import Axes
from matplotlib.figure import Figure

if TYPE_CHECKING:
    from ..spaces.graph import Graph

INK, ACCENT, QUIET = "#22313f", "#c8553d", "#9db4c0"
COLORS = (  # of algorithms; legible on white and on black
    *("#c8553d", "#4a7fb5", "#6a994e", "#9db4c0", "#e09f3e"),
    *("#8d6bb8", "#3d8b8b", "#d98fb0", "#8a8d91", "#8a5a2b"),
    *("#b5b83d", "#3f3fbf"),
)
SIZE = (5.2, 4.0)  # inches; small, so that text stays readable on a phone


def one_plot(size: tuple[float, float] = SIZE) -> tuple[Figure, Axes]:
    """Make an empty figure with one pair of axes.

    Args:
        size: (width, height) in inches.

    Returns:
        The figure and its axes.
    """
    figure = Figure(figsize=size, layout="constrained", dpi=72)
    return figure, figure.subplots()


def finish(axes: Axes) -> None:
    """Give axes the common look, with a legend below them if anything drawn has a label."""
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    labels = axes.get_legend_handles_labels()[1]
    if labels:
        axes.figure.legend(
            loc="outside lower center",
            ncols=min(4, len(labels)),
            frameon=False,
            fontsize=9,
            handlelength=1.2,
            columnspacing=1.2,
        )


def draw_graph(axes: Axes, graph: Graph) -> None:
    """Draw a graph from left to right: inputs first, then nodes on alternating sides."""
    n = len(graph.inputs)
    place = {name: (0, (n - 1) / 2 * 2.0 - 2.0 * i) for i, name in enumerate(graph.inputs)}
    place |= {name: (2.2 + 1.5 * i, 0.9 if i % 2 else -0.9) for i, name in enumerate(graph.nodes)}
    into = dict.fromkeys(place, 0)
    for first, last, label in graph.edges:
        start, end = place[first], place[last]
        bend = 0.18 if into[last] % 2 else -0.18
        into[last] += 1
        arrow = dict(arrowstyle="-|>", color=QUIET, connectionstyle=f"arc3,rad={bend}")
        axes.annotate("", end, start, arrowprops=arrow | dict(shrinkA=16, shrinkB=14))
        if label:
            dx, dy = end[0] - start[0], end[1] - start[1]
            middle = (  # on the curved edge
                start[0] + 0.42 * dx + bend * 0.5 * dy,
                start[1] + 0.42 * dy - bend * 0.5 * dx,
            )
            box = dict(boxstyle="round,pad=0.15", fc="white", ec="none", alpha=0.85)
            axes.text(*middle, label, color=ACCENT, ha="center", va="center", fontsize=9, bbox=box)
    for name, (x, y) in place.items():
        box = dict(boxstyle="round,pad=0.35", fc="white", ec=INK)
        axes.text(x, y, name, ha="center", va="center", color=INK, fontsize=9, bbox=box)
    axes.set(xlim=(-0.7, 1.5 * len(graph.nodes) + 1.2), ylim=(-1.8, 1.8))
    axes.set_aspect("equal")  # so that labels lie on the curved edges
    axes.set_title(graph.title, color=INK, loc="left")
    axes.axis("off")
