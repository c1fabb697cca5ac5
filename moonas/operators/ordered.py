"""Mutation of ordered genes: neighbours are likelier than values far away."""

import numpy as np
from pymoo.core.mutation import Mutation


def polynomial_moves(k, eta):
    """Chance that a gene of ``k`` ordered values moves from each value to each other one.

    Deb's bounded polynomial mutation on [-0.5, k - 0.5], rounded, given that the value changes.
    Each value has a cell of width one, so the two ends are not favoured, and a gene of two values
    does move, which the rounded operator hardly does.

    Args:
        k: number of values, at least 1.
        eta: distribution index, 0 or more; the larger, the nearer.

    Returns:
        (k, k) floats with a zero diagonal; rows add up to 1 (k = 1: a single zero).
    """
    moves = np.zeros((k, k))
    if k == 1:
        return moves
    edges = np.arange(k + 1) - 0.5
    for value in range(k):
        step = (edges - value) / k  # displacement, in units of the range
        low, high = (value + 0.5) / k, (k - 0.5 - value) / k  # distances to the bounds
        a, b = (1 - low) ** (eta + 1), (1 - high) ** (eta + 1)
        down = ((1 + np.minimum(step, 0)) ** (eta + 1) - a) / (2 * (1 - a))
        up = (2 - b - (1 - np.maximum(step, 0)) ** (eta + 1)) / (2 * (1 - b))
        moves[value] = np.diff(np.where(step <= 0, down, up))
        moves[value, value] = 0
    return moves / moves.sum(axis=1, keepdims=True)


def move_genes(X, n_choices, prob, eta, rng):
    """Move each gene, with probability ``prob``, by :func:`polynomial_moves`.

    Args:
        X: (n, n_var) ints, gene j in [0, n_choices[j]).
        n_choices: (n_var,) number of values; a gene with one value stays.
        prob: in [0, 1].
        eta: distribution index.
        rng: ``numpy.random.Generator``.

    Returns:
        A new (n, n_var) array of X's type.
    """
    chosen = rng.random(X.shape) < prob
    place = rng.random(X.shape)
    moved = X.copy()
    for k in np.unique(n_choices[n_choices > 1]):
        reached = np.cumsum(polynomial_moves(k, eta), axis=1)  # (k, k) by value
        genes = np.flatnonzero(n_choices == k)
        rows = reached[X[:, genes]] / reached[X[:, genes], -1:]
        target = (rows <= place[:, genes, None]).sum(axis=2)
        moved[:, genes] = np.where(chosen[:, genes], target, X[:, genes])
    return moved


class PolynomialMoves(Mutation):
    """:func:`move_genes`, changing ``n_genes`` genes of an architecture on average.

    Args:
        n_genes: in (0, n_var]; genes with one value do not count.
        eta: distribution index; 3 as in NSGA-Net's release.
    """

    def __init__(self, n_genes=4.0, eta=3.0):
        super().__init__()
        self.n_genes, self.eta = n_genes, eta

    def _do(self, problem, X, *args, random_state, **kwargs):
        free = np.count_nonzero(problem.n_choices > 1)
        prob = min(1.0, self.n_genes / free)
        return move_genes(X, problem.n_choices, prob, self.eta, random_state)
