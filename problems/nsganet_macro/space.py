"""The macro space of NSGA-Net and its encoding as bits.

An architecture consists of three phases of six nodes each, numbered 1 to 6 in the order in which
they compute. A bit for each pair of nodes says whether the output of the earlier node is an input
of the later node. One more bit per phase says whether a skip connection adds the input of the phase
to the output of the phase.

- A node without any connection is left out.
- A node without an input from another node takes the input of the phase.
- A node whose output is not an input of any other node is added to the output of the phase.
- The output of a phase without nodes is the input of the phase, with and without the skip bit.

A row x has 48 bits, as integers 0 and 1. Columns 16 p to 16 p + 15 describe phase p (0 to 2): the
bits of node 2 (input from node 1), of node 3 (inputs from nodes 1 and 2), ..., of node 6 (inputs
from nodes 1 to 5), and the skip bit. There are 2^48 = 2.8e14 rows, each a different architecture;
some architectures have the same network. The connections are those of Genetic CNN (Xie and Yuille,
ICCV 2017); NSGA-Net adds the skip bit.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np

from moonas.spaces.graph import Graph

N_PHASES = 3
N_NODES = 6  # per phase, numbered from 1
NODE_PAIRS = tuple(sorted(combinations(range(1, N_NODES + 1), 2), key=lambda pair: pair[::-1]))
BITS_PER_PHASE = len(NODE_PAIRS) + 1
N_VAR = N_PHASES * BITS_PER_PHASE
N_CHOICES = np.full(N_VAR, 2)


def _node_columns(phase: int) -> list[np.ndarray]:
    """Return the columns of the input bits of each node from 2 to 6, and the skip bit's column."""
    start = phase * BITS_PER_PHASE
    later = np.array([pair[1] for pair in NODE_PAIRS])
    nodes = [start + np.flatnonzero(later == node) for node in range(2, N_NODES + 1)]
    return [*nodes, np.array([start + BITS_PER_PHASE - 1])]


# Columns of the nodes of each phase, and columns of each node. A skip bit counts as a node.
BLOCKS = tuple(tuple(_node_columns(phase)) for phase in range(N_PHASES))
NODES = tuple(genes for nodes in BLOCKS for genes in nodes)


@dataclass(frozen=True)
class Phase:
    """The connections between the nodes of a phase, and its skip connection.

    Args:
        connections: (start, end) pairs of nodes, in ascending order of the end, then of the start.
        skip: whether the input of the phase is added to its output.
    """

    connections: tuple[tuple[int, int], ...]
    skip: bool

    @property
    def inputs(self) -> dict[int, tuple[int, ...]]:
        """Inputs of each node, by its number; input 0 is the input of the phase."""
        starts = {node: tuple(a for a, b in self.connections if b == node) for node in self.nodes}
        return {node: starts[node] or (0,) for node in self.nodes}

    @property
    def nodes(self) -> tuple[int, ...]:
        """Numbers of the nodes that have a connection, in ascending order."""
        return tuple(sorted({node for pair in self.connections for node in pair}))

    @property
    def outputs(self) -> tuple[int, ...]:
        """Numbers of the nodes whose sum is the output of the phase; 0 is the phase's input."""
        starts = {a for a, _ in self.connections}
        loose_ends = tuple(node for node in self.nodes if node not in starts)
        return ((0,) if self.skip or not loose_ends else ()) + loose_ends

    def graph(self, title: str) -> Graph:
        """Return the phase as a graph from its input to its output.

        Args:
            title: title of the drawing.
        """
        names = {0: "in"} | {node: str(node) for node in self.nodes}
        edges = [(names[a], names[b], "") for b, inputs in self.inputs.items() for a in inputs]
        edges += [(names[node], "out", "") for node in self.outputs]
        return Graph(title, ("in",), (*map(str, self.nodes), "out"), tuple(edges), ("out",))

    def __str__(self) -> str:
        """Nodes with their inputs, and the skip connection: ``1(0) 2(0) 3(1,2) skip``."""
        words = [f"{node}({','.join(map(str, inputs))})" for node, inputs in self.inputs.items()]
        return " ".join([*words, *(["skip"] if self.skip else [])]) or "nothing"


@dataclass(frozen=True)
class Architecture:
    """A network of three phases."""

    phases: tuple[Phase, ...]

    def __str__(self) -> str:
        """The phases as text, separated by slashes."""
        return " / ".join(map(str, self.phases))


def decode(x: np.ndarray) -> Architecture:
    """Return the architecture of one row, (48,) ints."""
    phases = []
    for bits in np.asarray(x).reshape(N_PHASES, BITS_PER_PHASE).tolist():
        connections = tuple(pair for pair, bit in zip(NODE_PAIRS, bits, strict=False) if bit)
        phases.append(Phase(connections, bool(bits[-1])))
    return Architecture(tuple(phases))


def encode(architecture: Architecture) -> np.ndarray:
    """Return the row, (48,) int64, of an architecture."""
    return np.array(
        [
            int(bit)
            for phase in architecture.phases
            for bit in (*(pair in phase.connections for pair in NODE_PAIRS), phase.skip)
        ]
    )


def to_json(architecture: Architecture) -> dict[str, Any]:
    """Return an architecture as a JSON-serializable dict.

    The dict has the form ``{"phases": [{"connections": [[1, 2], ...], "skip": true}, ...]}``.
    """
    return {
        "phases": [
            {"connections": [list(pair) for pair in phase.connections], "skip": phase.skip}
            for phase in architecture.phases
        ]
    }


def from_json(value: Any) -> Architecture:
    """Return the architecture that :func:`to_json` wrote.

    Raises:
        ValueError: the value is not an architecture of this space; the message says why.
    """
    try:
        phases = [(p["connections"], p["skip"]) for p in value["phases"]]
        pairs = [sorted({(a, b) for a, b in c}, key=lambda pair: pair[::-1]) for c, _ in phases]
    except (TypeError, KeyError, ValueError):
        raise ValueError(
            f"Expected a dict with 'phases', each with 'connections' and 'skip'; got {value!r}."
        ) from None
    if len(phases) != N_PHASES:
        raise ValueError(f"Expected {N_PHASES} phases; got {len(phases)}.")
    for pair in (pair for connections in pairs for pair in connections):
        if pair not in NODE_PAIRS:
            raise ValueError(
                f"Connection {list(pair)} is not in this space: expected a pair [start, end] of "
                f"nodes from 1 to {N_NODES} with start < end."
            )
    return Architecture(
        tuple(Phase(tuple(c), bool(skip)) for c, (_, skip) in zip(pairs, phases, strict=True))
    )
