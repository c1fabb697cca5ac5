"""Architectures as graphs, from top to bottom."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import TYPE_CHECKING

from matplotlib.axes import Axes
from matplotlib.patches import FancyArrowPatch
from matplotlib.path import Path

from .layers import Edge, layers, layout
from .style import INK, QUIET, styled

if TYPE_CHECKING:
    from ..spaces.graph import Graph

CHARACTER = 0.085  # inches per character of a label
PADDING = 0.3  # inches beside the text of a box and between boxes
ROW = 0.42  # inches from layer to layer
WIDE_ROOM = 0.2  # further inches above an output in which more than two edges end
HALF_BOX = 0.13  # inches from the middle of a box to its upper edge
TITLE = 0.3  # inches above the first layer
FILL = "#ffffff"  # pages replace it with their background


@styled
def graph(axes: Axes, graph: Graph) -> Axes:
    """Draw the graph of an architecture or of a cell, with inputs at the top.

    Operations are boxes on the edges. Nodes that do not lie between an input and an output are left
    out. Text is 9 points high if the figure has the size that :func:`graph_size` returns.

    Args:
        axes: axes to draw on; their frame is removed, and their title is that of the graph.
        graph: the graph.

    Returns:
        ``axes``.
    """
    texts, edges, operations = _parts(graph)
    level, position, routes = _layout(texts, edges, graph)
    height = _heights(level, edges)
    for start, end in edges:
        bottom, top = height[start], height[end]
        points = [(position[start], bottom)]
        points += [(x, -ROW * y) for x, y in routes[start, end]]
        style = "-" if end in operations else "-|>"
        points.append((position[end], top if style == "-" else top + HALF_BOX))
        arrow = FancyArrowPatch(path=_curve(points), arrowstyle=style, mutation_scale=9)
        arrow.set(color=QUIET, lw=1.1, zorder=1)
        axes.add_patch(arrow)
    for name, text in texts.items():
        box = dict(boxstyle="round,pad=0.28", fc=FILL, ec=INK, lw=1.0)
        if name in operations:
            box = dict(boxstyle="round,pad=0.22", fc=FILL, ec=QUIET, lw=0.7)
        axes.text(
            *(position[name], height[name], _typeset(text)),
            ha="center",
            va="center",
            fontsize=9,
            color=INK,
            bbox=box,
            zorder=2,
        )
    left, right = _limits(texts, position, routes)
    axes.set(xlim=(left, right), ylim=(min(height.values()) - 0.25, 0.25))
    axes.set_aspect("equal")
    axes.set_anchor("N")
    axes.set_title(graph.title)
    axes.axis("off")
    return axes


def graph_size(graph: Graph) -> tuple[float, float]:
    """Return the width and the height in inches at which a graph is drawn in its full size."""
    texts, edges, _ = _parts(graph)
    level, position, routes = _layout(texts, edges, graph)
    left, right = _limits(texts, position, routes)
    return right - left + 0.1, 0.5 + TITLE - min(_heights(level, edges).values())


def used_nodes(graph: Graph) -> set[str]:
    """Return the nodes on paths from an input to an output or, without any, the inputs.

    Outputs are the nodes without outgoing edges that :class:`~moonas.spaces.graph.Graph` names or,
    if it names none, all of them.
    """
    ends = {end for _, end, _ in graph.edges}
    starts = {start for start, _, _ in graph.edges}
    outputs = set(graph.outputs) or (ends - starts)
    reached, leading = set(graph.inputs), set(outputs)
    for _ in range(len(graph.nodes) + 1):
        reached |= {end for start, end, _ in graph.edges if start in reached}
        leading |= {start for start, end, _ in graph.edges if end in leading}
    return (reached & leading) or set(graph.inputs)


def _parts(graph: Graph) -> tuple[dict[str, str], list[Edge], set[str]]:
    """Return node -> text, edges, and which nodes are operations, which were labels of edges."""
    used = used_nodes(graph)
    texts = {name: name for name in (*graph.inputs, *graph.nodes) if name in used}
    edges: list[Edge] = []
    operations = set()
    for i, (start, end, label) in enumerate(graph.edges):
        if start not in used or end not in used:
            continue
        if not label:
            edges.append((start, end))
            continue
        name = f"operation {i}"
        texts[name] = label
        operations.add(name)
        edges += [(start, name), (name, end)]
    return texts, edges, operations


def _heights(level: dict[str, int], edges: list[Edge]) -> dict[str, float]:
    """Return the vertical position of each node in inches, at most 0.

    Above an output in which many edges end there is more room, so that they pass no other node.
    """
    last = max(level.values())
    room = {n: WIDE_ROOM * (k == last) for n, k in level.items()}
    n_edges = {name: sum(end == name for _, end in edges) for name in level}
    return {n: -ROW * k - room[n] * (n_edges[n] > 2) for n, k in level.items()}


def _limits(
    texts: dict[str, str],
    position: dict[str, float],
    routes: dict[Edge, list[tuple[float, float]]],
) -> tuple[float, float]:
    """Return the left and the right end of a drawing."""
    ends = [(position[n] - _width(t) / 2, position[n] + _width(t) / 2) for n, t in texts.items()]
    ends += [(x - 0.12, x + 0.12) for route in routes.values() for x, _ in route]
    left, right = zip(*ends, strict=True)
    return min(left), max(right)


def _layout(
    texts: dict[str, str], edges: list[Edge], graph: Graph
) -> tuple[dict[str, int], dict[str, float], dict[Edge, list[tuple[float, float]]]]:
    level = layers(list(texts), edges)
    ends = dict(edges)
    for name in texts:
        if name.startswith("operation "):  # next to the node that it leads to
            level[name] = level[ends[name]] - 1
    position, routes = layout(level, edges, {name: _width(text) for name, text in texts.items()})
    return level, position, routes


def _width(text: str) -> float:
    return CHARACTER * max(len(text), 1) + PADDING


def _typeset(text: str) -> str:
    """Return the text of a node, with states of papers such as c[k-2] as c with an index."""
    return re.sub(r"(\w)\[([^]]+)\]", r"$\1_{\2}$", text)


def _curve(points: list[tuple[float, float]]) -> Path:
    """Return a smooth path through points that starts and ends vertically."""
    vertices, codes = [points[0]], [int(Path.MOVETO)]
    for i, ((x0, y0), (x1, y1)) in enumerate(pairwise(points)):
        # the slope at an inner point is that of the line between its neighbors
        def slope(k: int) -> float:
            if k in (0, len(points) - 1):
                return 0.0
            (xa, ya), (xb, yb) = points[k - 1], points[k + 1]
            return (xb - xa) / (yb - ya)

        third = (y1 - y0) / 3
        vertices += [
            (x0 + slope(i) * third, y0 + third),
            (x1 - slope(i + 1) * third, y1 - third),
            (x1, y1),
        ]
        codes += [int(Path.CURVE4)] * 3
    return Path(vertices, codes)
