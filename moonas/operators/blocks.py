"""Crossover of architectures that are made of blocks of nodes (NSGANetV1, III-C and figure 3)."""

import numpy as np
from pymoo.core.crossover import Crossover


def swap_parts(A, B, blocks, rng):
    """One child of each pair of rows that exchange a whole block or one node, half and half.

    The block is one of all blocks, the node one of all nodes of all blocks, each drawn uniformly.
    Of the two children that an exchange makes, one is kept, drawn uniformly.

    Args:
        A: (n, n_var) ints.
        B: the same.
        blocks: list of lists of arrays of columns: the nodes of each block.
        rng: ``numpy.random.Generator``.

    Returns:
        A new (n, n_var) array.
    """
    parts = [np.concatenate(nodes) for nodes in blocks]
    parts += [genes for nodes in blocks for genes in nodes]
    member = np.zeros((len(parts), A.shape[1]), dtype=bool)
    for row, genes in zip(member, parts, strict=True):
        row[genes] = True
    n, n_blocks = len(A), len(blocks)
    a_block = rng.integers(n_blocks, size=n)
    a_node = rng.integers(n_blocks, len(parts), size=n)
    taken = member[np.where(rng.random(n) < 0.5, a_block, a_node)]
    other = rng.random((n, 1)) < 0.5  # the other child has the rest exchanged
    return np.where(taken ^ other, B, A)


class BlockCrossover(Crossover):
    """:func:`swap_parts` over ``problem.blocks``: two parents, one child.

    Args:
        prob: chance that a pair of parents is crossed at all; else the child is one of them.
    """

    def __init__(self, prob=0.9):
        super().__init__(2, 1, prob=prob)

    def _do(self, problem, X, *args, random_state, **kwargs):
        return swap_parts(X[0], X[1], problem.blocks, random_state)[None]
