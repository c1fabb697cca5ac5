"""Operators for rows that mix integers and real numbers, see :class:`moonas.spaces.genes.Genes`.

Both kinds of gene are ordered. Integers are crossed on [low - 1/2, high + 1/2] and rounded, so that
each value has an equal share of the line, and moved as :mod:`moonas.operators.ordered` moves them.
"""

import numpy as np
from pymoo.core.crossover import Crossover
from pymoo.core.mutation import Mutation
from pymoo.core.sampling import Sampling
from pymoo.operators.crossover.sbx import cross_sbx
from pymoo.operators.mutation.pm import mut_pm

from .ordered import move_genes


def draw_mixed(genes, n_samples, rng):
    """Uniform rows, (n_samples, n_var) of the genes' type, each gene in its bounds."""
    low, high = _widened(genes)
    return _rounded(rng.uniform(low, high, size=(n_samples, len(low))), genes)


def cross_mixed(A, B, genes, eta, rng):
    """Simulated binary crossover (Deb and Agrawal, 1995), each gene with chance 1/2.

    Args:
        A: (n, n_var).
        B: the same.
        genes: a :class:`~moonas.spaces.genes.Genes`.
        eta: distribution index, the larger, the nearer children are to their parents.
        rng: ``numpy.random.Generator``.

    Returns:
        Two new arrays (n, n_var).
    """
    low, high = _widened(genes)
    parents = np.stack([A, B]).astype(float)
    half, index = np.full((len(A), 1), 0.5), np.full((len(A), 1), float(eta))
    children = cross_sbx(parents, low, high, index, half, half, random_state=rng)
    return tuple(_rounded(children, genes))


def move_mixed(X, genes, prob, eta, rng):
    """Move each gene, with probability ``prob``: polynomial mutation (Deb and Goyal, 1996).

    Args:
        X: (n, n_var).
        genes: a :class:`~moonas.spaces.genes.Genes`.
        prob: in [0, 1].
        eta: distribution index, the larger, the nearer; for integers given that they change.
        rng: ``numpy.random.Generator``.

    Returns:
        A new (n, n_var) array.
    """
    real, moved = genes.real, np.array(X, float)
    moved[:, ~real] = genes.low[~real] + move_genes(
        (moved - genes.low)[:, ~real].astype(np.int64), genes.n_choices[~real], prob, eta, rng
    )
    low, high = genes.low[real], genes.high[real]
    each = np.full(len(X), float(eta)), np.full(len(X), float(prob))
    moved[:, real] = mut_pm(moved[:, real], low, high, *each, at_least_once=False, random_state=rng)
    return moved.astype(genes.dtype)


def _widened(genes):
    half = np.where(genes.real, 0, 0.5)
    return genes.low - half, genes.high + half


def _rounded(X, genes):
    rounded = np.where(genes.real, X, np.floor(X + 0.5))
    return np.clip(rounded, genes.low, genes.high).astype(genes.dtype)


class MixedSampling(Sampling):
    """:func:`draw_mixed` over the problem's genes."""

    def _do(self, problem, n_samples, *args, random_state, **kwargs):
        return draw_mixed(problem.genes, n_samples, random_state)


class MixedCrossover(Crossover):
    """:func:`cross_mixed` over the problem's genes: two parents, two children.

    Args:
        prob: chance that a pair of parents is crossed at all.
        eta: distribution index; 15 is pymoo's default.
    """

    def __init__(self, prob=0.9, eta=15.0):
        super().__init__(2, 2, prob=prob)
        self.index = eta

    def _do(self, problem, X, *args, random_state, **kwargs):
        return np.stack(cross_mixed(X[0], X[1], problem.genes, self.index, random_state))


class MixedMoves(Mutation):
    """:func:`move_mixed` over the problem's genes.

    Args:
        prob_gene: chance of each gene to move.
        eta: distribution index; 20 is pymoo's default.
    """

    def __init__(self, prob_gene=0.1, eta=20.0):
        super().__init__()
        self.prob_gene, self.index = prob_gene, eta

    def _do(self, problem, X, *args, random_state, **kwargs):
        return move_mixed(X, problem.genes, self.prob_gene, self.index, random_state)
