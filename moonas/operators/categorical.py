"""Sampling and mutation of categorical genes: values are labels, no one nearer than another."""

import numpy as np
from pymoo.core.mutation import Mutation
from pymoo.core.sampling import Sampling


def draw_genes(n_choices, n_samples, rng):
    """Uniform rows, (n_samples, n_var) int64, gene j in [0, n_choices[j])."""
    return rng.integers(0, n_choices, size=(n_samples, len(n_choices)))


def other_choices(X, n_choices, rng):
    """Another choice for each gene of X, (n, n_var), drawn uniformly; its own if it has but one."""
    step = rng.integers(1, np.maximum(n_choices, 2), size=X.shape)  # 1 to n_choices - 1
    return (X + step) % n_choices


def reset_genes(X, n_choices, prob, rng):
    """Move each gene, with probability ``prob``, to another of its choices, drawn uniformly.

    Args:
        X: (n, n_var) ints, gene j in [0, n_choices[j]).
        n_choices: (n_var,) number of choices; a gene with one choice stays.
        prob: in [0, 1].
        rng: ``numpy.random.Generator``.

    Returns:
        A new (n, n_var) array of X's type.
    """
    moved = other_choices(X, n_choices, rng)
    chosen = (rng.random(X.shape) < prob) & (n_choices > 1)
    return np.where(chosen, moved, X).astype(X.dtype)


class CategoricalSampling(Sampling):
    """:func:`draw_genes` over the problem's choices."""

    def _do(self, problem, n_samples, *args, random_state, **kwargs):
        return draw_genes(problem.n_choices, n_samples, random_state)


class ResetGenes(Mutation):
    """:func:`reset_genes`, changing ``n_genes`` genes of an architecture on average.

    Args:
        n_genes: in (0, n_var]; genes with one choice do not count.
    """

    def __init__(self, n_genes=1.0):
        super().__init__()
        self.n_genes = n_genes

    def _do(self, problem, X, *args, random_state, **kwargs):
        free = np.count_nonzero(problem.n_choices > 1)
        return reset_genes(X, problem.n_choices, min(1.0, self.n_genes / free), random_state)
