"""Crossover of architectures that consist of blocks of nodes (NSGANetV1, III-C and figure 3)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from pymoo.core.crossover import Crossover

from ..wrapping import architecture_problem

if TYPE_CHECKING:
    from ..problem import ArchitectureProblem


def cross_blocks(
    A: np.ndarray,
    B: np.ndarray,
    blocks: Sequence[Sequence[np.ndarray]],
    rng: np.random.Generator,
) -> np.ndarray:
    """Create one child per pair of parents, which exchange either a whole block or a single node.

    The parents exchange a block with probability 1/2, otherwise a node. The block is sampled
    uniformly from all blocks, the node uniformly from the nodes of all blocks. An exchange creates
    two children; one of them, selected at random, is returned.

    Args:
        A: (n, n_var) ints, the first parents.
        B: (n, n_var) ints, the second parents.
        blocks: list of lists of arrays of column indices: the nodes of each block.
        rng: ``numpy.random.Generator``.

    Returns:
        A new (n, n_var) array.
    """
    exchanges = [np.concatenate(nodes) for nodes in blocks]
    exchanges += [genes for nodes in blocks for genes in nodes]
    masks = np.zeros((len(exchanges), A.shape[1]), dtype=bool)
    for mask, genes in zip(masks, exchanges, strict=True):
        mask[genes] = True
    n, n_blocks = len(A), len(blocks)
    block = rng.integers(n_blocks, size=n)
    node = rng.integers(n_blocks, len(exchanges), size=n)
    exchanged = masks[np.where(rng.random(n) < 0.5, block, node)]
    second_child = rng.random((n, 1)) < 0.5  # its genes come from the opposite parents
    return np.where(exchanged ^ second_child, B, A)


class BlockCrossover(Crossover):
    """Applies :func:`cross_blocks` to ``problem.blocks``: two parents, one child.

    Args:
        prob: probability that a pair of parents is crossed over; otherwise the child is a copy of
            one parent.
    """

    def __init__(self, prob: float = 0.9) -> None:
        super().__init__(2, 1, prob=prob)

    def _do(
        self,
        problem: ArchitectureProblem,
        X: np.ndarray,
        *args: Any,
        random_state: np.random.Generator,
        **kwargs: Any,
    ) -> np.ndarray:
        return cross_blocks(X[0], X[1], architecture_problem(problem).blocks, random_state)[None]
