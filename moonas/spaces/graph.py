"""Architectures as graphs, for drawings."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Graph:
    """A directed acyclic graph of (a part of) an architecture.

    Args:
        title: title of a drawing.
        inputs: names of the input nodes.
        nodes: names of all other nodes, in the order of computation.
        edges: (start node, end node, label) of each edge; the label may be "".
    """

    title: str
    inputs: tuple[str, ...]
    nodes: tuple[str, ...]
    edges: tuple[tuple[str, str, str], ...]
