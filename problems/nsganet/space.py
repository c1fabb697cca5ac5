"""The search space of NSGANetV1 and its encoding as integer vectors.

An architecture consists of a normal block and a reduction block. Each block has two inputs (state 0
is the output of the block before the previous one, state 1 the output of the previous block) and
five nodes (states 2 to 6). A node is the sum of two edges. An edge applies one operation to an
earlier state; both edges of a node may start from the same state. The output of a block is the
concatenation of its loose ends: the nodes from which no edge starts.

A row x has 40 integers. Columns 20 c + 4 i to 20 c + 4 i + 3 describe node i (0 to 4) of block c
(0 normal, 1 reduction): the operation and state of its first edge, then those of its second edge.

    operation  an index into ``OPERATIONS``; 12 choices, in ascending order of trainable parameters
    state      0 to i + 1, in chronological order; i + 2 choices

There are 1.03e33 rows, and each is a different architecture. Two architectures that differ only in
the order of a node's edges have the same network.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from moonas.spaces.genotype import Cells, Edge, check_cell, edges_from_json, to_json

__all__ = [
    "Architecture",
    "count_loose_ends",
    "decode",
    "edges",
    "encode",
    "from_genotype",
    "from_json",
    "to_json",
]
OPERATIONS = (
    "skip_connect",
    "max_pool_3x3",
    "avg_pool_3x3",
    "squeeze_excitation",
    "lbc_3x3",
    "lbc_5x5",
    "dil_conv_3x3",
    "dil_conv_5x5",
    "sep_conv_3x3",
    "sep_conv_5x5",
    "sep_conv_7x7",
    "conv_1x7_7x1",
)
N_NODES = 5  # per block
GENES_PER_NODE = 4
N_VAR = 2 * N_NODES * GENES_PER_NODE
N_CHOICES = np.array(
    [[len(OPERATIONS), node + 2, len(OPERATIONS), node + 2] for node in range(N_NODES)] * 2
).reshape(N_VAR)
# Columns of each node, and columns of the nodes of each block.
NODES = tuple(np.arange(start, start + GENES_PER_NODE) for start in range(0, N_VAR, GENES_PER_NODE))
BLOCKS = (NODES[:N_NODES], NODES[N_NODES:])


class Architecture(Cells):
    """A normal and a reduction block of ten edges each."""


def decode(x: np.ndarray) -> Architecture:
    """Return the architecture of one row, (40,) ints."""
    edges = np.asarray(x).reshape(2, 2 * N_NODES, 2).tolist()
    return Architecture(*(tuple((OPERATIONS[o], s) for o, s in block) for block in edges))


def encode(architecture: Architecture) -> np.ndarray:
    """Return the row, (40,) int64, of an architecture."""
    blocks = (architecture.normal, architecture.reduction)
    return np.array([g for block in blocks for o, s in block for g in (OPERATIONS.index(o), s)])


def edges(X: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the edges of all architectures of a population.

    Args:
        X: (n, 40) ints.

    Returns:
        (operations, states), two int arrays of shape (n, 2, 5, 2), indexed by row, block, node and
        edge: the index of each edge's operation, and the state that the edge starts from.
    """
    genes = np.asarray(X).reshape(len(X), 2, N_NODES, 2, 2)
    return genes[..., 0], genes[..., 1]


def count_loose_ends(X: np.ndarray) -> np.ndarray:
    """Count the nodes that each block of each architecture concatenates.

    Args:
        X: (n, 40) ints.

    Returns:
        (n, 2) ints in [1, 5], for the normal and the reduction block.
    """
    _, states = edges(X)
    used = states.reshape(len(states), 2, 2 * N_NODES, 1) == np.arange(2, 2 + N_NODES)
    n_used: np.ndarray = used.any(axis=2).sum(axis=2)
    return N_NODES - n_used


def from_genotype(normal: Sequence[Edge], reduce: Sequence[Edge]) -> Architecture:
    """Return the architecture of a genotype as papers print it.

    Args:
        normal: ten (operation, state) pairs of the normal block, two per node.
        reduce: ten (operation, state) pairs of the reduction block, in the same form.

    Raises:
        ValueError: the genotype is not in this space; the message says why.
    """
    cells = (("normal", normal), ("reduce", reduce))
    return Architecture(*(check_cell(name, c, OPERATIONS, N_NODES) for name, c in cells))


def from_json(value: Any) -> Architecture:
    """Return the architecture that :func:`to_json` wrote.

    Raises:
        ValueError: the value is not an architecture of this space; the message says why.
    """
    return from_genotype(*edges_from_json(value))
