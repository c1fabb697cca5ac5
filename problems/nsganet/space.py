"""The space of NSGANetV1: what an integer vector means.

An architecture is two blocks, normal and reduction. A block has two inputs (state 0, the block
before the previous one; state 1, the previous block) and five nodes (states 2 to 6). Each node adds
up two edges; an edge takes one earlier state, the same one twice if it likes, through one
operation. The block's output is the concatenation of the nodes that no edge starts from.

Layout of x, 40 integers. Columns 20 c + 4 i to 20 c + 4 i + 3 belong to node i (0 to 4) of block c
(0 normal, 1 reduction): operation and state of the first edge, operation and state of the second.

    operation  an index into ``OPERATIONS``; 12, in ascending order of trainable parameters
    state      0 to i + 1, in chronological order

1.03e33 vectors. ``encode`` and ``decode`` are inverse on all of them; the order of a node's two
edges is kept, though the network is the same either way.
"""

import numpy as np

from moonas.spaces.genotype import Cells, check_cell, edges_from_json, to_json

__all__ = ["Architecture", "decode", "edges", "encode", "from_genotype", "from_json", "to_json"]
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
GENES = 4  # per node
BLOCK = N_NODES * GENES
N_VAR = 2 * BLOCK
N_CHOICES = np.array(
    [[len(OPERATIONS), node + 2, len(OPERATIONS), node + 2] for node in range(N_NODES)] * 2
).reshape(N_VAR)
NODES = tuple(np.arange(start, start + GENES) for start in range(0, N_VAR, GENES))  # columns
BLOCKS = (NODES[:N_NODES], NODES[N_NODES:])  # the nodes of each block


class Architecture(Cells):
    """Two blocks of ten edges each."""


def decode(x):
    """The architecture of one row of integers, (40,)."""
    edges = np.asarray(x).reshape(2, 2 * N_NODES, 2).tolist()
    return Architecture(*(tuple((OPERATIONS[o], s) for o, s in block) for block in edges))


def encode(architecture):
    """The row of integers, (40,) int64, of an architecture."""
    blocks = (architecture.normal, architecture.reduction)
    return np.array([g for block in blocks for o, s in block for g in (OPERATIONS.index(o), s)])


def edges(X):
    """Operations and states of a population: int arrays (n, 2, 5, 2) by block, node and edge."""
    genes = np.asarray(X).reshape(len(X), 2, N_NODES, 2, 2)
    return genes[..., 0], genes[..., 1]


def n_loose(X):
    """(n, 2) number of nodes that the normal and the reduction block of each row concatenate."""
    _, states = edges(X)
    used = states.reshape(len(states), 2, 2 * N_NODES, 1) == np.arange(2, 2 + N_NODES)
    return N_NODES - used.any(axis=2).sum(axis=2)


def from_genotype(normal, reduce):
    """The architecture of two lists of ten (operation, state) pairs, as papers print them.

    Raises:
        ValueError: the genotype is outside this space, and why.
    """
    cells = (("normal", normal), ("reduce", reduce))
    return Architecture(*(check_cell(name, c, OPERATIONS, N_NODES) for name, c in cells))


def from_json(value):
    """The architecture that :func:`to_json` wrote; else a ``ValueError`` says what is wrong."""
    return from_genotype(*edges_from_json(value))
