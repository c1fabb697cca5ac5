"""Genetic operators of EAGAN: crossover of one edge and mutation of one edge (section 4.3)."""

from __future__ import annotations

from typing import Any

import numpy as np
from pymoo.core.crossover import Crossover
from pymoo.core.mutation import Mutation
from pymoo.core.repair import Repair

from moonas.operators.categorical import sample_different_choices


def choose_one_gene(allowed: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Choose one of the allowed genes of each row uniformly at random.

    Args:
        allowed: (n, n_var) bool.
        rng: NumPy random generator.

    Returns:
        (n, n_var) bool with one true value per row; none in a row that allows no gene.
    """
    draws = np.where(allowed, rng.random(allowed.shape), -1.0)
    chosen = np.zeros(allowed.shape, dtype=bool)
    chosen[np.arange(len(allowed)), draws.argmax(axis=1)] = True
    chosen &= allowed
    return chosen


def cross_edge(
    A: np.ndarray, B: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Exchange one gene between two parents, chosen uniformly among those in which they differ.

    Args:
        A: (n, n_var) first parents.
        B: (n, n_var) second parents.
        rng: NumPy random generator.

    Returns:
        Two new (n, n_var) arrays of children. Equal parents have children equal to them.
    """
    exchanged = choose_one_gene(A != B, rng)
    return np.where(exchanged, B, A), np.where(exchanged, A, B)


def mutate_edge(X: np.ndarray, n_choices: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Change one gene of each row, chosen uniformly, to a different one of its choices.

    Args:
        X: (n, n_var) ints, column j in [0, n_choices[j]).
        n_choices: (n_var,) number of choices of each gene.
        rng: NumPy random generator.

    Returns:
        A new (n, n_var) array.
    """
    mutated = choose_one_gene(np.broadcast_to(n_choices > 1, X.shape), rng)
    return np.where(mutated, sample_different_choices(X, n_choices, rng), X).astype(X.dtype)


class EdgeCrossover(Crossover):
    """Apply :func:`cross_edge` to two parents, which gives two children.

    Args:
        prob: probability that a pair of parents is crossed.
    """

    def __init__(self, prob: float = 0.3) -> None:
        super().__init__(2, 2, prob=prob)

    def _do(
        self,
        problem: Any,
        X: np.ndarray,
        *args: Any,
        random_state: np.random.Generator,
        **kwargs: Any,
    ) -> np.ndarray:
        return np.stack(cross_edge(X[0], X[1], random_state))


class EdgeMutation(Mutation):
    """Apply :func:`mutate_edge` to children.

    Args:
        prob: probability that a child is mutated.
    """

    def __init__(self, prob: float = 0.5) -> None:
        super().__init__(prob=prob)

    def _do(
        self,
        problem: Any,
        X: np.ndarray,
        *args: Any,
        random_state: np.random.Generator,
        **kwargs: Any,
    ) -> np.ndarray:
        return mutate_edge(X, problem.n_choices, random_state)


class CanonicalRepair(Repair):
    """Replace each row by the canonical row of the architecture that it decodes to."""

    def _do(self, problem: Any, X: np.ndarray, *args: Any, **kwargs: Any) -> np.ndarray:
        return np.array([problem.encode(problem.decode(x)) for x in X])
