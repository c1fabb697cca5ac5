"""Layered layout of directed acyclic graphs, as Graphviz's ``dot`` draws them.

Sweeps over the layers put each node at the mean position of its neighbors. With igraph
(``pip install 'moonas[draw]'``), the order of its Sugiyama layout is taken if fewer edges cross.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np

SWEEPS = 24
Edge = tuple[str, str]


def layers(nodes: Sequence[str], edges: Sequence[Edge]) -> dict[str, int]:
    """Return the layer of each node: the number of edges on the longest path to it.

    Args:
        nodes: names of the nodes.
        edges: (start, end) pairs without cycles.

    Raises:
        ValueError: the graph has a cycle.
    """
    layer = dict.fromkeys(nodes, 0)
    for _ in range(len(nodes) + 1):
        changed = False
        for start, end in edges:
            if layer[end] <= layer[start]:
                layer[end], changed = layer[start] + 1, True
        if not changed:
            return layer
    raise ValueError("The graph is invalid: expected no cycles.")


def layout(
    layer: Mapping[str, int], edges: Sequence[Edge], widths: Mapping[str, float]
) -> tuple[dict[str, float], dict[Edge, list[tuple[float, float]]]]:
    """Place nodes on their layers so that few edges cross, and route edges between the nodes.

    Args:
        layer: node -> number of its layer; every edge leads to a higher layer.
        edges: (start, end) pairs.
        widths: node -> space that it needs along its layer.

    Returns:
        Node -> position along its layer, and edge -> (position, layer) of the points through which
        it passes on the layers between its ends.
    """
    inner: dict[Edge, list[str]] = {}
    level, links, width = dict(layer), [], dict(widths)
    for i, (start, end) in enumerate(edges):
        names = [f"edge {i}: {k}" for k in range(layer[start] + 1, layer[end])]
        inner[start, end] = names
        level |= {name: layer[start] + 1 + k for k, name in enumerate(names)}
        width |= dict.fromkeys(names, 0.7 * min(widths.values(), default=1.0))
        path = [start, *names, end]
        links += list(pairwise(path))
    order = _order(level, links)
    position = _positions(order, links, width)
    routes = {
        edge: [(position[n], float(level[n])) for n in names] for edge, names in inner.items()
    }
    return {name: position[name] for name in layer}, routes


def _order(level: Mapping[str, int], links: Sequence[Edge]) -> list[list[str]]:
    """Return the nodes of each layer from left to right, with few crossings of links."""
    rows: list[list[str]] = [[] for _ in range(max(level.values(), default=0) + 1)]
    for name, number in level.items():
        rows[number].append(name)
    above: dict[str, list[str]] = {name: [] for name in level}
    below: dict[str, list[str]] = {name: [] for name in level}
    for start, end in links:
        above[end].append(start)
        below[start].append(end)
    best, fewest = [list(row) for row in rows], crossings(rows, links)
    for sweep in range(SWEEPS):
        neighbors = above if sweep % 2 == 0 else below
        place = {name: i / max(len(row) - 1, 1) for row in rows for i, name in enumerate(row)}
        for row in rows if sweep % 2 == 0 else rows[::-1]:
            means = {
                name: float(np.mean([place[n] for n in neighbors[name]]))
                if neighbors[name]
                else place[name]
                for name in row
            }
            row.sort(key=means.__getitem__)
            place |= {name: i / max(len(row) - 1, 1) for i, name in enumerate(row)}
        _swap_neighbors(rows, links)
        n = crossings(rows, links)
        if n < fewest:
            best, fewest = [list(row) for row in rows], n
    found = _order_by_igraph(level, links)
    if found is not None:
        other = [sorted(row, key=found.__getitem__) for row in rows]
        return other if crossings(other, links) < fewest else best
    return best


def _swap_neighbors(rows: list[list[str]], links: Sequence[Edge]) -> None:
    """Swap adjacent nodes of a layer where this removes crossings."""
    for row in rows:
        of_row = [link for link in links if link[0] in row or link[1] in row]
        for i in range(len(row) - 1):
            before = crossings(rows, of_row)
            row[i], row[i + 1] = row[i + 1], row[i]
            if crossings(rows, of_row) >= before:
                row[i], row[i + 1] = row[i + 1], row[i]


def crossings(rows: Sequence[Sequence[str]], links: Sequence[Edge]) -> int:
    """Return the number of pairs of links that cross.

    Args:
        rows: nodes of each layer from left to right.
        links: (start, end) pairs of nodes on adjacent layers.
    """
    at = {name: (number, i) for number, row in enumerate(rows) for i, name in enumerate(row)}
    n = 0
    for i, (a, b) in enumerate(links):
        for c, d in links[:i]:
            if at[a][0] == at[c][0]:
                n += (at[a][1] - at[c][1]) * (at[b][1] - at[d][1]) < 0
    return n


def _order_by_igraph(level: Mapping[str, int], links: Sequence[Edge]) -> dict[str, float] | None:
    """Return the position of each node along its layer, or None without igraph."""
    try:
        import igraph
    except ImportError:
        return None
    names = list(level)
    number = {name: i for i, name in enumerate(names)}
    graph = igraph.Graph([(number[a], number[b]) for a, b in links], directed=True)
    graph.add_vertices(len(names) - graph.vcount())
    # every link joins adjacent layers, so that igraph adds no nodes of its own
    drawn = graph.layout_sugiyama(layers=[level[name] for name in names], maxiter=200)
    return {name: float(drawn[i][0]) for i, name in enumerate(names)}


def _positions(
    order: Sequence[Sequence[str]], links: Sequence[Edge], width: Mapping[str, float]
) -> dict[str, float]:
    """Return positions along the layers: near the neighbors, in order, without overlaps."""
    neighbors: dict[str, list[str]] = {name: [] for row in order for name in row}
    for start, end in links:
        neighbors[start].append(end)
        neighbors[end].append(start)
    position: dict[str, float] = {}
    for row in order:
        starts = np.cumsum([0.0, *(width[name] for name in row)])
        for name, left in zip(row, starts, strict=False):
            position[name] = float(left + width[name] / 2 - starts[-1] / 2)
    for sweep in range(SWEEPS):
        for row in order if sweep % 2 == 0 else order[::-1]:
            wanted = [
                float(np.mean([position[n] for n in neighbors[name]]))
                if neighbors[name]
                else position[name]
                for name in row
            ]
            position |= dict(zip(row, _spread(wanted, [width[n] for n in row]), strict=True))
    return position


def _spread(wanted: Sequence[float], widths: Sequence[float]) -> list[float]:
    """Return the positions in order that are closest to the wanted ones and do not overlap.

    This is isotonic regression: positions less the space before them must not decrease.
    """
    space = np.cumsum([0.0, *((a + b) / 2 for a, b in pairwise(widths))])
    blocks: list[list[float]] = []  # [sum, count] of merged values, with increasing means
    for value in np.asarray(wanted) - space:
        blocks.append([float(value), 1.0])
        while len(blocks) > 1 and blocks[-2][0] / blocks[-2][1] > blocks[-1][0] / blocks[-1][1]:
            total, count = blocks.pop()
            blocks[-1][0] += total
            blocks[-1][1] += count
    fitted = [total / count for total, count in blocks for _ in range(int(count))]
    return [value + offset for value, offset in zip(fitted, space.tolist(), strict=True)]
