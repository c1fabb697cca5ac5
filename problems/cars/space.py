"""The DARTS search space as CARS uses it, and its encoding as integer vectors.

An architecture consists of a normal cell and a reduction cell. Each cell has two inputs (state 0 is
the output of the cell before the previous one, state 1 the output of the previous cell) and four
nodes (states 2 to 5). A node is the sum of two edges. An edge applies one operation to an earlier
state; the two edges of a node start from different states. The output of a cell is the
concatenation of its four nodes.

A row x has 24 integers. Columns 12 c + 3 i to 12 c + 3 i + 2 describe node i (0 to 3) of cell c
(0 normal, 1 reduction):

    gene 0  the states that the two edges start from, an index into ``STATE_PAIRS[i]``; 1, 3, 6
            or 10 choices
    gene 1  operation of the edge from the lower state, an index into ``OPERATIONS``; 8 choices
    gene 2  operation of the edge from the higher state, an index into ``OPERATIONS``; 8 choices

The encoding is one-to-one: every row within the bounds is an architecture, and different rows are
different architectures. There are 3.02e9 cells and 9.12e18 architectures. In the canonical form of
an architecture, the edges of a node are in ascending order of their states; ``from_genotype``
accepts any order.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import Any

import numpy as np

from moonas.spaces.genotype import Cells, Edge, check_cell, edges_from_json, to_json

__all__ = ["Architecture", "decode", "edges", "encode", "from_genotype", "from_json", "to_json"]
OPERATIONS = (
    "none",
    "max_pool_3x3",
    "avg_pool_3x3",
    "skip_connect",
    "sep_conv_3x3",
    "sep_conv_5x5",
    "dil_conv_3x3",
    "dil_conv_5x5",
)
N_NODES = 4  # per cell
STATE_PAIRS = tuple(tuple(combinations(range(node + 2), 2)) for node in range(N_NODES))
GENES_PER_NODE = 3
N_VAR = 2 * N_NODES * GENES_PER_NODE
N_CHOICES = np.array(
    [[len(STATE_PAIRS[i]), len(OPERATIONS), len(OPERATIONS)] for i in range(4)] * 2
)
N_CHOICES = N_CHOICES.reshape(N_VAR)

# Columns that crossover and mutation change together: the genes of node i in both cells. The paper
# speaks of "each node"; the authors' release changes a node in both cells at once, as here.
NODES = tuple(
    np.array([12 * cell + 3 * node + gene for cell in (0, 1) for gene in range(GENES_PER_NODE)])
    for node in range(N_NODES)
)


class Architecture(Cells):
    """A normal and a reduction cell of eight edges each, in canonical form."""


def decode(x: np.ndarray) -> Architecture:
    """Return the architecture of one row, (24,) ints."""
    genes = np.asarray(x).reshape(2, N_NODES, GENES_PER_NODE).tolist()
    cells = []
    for cell in genes:
        edges: list[Edge] = []
        for node, (pair, *operations) in enumerate(cell):
            edges += zip((OPERATIONS[o] for o in operations), STATE_PAIRS[node][pair], strict=True)
        cells.append(tuple(edges))
    return Architecture(*cells)


def encode(architecture: Architecture) -> np.ndarray:
    """Return the row, (24,) int64, of an architecture in canonical form."""
    x = []
    for cell in (architecture.normal, architecture.reduction):
        for node in range(N_NODES):
            (op_low, low), (op_high, high) = cell[2 * node : 2 * node + 2]
            pair = STATE_PAIRS[node].index((low, high))
            x += [pair, OPERATIONS.index(op_low), OPERATIONS.index(op_high)]
    return np.array(x)


def edges(X: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the edges of all architectures of a population.

    Args:
        X: (n, 24) ints.

    Returns:
        (operations, states), two int arrays of shape (n, 2, 4, 2), indexed by row, cell, node and
        edge: the index of each edge's operation, and the state that the edge starts from.
    """
    genes = np.asarray(X).reshape(len(X), 2, N_NODES, GENES_PER_NODE)
    states = np.empty((len(X), 2, N_NODES, 2), dtype=int)
    for node in range(N_NODES):
        states[:, :, node] = np.array(STATE_PAIRS[node])[genes[:, :, node, 0]]
    return genes[..., 1:], states


def from_genotype(normal: Sequence[Edge], reduce: Sequence[Edge]) -> Architecture:
    """Return the architecture of a genotype as papers print it.

    Args:
        normal: (operation, state) pairs of the normal cell, two per node, in any order within a
            node.
        reduce: (operation, state) pairs of the reduction cell, in the same form.

    Raises:
        ValueError: the genotype is not in this space; the message says why.
    """
    return Architecture(_canonical_cell("normal", normal), _canonical_cell("reduce", reduce))


def _canonical_cell(name: str, pairs: Sequence[Edge]) -> tuple[Edge, ...]:
    """Check the edges of a cell and return them in canonical order."""
    edges = check_cell(name, pairs, OPERATIONS, N_NODES)
    cell: list[Edge] = []
    for node in range(N_NODES):
        low, high = sorted(edges[2 * node : 2 * node + 2], key=lambda edge: edge[1])
        if low[1] == high[1]:
            raise ValueError(
                f"Both edges of node {node} of the {name} cell start from state {low[1]}; this "
                "space requires two different states."
            )
        cell += [low, high]
    return tuple(cell)


def from_json(value: Any) -> Architecture:
    """Return the architecture that :func:`to_json` wrote.

    Raises:
        ValueError: the value is not an architecture of this space; the message says why.
    """
    return from_genotype(*edges_from_json(value))
