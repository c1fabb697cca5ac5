"""Architectures as graphs, for whoever draws them."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Graph:
    """A part of an architecture: nodes, and what leads from one to another.

    Args:
        title: of a drawing.
        inputs: names of the nodes that it starts from.
        nodes: names of the others, in the order in which they compute.
        edges: (start, end, label) of nodes by name; "" for no label.
    """

    title: str
    inputs: tuple[str, ...]
    nodes: tuple[str, ...]
    edges: tuple[tuple[str, str, str], ...]
