"""Offspring as EAGAN makes them: one edge crossed, one edge mutated (section 4.3)."""

import numpy as np
from pymoo.core.crossover import Crossover
from pymoo.core.mutation import Mutation
from pymoo.core.repair import Repair

from moonas.operators.categorical import other_choices


def pick_one(allowed, rng):
    """One of the allowed columns of each row, drawn uniformly; none in a row without any.

    Args:
        allowed: (n, n_var) bool.
        rng: ``numpy.random.Generator``.

    Returns:
        (n, n_var) bool, at most one true a row.
    """
    draws = np.where(allowed, rng.random(allowed.shape), -1.0)
    taken = np.zeros(allowed.shape, dtype=bool)
    taken[np.arange(len(allowed)), draws.argmax(axis=1)] = True
    return taken & allowed


def cross_edge(A, B, rng):
    """Exchange one edge on which two rows differ, drawn uniformly; two new arrays (n, n_var).

    Rows that are equal stay as they are: there is nothing to exchange.
    """
    taken = pick_one(A != B, rng)
    return np.where(taken, B, A), np.where(taken, A, B)


def mutate_edge(X, n_choices, rng):
    """Move one gene of each row, drawn uniformly, to another of its choices; a new (n, n_var)."""
    taken = pick_one(np.broadcast_to(n_choices > 1, X.shape), rng)
    return np.where(taken, other_choices(X, n_choices, rng), X).astype(X.dtype)


class EdgeCrossover(Crossover):
    """:func:`cross_edge`: two parents, two children.

    Args:
        prob: chance that a pair of parents is crossed at all.
    """

    def __init__(self, prob=0.3):
        super().__init__(2, 2, prob=prob)

    def _do(self, problem, X, *args, random_state, **kwargs):
        return np.stack(cross_edge(X[0], X[1], random_state))


class EdgeMutation(Mutation):
    """:func:`mutate_edge`.

    Args:
        prob: chance that a row is mutated at all.
    """

    def __init__(self, prob=0.5):
        super().__init__(prob=prob)

    def _do(self, problem, X, *args, random_state, **kwargs):
        return mutate_edge(X, problem.n_choices, random_state)


class Legal(Repair):
    """Each row becomes the one that stands for its architecture: genes tell what is built."""

    def _do(self, problem, X, *args, **kwargs):
        return np.array([problem.encode(problem.decode(x)) for x in X])
