"""Crossover and mutation of whole segments of bits (Shu et al., 2019; their release)."""

import numpy as np
from pymoo.core.crossover import Crossover
from pymoo.core.mutation import Mutation
from pymoo.core.sampling import Sampling


def draw_bits(n, n_var, density, rng):
    """n rows of bits, each one with the chance ``density``; (n, n_var) bool."""
    return rng.random((n, n_var)) < density


def draw_segments(n, n_var, rng):
    """n segments of a row, uniform over all that are neither empty nor the whole row.

    Args:
        n: how many.
        n_var: length of a row, 2 at least.
        rng: ``numpy.random.Generator``.

    Returns:
        (n, n_var) bool.
    """
    cuts = np.empty((n, 2), dtype=np.int64)
    left = np.arange(n)
    while len(left):
        cuts[left] = np.sort(rng.integers(n_var + 1, size=(len(left), 2)), axis=1)
        length = cuts[left, 1] - cuts[left, 0]
        left = left[(length == 0) | (length == n_var)]
    columns = np.arange(n_var)
    return (columns >= cuts[:, :1]) & (columns < cuts[:, 1:])


def swap_segments(A, B, rng):
    """Two rows exchange a segment (two-point crossover); two new arrays (n, n_var)."""
    taken = draw_segments(len(A), A.shape[1], rng)
    return np.where(taken, B, A), np.where(taken, A, B)


def flip_segments(X, rng):
    """Each row with the bits of a segment flipped; a new (n, n_var) array of X's type."""
    taken = draw_segments(len(X), X.shape[1], rng)
    return np.where(taken, ~X.astype(bool), X).astype(X.dtype)


class BitSampling(Sampling):
    """:func:`draw_bits`.

    Args:
        density: chance of a bit to be one.
    """

    def __init__(self, density=0.5):
        super().__init__()
        self.density = density

    def _do(self, problem, n_samples, *args, random_state, **kwargs):
        return draw_bits(n_samples, problem.n_var, self.density, random_state)


class SegmentCrossover(Crossover):
    """:func:`swap_segments`.

    Args:
        prob: chance that a pair of parents is crossed at all.
    """

    def __init__(self, prob=0.7):
        super().__init__(2, 2, prob=prob)

    def _do(self, problem, X, *args, random_state, **kwargs):
        return np.stack(swap_segments(X[0], X[1], random_state))


class SegmentFlip(Mutation):
    """:func:`flip_segments`.

    Args:
        prob: chance that a row is mutated at all.
    """

    def __init__(self, prob=0.1):
        super().__init__(prob=prob)

    def _do(self, problem, X, *args, random_state, **kwargs):
        return flip_segments(X, random_state)
