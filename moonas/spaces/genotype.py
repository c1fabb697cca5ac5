"""Genotypes: a normal and a reduction cell, in the format that papers print.

A cell is a list of edges, two edges per node. An edge is a pair (operation, state): the operation
and the index of its input state. In the text form, an edge is ``operation@state`` with the short
name of the operation, and edges are separated by spaces, as in ``sep3@0 skip@1``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from .graph import Graph

Edge = tuple[str, int]  # (name of the operation, index of its input state)
Concat = Callable[[Sequence[Edge]], Sequence[int]]
CELL_OUTPUT = "c[k]"  # name of the node that concatenates other nodes

SHORT_NAMES = {
    "skip_connect": "skip",
    "max_pool_3x3": "max3",
    "avg_pool_3x3": "avg3",
    "squeeze_excitation": "se",
    "eca_3x3": "eca",
    "lbc_3x3": "lbc3",
    "lbc_5x5": "lbc5",
    "dil_conv_3x3": "dil3",
    "dil_conv_5x5": "dil5",
    "sep_conv_3x3": "sep3",
    "sep_conv_5x5": "sep5",
    "sep_conv_7x7": "sep7",
    "conv_1x7_7x1": "1x7",
}
LONG_NAMES = {short: name for name, short in SHORT_NAMES.items()}


@dataclass(frozen=True)
class Cells:
    """A normal and a reduction cell.

    Args:
        normal: edges of the normal cell, two per node.
        reduction: edges of the reduction cell, two per node.
    """

    normal: tuple[Edge, ...]
    reduction: tuple[Edge, ...]

    def __str__(self) -> str:
        """Describe each node as a sum of edges, as in ``sep3(0)+skip(1)``; ``none`` is omitted."""
        return " / ".join(_describe_nodes(cell) for cell in (self.normal, self.reduction))

    @property
    def text(self) -> str:
        """Both cells in the text form that settings and files use; see :func:`format_edges`."""
        return " / ".join(format_edges(cell) for cell in (self.normal, self.reduction))

    def graphs(self, kind: str = "cell", concat: Concat | None = None) -> list[Graph]:
        """Return the graphs of the normal and the reduction cell.

        Args:
            kind: word for "cell" in the titles of the graphs, such as "block".
            concat: edges of a cell -> states that it concatenates; by default, all nodes.
        """
        return [
            cell_graph(self.normal, f"normal {kind}", concat),
            cell_graph(self.reduction, f"reduction {kind}", concat),
        ]


def _describe_nodes(cell: Sequence[Edge]) -> str:
    nodes = []
    for index in range(0, len(cell), 2):
        edges = [
            f"{SHORT_NAMES[o]}({state})" for o, state in cell[index : index + 2] if o != "none"
        ]
        nodes.append("+".join(edges) or "zero")
    return " ".join(nodes)


def parse_edges(text: str) -> list[Edge]:
    """Parse the text form of a cell to edges.

    Raises:
        ValueError: a word of the text is not an edge.
    """
    edges = []
    for word in text.split():
        short, at, state = word.partition("@")
        if short not in LONG_NAMES or not at or not state.isdecimal():
            raise ValueError(
                f"{word!r} is not an edge; expected operation@state, where operation is one of "
                f"{list(LONG_NAMES)}."
            )
        edges.append((LONG_NAMES[short], int(state)))
    return edges


def format_edges(edges: Iterable[Edge]) -> str:
    """Format the edges of a cell as text; the inverse of :func:`parse_edges`."""
    return " ".join(f"{SHORT_NAMES[name]}@{state}" for name, state in edges)


def cell_graph(edges: Sequence[Edge], title: str, concat: Concat | None = None) -> Graph:
    """Return the graph of a cell, from the outputs of the two cells before it to its own.

    Edges with the operation ``none`` are omitted.

    Args:
        edges: (operation, state) pairs, two per node.
        title: title of the graph.
        concat: edges -> states whose concatenation is the output; by default, all nodes.
    """
    names = ["0: c[k-2]", "1: c[k-1]", *(str(2 + i) for i in range(len(edges) // 2))]
    states = range(2, len(names)) if concat is None else concat(edges)
    graph_edges = tuple(
        (names[state], names[2 + index // 2], SHORT_NAMES.get(operation, operation))
        for index, (operation, state) in enumerate(edges)
        if operation != "none"
    )
    graph_edges += tuple((names[state], CELL_OUTPUT, "") for state in states)
    return Graph(title, tuple(names[:2]), (*names[2:], CELL_OUTPUT), graph_edges, (CELL_OUTPUT,))


def check_cell(
    name: str, pairs: Sequence[Edge], operations: Sequence[str], n_nodes: int
) -> tuple[Edge, ...]:
    """Validate the edges of a cell.

    Args:
        name: name of the cell, for error messages.
        pairs: (operation, state) pairs, two per node. The state of an edge of node i must be in
            [0, i + 1].
        operations: names of the operations of the search space.
        n_nodes: number of nodes of a cell.

    Returns:
        The edges as a tuple of (operation, state) pairs, two per node.

    Raises:
        ValueError: the cell has the wrong number of edges, an unknown operation, or an edge whose
            input is not an earlier state.
    """
    if len(pairs) != 2 * n_nodes:
        raise ValueError(
            f"The {name} cell must have {2 * n_nodes} edges, two per node; got {len(pairs)}."
        )
    cell = tuple((str(operation), int(state)) for operation, state in pairs)
    for index, (operation, state) in enumerate(cell):
        node = index // 2
        if operation not in operations:
            raise ValueError(
                f"Unknown operation {operation!r} in node {node} of the {name} cell; "
                f"choose from {list(operations)}."
            )
        if not 0 <= state < node + 2:
            raise ValueError(
                f"An edge of node {node} of the {name} cell starts from state {state}; expected a "
                f"state from 0 to {node + 1}."
            )
    return cell


def to_json(cells: Cells) -> dict[str, list[list[Any]]]:
    """Convert cells to JSON: {"normal": [[operation, state], ...], "reduce": [...]}."""
    return {
        "normal": [list(edge) for edge in cells.normal],
        "reduce": [list(edge) for edge in cells.reduction],
    }


def edges_from_json(value: Any) -> tuple[list[Edge], list[Edge]]:
    """Return the edges of the normal and the reduction cell in a JSON value from :func:`to_json`.

    The edges are not validated; see :func:`check_cell`.

    Raises:
        ValueError: the key of a cell is missing.
    """
    if not isinstance(value, dict) or not {"normal", "reduce"} <= set(value):
        raise ValueError(
            f"The JSON of an architecture must have the keys 'normal' and 'reduce'; got {value!r}."
        )
    return value["normal"], value["reduce"]
