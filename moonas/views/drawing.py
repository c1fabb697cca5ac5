"""Common style of all figures: colors, axes, and drawings of architectures as graphs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

if TYPE_CHECKING:
    from ..spaces.graph import Graph

# colors of text and outlines, of highlights, and of background elements
INK, ACCENT, QUIET = "#22313f", "#c8553d", "#9db4c0"
COLORS = (  # of algorithms; legible on white and on black
    *("#c8553d", "#4a7fb5", "#6a994e", "#9db4c0", "#e09f3e"),
    *("#8d6bb8", "#3d8b8b", "#d98fb0", "#8a8d91", "#8a5a2b"),
    *("#b5b83d", "#3f3fbf"),
)
FIGURE_SIZE = (5.2, 4.0)  # inches; small, to keep text readable on a phone


def create_figure(size: tuple[float, float] = FIGURE_SIZE) -> tuple[Figure, Axes]:
    """Create an empty figure with one pair of axes.

    Args:
        size: (width, height) in inches.

    Returns:
        The figure and its axes.
    """
    figure = Figure(figsize=size, layout="constrained", dpi=72)
    return figure, figure.subplots()


def apply_style(axes: Axes) -> None:
    """Apply the common style to axes, with a legend below them if any artist has a label."""
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
    """Draw a graph from left to right: the inputs, then the nodes, alternating up and down.

    Args:
        axes: axes of the drawing; their frame is removed.
        graph: the graph; its title becomes the title of the axes.
    """
    n = len(graph.inputs)
    positions: dict[str, tuple[float, float]] = {
        name: (0.0, (n - 1) / 2 * 2.0 - 2.0 * i) for i, name in enumerate(graph.inputs)
    }
    for i, name in enumerate(graph.nodes):
        positions[name] = 2.2 + 1.5 * i, 0.9 if i % 2 else -0.9
    n_incoming = dict.fromkeys(positions, 0)
    for source, target, label in graph.edges:
        start, end = positions[source], positions[target]
        bend = 0.18 if n_incoming[target] % 2 else -0.18
        n_incoming[target] += 1
        arrow: dict[str, Any] = dict(
            arrowstyle="-|>",
            color=QUIET,
            connectionstyle=f"arc3,rad={bend}",
            shrinkA=16,
            shrinkB=14,
        )
        axes.annotate("", end, start, arrowprops=arrow)
        if label:
            dx, dy = end[0] - start[0], end[1] - start[1]
            x = start[0] + 0.42 * dx + bend * 0.5 * dy  # a point on the curved edge
            y = start[1] + 0.42 * dy - bend * 0.5 * dx
            box = dict(boxstyle="round,pad=0.15", fc="white", ec="none", alpha=0.85)
            axes.text(x, y, label, color=ACCENT, ha="center", va="center", fontsize=9, bbox=box)
    for name, (x, y) in positions.items():
        box = dict(boxstyle="round,pad=0.35", fc="white", ec=INK)
        axes.text(x, y, name, ha="center", va="center", color=INK, fontsize=9, bbox=box)
    axes.set(xlim=(-0.7, 1.5 * len(graph.nodes) + 1.2), ylim=(-1.8, 1.8))
    axes.set_aspect("equal")  # keeps the labels on the curved edges
    axes.set_title(graph.title, color=INK, loc="left")
    axes.axis("off")
