"""Cells of EG-DARTS: candidate operations, and how architecture parameters define cells.

A cell is a DARTS cell. It has two inputs: state 0 is the output of the cell before the previous
one, and state 1 is the output of the previous cell. It has four nodes (states 2 to 5), whose
concatenation is its output. During the search, a node is the sum of one edge from each earlier
state (14 edges in all), and an edge is a mixture of candidate operations. A derived cell keeps the
two strongest edges of each node, each with one operation, as in P-DARTS (Chen et al., 2019). The
EG-DARTS paper states the number of operations per edge, but not the number of edges per node.

Architecture parameters and candidates of both cells have the shape (2, 14, k): normal and reduction
cell; edges in the order of ``EDGES``; and k candidates per edge. Candidates are indices into
``OPERATIONS``, in ascending order on each edge.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from moonas.spaces.genotype import Cells, Edge, check_cell, parse_edges

OPERATIONS = (  # section III-B, in the order of the paper
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
IDENTITY = OPERATIONS.index("skip_connect")
N_NODES = 4
# node at which each edge ends, from 0, and state from which it starts
EDGES = tuple((node, state) for node in range(N_NODES) for state in range(node + 2))
EDGE_NODES, EDGE_STATES = np.array(EDGES).T


def cells_from_genotype(normal: Sequence[Edge], reduction: Sequence[Edge]) -> Cells:
    """Return the cells of a genotype in the form that papers print.

    Args:
        normal: eight (operation, state) pairs of the normal cell.
        reduction: eight (operation, state) pairs of the reduction cell.

    Raises:
        ValueError: the genotype is not in this search space.
    """
    return Cells(
        check_cell("normal", normal, OPERATIONS, N_NODES),
        check_cell("reduction", reduction, OPERATIONS, N_NODES),
    )


def cells_from_text(text: str) -> Cells:
    """Parse a text such as ``sep3@0 skip@1 ... / max3@0 eca@1 ...``, with the normal cell first.

    Raises:
        ValueError: the text does not describe two cells of this search space.
    """
    parts = text.split("/")
    if len(parts) != 2:
        raise ValueError(f"Expected a normal and a reduction cell, separated by '/'; got {text!r}.")
    return cells_from_genotype(*(parse_edges(part) for part in parts))


def random_cells(rng: np.random.Generator) -> Cells:
    """Sample cells uniformly: two distinct states per node and one operation per edge.

    Args:
        rng: NumPy random generator.
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
    return cells_from_genotype(*cells)


def all_candidates() -> np.ndarray:
    """Return (2, 14, 12) ints: every operation is a candidate of every edge."""
    return np.tile(np.arange(len(OPERATIONS)), (2, len(EDGES), 1))


def softmax(alphas: np.ndarray) -> np.ndarray:
    """Return the shares of the k candidates of each edge, (..., k), which add up to 1 (eq. 2)."""
    powers: np.ndarray = np.exp(alphas - alphas.max(axis=-1, keepdims=True))
    shares: np.ndarray = powers / powers.sum(axis=-1, keepdims=True)
    return shares


def strongest_candidates(alphas: np.ndarray, candidates: np.ndarray, k: int) -> np.ndarray:
    """Select the k candidates of each edge with the largest architecture parameters (section IV-C).

    Args:
        alphas: (2, 14, n) floats, architecture parameters.
        candidates: (2, 14, n) ints, indices into ``OPERATIONS``.
        k: number of candidates to select, at most n.

    Returns:
        (2, 14, k) ints, ascending on each edge.
    """
    strongest = np.argsort(-alphas, axis=-1, kind="stable")[..., :k]
    return np.sort(np.take_along_axis(candidates, strongest, axis=-1), axis=-1)


def derive_cells(
    alphas: np.ndarray, candidates: np.ndarray, skip_limit: int | None = None
) -> Cells:
    """Derive cells from architecture parameters.

    The operation of an edge is its strongest candidate, and a node keeps the two edges whose
    strongest candidates have the largest shares. While the normal cell has more than ``skip_limit``
    identities, the identity with the smallest share is removed from the candidates of its edge, and
    the cell is derived again (P-DARTS, section 3.3).

    Args:
        alphas: (2, 14, k) floats, architecture parameters.
        candidates: (2, 14, k) ints, indices into ``OPERATIONS``.
        skip_limit: largest number of identities in the normal cell; None for no limit.

    Returns:
        Cells in which the edges of each node are sorted by state, in ascending order.
    """
    shares = softmax(np.asarray(alphas, float))
    while True:
        normal = _strongest_edges(shares[0])
        skips = [e for e in normal if _operation(shares[0], candidates[0], e) == IDENTITY]
        if skip_limit is None or len(skips) <= skip_limit:
            break
        weakest = min(skips, key=lambda e: float(shares[0, e].max()))
        shares[0, weakest, candidates[0, weakest] == IDENTITY] = 0
    edges = normal, _strongest_edges(shares[1])
    return Cells(
        *(
            tuple(
                (OPERATIONS[_operation(shares[kind], candidates[kind], e)], int(EDGE_STATES[e]))
                for e in edges[kind]
            )
            for kind in range(2)
        )
    )


def _operation(shares: np.ndarray, candidates: np.ndarray, edge: int) -> int:
    """Return the index into ``OPERATIONS`` of the strongest candidate of an edge in one cell."""
    return int(candidates[edge, shares[edge].argmax()])


def _strongest_edges(shares: np.ndarray) -> list[int]:
    """Return the indices of the eight edges that one cell keeps, two per node.

    Args:
        shares: (14, k) shares of the candidates of each edge.
    """
    strength = shares.max(axis=-1)
    edges: list[int] = []
    for node in range(N_NODES):
        inputs = np.flatnonzero(node == EDGE_NODES)
        edges += sorted(inputs[np.argsort(-strength[inputs], kind="stable")[:2]].tolist())
    return edges
