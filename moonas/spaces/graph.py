"""Graphs of architectures, for plots."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Graph:
    """A directed acyclic graph of an architecture or of a part, such as a cell.

    Args:
        title: title of a plot of the graph.
        inputs: names of the input nodes.
        nodes: names of all other nodes, in the order in which they are computed.
        edges: (start node, end node, label) of each edge; the label may be "".
        outputs: names of the output nodes; by default, the nodes without outgoing edges.
    """

    title: str
    inputs: tuple[str, ...]
    nodes: tuple[str, ...]
    edges: tuple[tuple[str, str, str], ...]
    outputs: tuple[str, ...] = ()
