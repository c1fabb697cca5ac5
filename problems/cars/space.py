"""The DARTS space of CARS: what an integer vector means.

An architecture is two cells, normal and reduction. A cell has two inputs (state 0, the cell before
the previous one; state 1, the previous cell) and four nodes (states 2 to 5). Each node adds up two
edges; an edge takes one earlier state through one operation, and the two edges of a node start at
two distinct states. The cell's output is the concatenation of its four nodes.

Layout of x, 24 integers. Columns 12 c + 3 i to 12 c + 3 i + 2 belong to node i (0 to 3) of cell c
(0 normal, 1 reduction):

    gene 0  which pair of earlier states, an index into ``PAIRS[i]``; 1, 3, 6 or 10 choices
    gene 1  operation of the edge from the pair's lower state, an index into ``OPERATIONS``; 8
    gene 2  operation of the edge from the pair's higher state; 8

Every vector within the bounds is an architecture and no two are the same one: 3.02e9 cells, 9.12e18
architectures. ``encode`` and ``decode`` are inverse on all of it. The canonical form of an
architecture lists the edges of a node by ascending state, and ``from_genotype`` brings any other
order into it.
"""

from itertools import combinations

import numpy as np

from moonas.spaces.genotype import Cells, check_cell, edges_from_json, to_json

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
PAIRS = tuple(tuple(combinations(range(node + 2), 2)) for node in range(N_NODES))
GENES = 3  # per node
N_VAR = 2 * N_NODES * GENES
N_CHOICES = np.array([[len(PAIRS[i]), len(OPERATIONS), len(OPERATIONS)] for i in range(4)] * 2)
N_CHOICES = N_CHOICES.reshape(N_VAR)

# Columns that crossover and mutation take together: node i of both cells, on one coin. The paper
# says "each node"; its release moves a node in both cells at once, and so do we.
NODES = tuple(
    np.array([12 * cell + GENES * node + gene for cell in (0, 1) for gene in range(GENES)])
    for node in range(N_NODES)
)


class Architecture(Cells):
    """Two cells of eight edges each, in canonical order."""


def decode(x):
    """The architecture of one row of integers, (24,)."""
    genes = np.asarray(x).reshape(2, N_NODES, GENES).tolist()
    cells = []
    for cell in genes:
        edges = []
        for node, (pair, *operations) in enumerate(cell):
            edges += zip((OPERATIONS[o] for o in operations), PAIRS[node][pair], strict=True)
        cells.append(tuple(edges))
    return Architecture(*cells)


def encode(architecture):
    """The row of integers, (24,) int64, of an architecture in canonical form."""
    x = []
    for cell in (architecture.normal, architecture.reduction):
        for node in range(N_NODES):
            (op_low, low), (op_high, high) = cell[2 * node : 2 * node + 2]
            pair = PAIRS[node].index((low, high))
            x += [pair, OPERATIONS.index(op_low), OPERATIONS.index(op_high)]
    return np.array(x)


def edges(X):
    """The edges of a whole population.

    Args:
        X: (n, 24) ints.

    Returns:
        Two int arrays (n, 2, 4, 2), over cells, nodes and the two edges: the index of the
        operation, and the state that the edge starts from.
    """
    genes = np.asarray(X).reshape(len(X), 2, N_NODES, GENES)
    states = np.empty((len(X), 2, N_NODES, 2), dtype=int)
    for node in range(N_NODES):
        states[:, :, node] = np.array(PAIRS[node])[genes[:, :, node, 0]]
    return genes[..., 1:], states


def from_genotype(normal, reduce):
    """The architecture of two lists of (operation, state) pairs, two a node, as papers print them.

    Raises:
        ValueError: the genotype is outside this space, and why.
    """
    return Architecture(_cell("normal", normal), _cell("reduce", reduce))


def _cell(name, pairs):
    edges = check_cell(name, pairs, OPERATIONS, N_NODES)
    cell = []
    for node in range(N_NODES):
        two = sorted(edges[2 * node : 2 * node + 2], key=lambda edge: edge[1])
        if two[0][1] == two[1][1]:
            raise ValueError(
                f"Node {node} of the {name} cell takes state {two[0][1]} twice; "
                "this space wants two distinct states."
            )
        cell += two
    return tuple(cell)


def from_json(value):
    """The architecture that :func:`to_json` wrote; else a ``ValueError`` says what is wrong."""
    return from_genotype(*edges_from_json(value))
