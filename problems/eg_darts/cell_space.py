"""The cells of EG-DARTS: what an edge can be, and how architecture parameters become cells.

A cell is one of DARTS: two inputs (state 0, the cell before the previous one; state 1, the previous
cell) and four nodes (states 2 to 5), all of them concatenated. While it is searched, a node adds up
an edge from each earlier state, 14 in all, and an edge is a mixture of candidates. In the end a
node has the two edges that are strongest, each with one operation (P-DARTS, Chen et al., 2019;
EG-DARTS prints the number of operations an edge, not that of edges a node).

Arrays over both cells have the shape (2, 14, k): normal and reduction, edges in the order of
``EDGES``, and k candidates, which are indices into ``OPERATIONS`` in ascending order.
"""

import numpy as np

from moonas.spaces.genotype import Cells, check_cell, parse_edges

OPERATIONS = (  # section III-B, in the paper's order
    "skip_connect",
    "max_pool_3x3",
    "avg_pool_3x3",
    "eca_3x3",
    "sep_conv_3x3",
    "sep_conv_5x5",
    "sep_conv_7x7",
    "dil_conv_3x3",
    "dil_conv_5x5",
    "lbc_3x3",
    "lbc_5x5",
    "conv_1x7_7x1",
)
SKIP = OPERATIONS.index("skip_connect")
N_NODES = 4
EDGES = tuple((node, state) for node in range(N_NODES) for state in range(node + 2))
NODE_OF, STATE_OF = np.array(EDGES).T


def from_genotype(normal, reduction):
    """The cells of two lists of eight (operation, state) pairs, as papers print them.

    Raises:
        ValueError: the genotype is outside this space, and why.
    """
    cells = (("normal", normal), ("reduction", reduction))
    return Cells(*(check_cell(name, pairs, OPERATIONS, N_NODES) for name, pairs in cells))


def cells_of_text(text):
    """The cells of a text such as ``sep3@0 skip@1 ... / max3@0 eca@1 ...``, normal cell first.

    Raises:
        ValueError: it is no such text, and why.
    """
    parts = text.split("/")
    if len(parts) != 2:
        raise ValueError(f"Expected a normal and a reduction cell, parted by /; got {text!r}.")
    return from_genotype(*(parse_edges(part) for part in parts))


def random_cells(rng):
    """Cells with two distinct states a node and an operation an edge, all drawn uniformly.

    Args:
        rng: ``numpy.random.Generator``.
    """
    cells = []
    for _ in range(2):
        states = [
            state
            for node in range(N_NODES)
            for state in sorted(rng.choice(node + 2, 2, replace=False).tolist())
        ]
        operations = rng.integers(len(OPERATIONS), size=len(states))
        cells.append([(OPERATIONS[o], s) for o, s in zip(operations, states, strict=True)])
    return from_genotype(*cells)


def all_candidates():
    """(2, 14, 12) ints: every operation on every edge."""
    return np.tile(np.arange(len(OPERATIONS)), (2, len(EDGES), 1))


def softmax(alphas):
    """The shares of an edge's candidates, (..., k), of architecture parameters (eq. 2)."""
    powers = np.exp(alphas - alphas.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def keep_strongest(alphas, candidates, k):
    """The ``k`` candidates of each edge with the largest architecture parameters (section IV-C).

    Args:
        alphas: (2, 14, n) floats.
        candidates: (2, 14, n) ints.
        k: at most n.

    Returns:
        (2, 14, k) ints, ascending on each edge.
    """
    strongest = np.argsort(-alphas, axis=-1, kind="stable")[..., :k]
    return np.sort(np.take_along_axis(candidates, strongest, axis=-1), axis=-1)


def derive(alphas, candidates, skip_limit=None):
    """The cells that architecture parameters lead to.

    The operation of an edge is its strongest candidate, and a node keeps the two edges whose
    strongest candidates have the largest shares. If the normal cell then has more than
    ``skip_limit`` identities, the one with the smallest share is struck out and the cell is derived
    again, until it has not (P-DARTS, section 3.3).

    Args:
        alphas: (2, 14, k) floats.
        candidates: (2, 14, k) ints.
        skip_limit: identities that the normal cell may have; None for any number.

    Returns:
        :class:`~moonas.spaces.genotype.Cells`, the edges of a node by ascending state.
    """
    shares = softmax(np.asarray(alphas, float))
    while True:
        normal = _strongest_edges(shares[0], candidates[0])
        skips = [edge for edge in normal if _operation(shares[0], candidates[0], edge) == SKIP]
        if skip_limit is None or len(skips) <= skip_limit:
            break
        weakest = min(skips, key=lambda edge: shares[0, edge].max())
        shares[0, weakest, candidates[0, weakest] == SKIP] = 0
    chosen = normal, _strongest_edges(shares[1], candidates[1])
    return Cells(
        *(
            tuple(
                (OPERATIONS[_operation(shares[kind], candidates[kind], e)], int(STATE_OF[e]))
                for e in edges
            )
            for kind, edges in enumerate(chosen)
        )
    )


def _operation(shares, candidates, edge):
    return candidates[edge, shares[edge].argmax()]


def _strongest_edges(shares, candidates):
    """Indices of the eight edges that stay, two a node."""
    strength = shares.max(axis=-1)
    edges = []
    for node in range(N_NODES):
        own = np.flatnonzero(node == NODE_OF)
        edges += sorted(own[np.argsort(-strength[own], kind="stable")[:2]].tolist())
    return edges
