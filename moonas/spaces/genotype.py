"""Genotypes of two cells, as papers print them: lists of (operation, state) pairs, two a node.

As text, an edge is written operation@state with the operation's short name, and edges are parted by
spaces.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from .graph import Graph

Edge = tuple[str, int]  # operation, and the state that it starts from

SHORT = {
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
LONG = {short: name for name, short in SHORT.items()}


@dataclass(frozen=True)
class Cells:
    """A normal and a reduction cell, each a tuple of edges, two a node."""

    normal: tuple[Edge, ...]
    reduction: tuple[Edge, ...]

    def __str__(self) -> str:
        """Nodes as sums of their edges, ``sep3(0)+skip(1)``, without edges that are ``none``."""
        return " / ".join(_nodes_of(cell) for cell in (self.normal, self.reduction))

    @property
    def text(self) -> str:
        """The cells as settings and files hold them, see :func:`text_of_edges`."""
        return " / ".join(text_of_edges(cell) for cell in (self.normal, self.reduction))

    def graphs(self, kind: str = "cell") -> list[Graph]:
        """Both cells as graphs.

        Args:
            kind: of thing that a task calls them, for the titles.
        """
        return [
            graph_of_cell(self.normal, f"normal {kind}"),
            graph_of_cell(self.reduction, f"reduction {kind}"),
        ]


def _nodes_of(cell):
    nodes = []
    for index in range(0, len(cell), 2):
        edges = [f"{SHORT[o]}({state})" for o, state in cell[index : index + 2] if o != "none"]
        nodes.append("+".join(edges) or "zero")
    return " ".join(nodes)


def edges_of_text(text: str) -> list[Edge]:
    """The (operation, state) pairs of a cell's text; a ``ValueError`` names what is no edge."""
    edges = []
    for word in text.split():
        short, at, state = word.partition("@")
        if short not in LONG or not at or not state.isdecimal():
            raise ValueError(
                f"{word!r} is no edge; write operation@state, with an operation of {list(LONG)}."
            )
        edges.append((LONG[short], int(state)))
    return edges


def text_of_edges(edges: Iterable[Edge]) -> str:
    """A cell as the text that :func:`edges_of_text` reads."""
    return " ".join(f"{SHORT[name]}@{state}" for name, state in edges)


def graph_of_cell(edges: Sequence[Edge], title: str) -> Graph:
    """A cell as a :class:`~moonas.spaces.graph.Graph`, without edges of the operation ``none``.

    Args:
        edges: (operation, state) pairs, two a node.
        title: of the graph.
    """
    names = ["0: c[k-2]", "1: c[k-1]", *(str(2 + i) for i in range(len(edges) // 2))]
    joined = tuple(
        (names[state], names[2 + index // 2], SHORT.get(operation, operation))
        for index, (operation, state) in enumerate(edges)
        if operation != "none"
    )
    return Graph(title, tuple(names[:2]), tuple(names[2:]), joined)


def check_cell(
    name: str, pairs: Sequence[Edge], operations: Sequence[str], n_nodes: int
) -> tuple[Edge, ...]:
    """The edges of a cell as a tuple of (operation, state), two a node.

    Args:
        name: of the cell, for messages.
        pairs: (operation, state) pairs; node i may start from the states 0 to i + 1.
        operations: the names there are.
        n_nodes: of the cell.

    Raises:
        ValueError: the cell has another number of edges, an unknown operation, or an edge that
            starts from a state that is not there yet.
    """
    if len(pairs) != 2 * n_nodes:
        raise ValueError(
            f"The {name} cell has {len(pairs)} edges; this space has {2 * n_nodes}, two a node."
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
                f"Node {node} of the {name} cell starts from state {state}; "
                f"it can start from 0 to {node + 1}."
            )
    return cell


def to_json(cells: Cells) -> dict[str, list]:
    """A dict that JSON can hold: {"normal": [[operation, state], ...], "reduce": [...]}."""
    return {
        "normal": [list(edge) for edge in cells.normal],
        "reduce": [list(edge) for edge in cells.reduction],
    }


def edges_of_json(value: Any) -> tuple[list, list]:
    """The edges of both cells, unchecked, of what :func:`to_json` wrote.

    Raises:
        ValueError: a cell is missing.
    """
    if not isinstance(value, dict) or not {"normal", "reduce"} <= set(value):
        raise ValueError(f"An architecture has the keys 'normal' and 'reduce'; got {value!r}.")
    return value["normal"], value["reduce"]
