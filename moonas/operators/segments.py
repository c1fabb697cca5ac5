"""Crossover and mutation of whole segments of bits (Shu et al., 2019; their release)."""

import numpy as np


def draw_segments(n, n_var, rng):
    """n segments of a row, uniform over all that are neither empty nor the whole row.

    Args:
        n: how many.
        n_var: length of a row, 2 at least.
        rng: ``numpy.random.Generator``.

    Returns:
        (n, n_var) bool.
    """
    starts, ends = np.triu_indices(n_var + 1, k=1)
    inner = ends - starts < n_var
    chosen = rng.integers(np.count_nonzero(inner), size=n)
    start, end = starts[inner][chosen], ends[inner][chosen]
    columns = np.arange(n_var)
    return (columns >= start[:, None]) & (columns < end[:, None])


def swap_segments(A, B, rng):
    """Two rows exchange a segment (two-point crossover); two new arrays (n, n_var)."""
    taken = draw_segments(len(A), A.shape[1], rng)
    return np.where(taken, B, A), np.where(taken, A, B)


def flip_segments(X, rng):
    """Each row with the bits of a segment flipped; a new (n, n_var) array of X's type."""
    taken = draw_segments(len(X), X.shape[1], rng)
    return np.where(taken, ~X.astype(bool), X).astype(X.dtype)
