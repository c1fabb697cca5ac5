"""The macro space of NSGA-Net: what a vector of bits means.

An architecture is three phases. A phase has six nodes, numbered 1 to 6 in the order in which they
compute; a bit for each pair of nodes says whether the later one takes the earlier one's output, and
one more bit whether the phase's input skips past all computation to its output.

- A node without any connection is not there.
- A node that takes no other node's output takes the phase's input.
- A node that no other node takes goes to the phase's output.
- Without any node, the phase's output is its input, whatever the skip bit.

Layout of x, 48 bits as integers 0 and 1. Columns 16 p to 16 p + 15 belong to phase p (0 to 2): the
bits of node 2 (from node 1), of node 3 (from 1 and 2), ..., of node 6 (from 1 to 5), and the skip
bit. 2^48 = 2.8e14 vectors; ``encode`` and ``decode`` are inverse on all of them, though some stand
for the same network. The connections are those of Genetic CNN (Xie and Yuille, ICCV 2017), the skip
bit is NSGA-Net's.
"""

from dataclasses import dataclass
from itertools import combinations

import numpy as np

from moonas.spaces.graph import Graph

N_PHASES = 3
N_NODES = 6  # of a phase, numbered from 1
PAIRS = tuple(sorted(combinations(range(1, N_NODES + 1), 2), key=lambda pair: pair[::-1]))
BITS = len(PAIRS) + 1  # of a phase
N_VAR = N_PHASES * BITS
N_CHOICES = np.full(N_VAR, 2)


def _nodes_of(phase):
    """Columns of each node's incoming bits, nodes 2 to 6, and of the skip bit."""
    start = phase * BITS
    later = np.array([pair[1] for pair in PAIRS])
    nodes = [start + np.flatnonzero(later == node) for node in range(2, N_NODES + 1)]
    return [*nodes, np.array([start + BITS - 1])]


BLOCKS = tuple(tuple(_nodes_of(phase)) for phase in range(N_PHASES))
NODES = tuple(genes for nodes in BLOCKS for genes in nodes)


@dataclass(frozen=True)
class Phase:
    """Connections (from, to) between nodes, ascending by the later node, and the skip bit."""

    connections: tuple[tuple[int, int], ...]
    skip: bool

    @property
    def inputs(self):
        """Node -> the nodes that it takes, ascending; 0 is the phase's input. In order."""
        taken = {node: tuple(a for a, b in self.connections if b == node) for node in self.nodes}
        return {node: taken[node] or (0,) for node in self.nodes}

    @property
    def nodes(self):
        """The nodes that are there, ascending."""
        return tuple(sorted({node for pair in self.connections for node in pair}))

    @property
    def outputs(self):
        """What adds up to the phase's output: nodes that no other takes, and 0 for its input."""
        taken = {a for a, _ in self.connections}
        loose = tuple(node for node in self.nodes if node not in taken)
        return ((0,) if self.skip or not loose else ()) + loose

    def graph(self, title):
        """Its nodes from its input to its output, a :class:`~moonas.spaces.graph.Graph`."""
        names = {0: "in"} | {node: str(node) for node in self.nodes}
        edges = [(names[a], names[b], "") for b, taken in self.inputs.items() for a in taken]
        edges += [(names[node], "out", "") for node in self.outputs]
        return Graph(title, ("in",), (*map(str, self.nodes), "out"), tuple(edges))

    def __str__(self):
        """In words: each node with what it takes, as ``1(0) 3(1,2)``, and ``skip``."""
        words = [f"{node}({','.join(map(str, taken))})" for node, taken in self.inputs.items()]
        return " ".join([*words, *(["skip"] if self.skip else [])]) or "nothing"


@dataclass(frozen=True)
class Architecture:
    """Three phases."""

    phases: tuple[Phase, ...]

    def __str__(self):
        """The phases in words."""
        return " / ".join(map(str, self.phases))


def decode(x):
    """The architecture of one row of bits, (48,)."""
    phases = []
    for bits in np.asarray(x).reshape(N_PHASES, BITS).tolist():
        connections = tuple(pair for pair, bit in zip(PAIRS, bits, strict=False) if bit)
        phases.append(Phase(connections, bool(bits[-1])))
    return Architecture(tuple(phases))


def encode(architecture):
    """The row of bits, (48,) int64, of an architecture."""
    return np.array(
        [
            int(bit)
            for phase in architecture.phases
            for bit in (*(pair in phase.connections for pair in PAIRS), phase.skip)
        ]
    )


def to_json(architecture):
    """A dict that JSON can hold: {"phases": [{"connections": [[1, 2], ...], "skip": true}, ..]}."""
    return {
        "phases": [
            {"connections": [list(pair) for pair in phase.connections], "skip": phase.skip}
            for phase in architecture.phases
        ]
    }


def from_json(value):
    """The architecture that :func:`to_json` wrote; else a ``ValueError`` says what is wrong."""
    try:
        phases = [(p["connections"], p["skip"]) for p in value["phases"]]
        pairs = [sorted({(a, b) for a, b in c}, key=lambda pair: pair[::-1]) for c, _ in phases]
    except (TypeError, KeyError, ValueError):
        raise ValueError(
            f"An architecture has 'phases', each with 'connections' and 'skip'; got {value!r}."
        ) from None
    if len(phases) != N_PHASES:
        raise ValueError(f"An architecture of this space has {N_PHASES} phases; got {len(phases)}.")
    for pair in (pair for connections in pairs for pair in connections):
        if pair not in PAIRS:
            raise ValueError(
                f"Connection {list(pair)} is not in this space: from a node to a later one, 1 to "
                f"{N_NODES}."
            )
    return Architecture(
        tuple(Phase(tuple(c), bool(skip)) for c, (_, skip) in zip(pairs, phases, strict=True))
    )
