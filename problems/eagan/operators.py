"""Genetic operators of EAGAN: a crossover and a mutation that change one edge (section 4.3)."""

from __future__ import annotations

from typing import Any

import numpy as np
from pymoo.core.crossover import Crossover
from pymoo.core.mutation import Mutation
from pymoo.core.repair import Repair
from pymoo.core.sampling import Sampling
from pymoo.operators.survival.rank_and_crowding import RankAndCrowding

from moonas.operators.categorical import sample_different_choices
from moonas.wrapping import architecture_problem


def choose_one_gene(allowed: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Choose one gene per row, uniformly at random among the genes that are allowed.

    Args:
        allowed: (n, n_var) bool, whether each gene may be chosen.
        rng: NumPy random generator.

    Returns:
        (n, n_var) bool, true for the chosen gene of each row; all false in a row without an allowed
        gene.
    """
    priorities = np.where(allowed, rng.random(allowed.shape), -1.0)
    chosen = np.zeros(allowed.shape, dtype=bool)
    chosen[np.arange(len(allowed)), priorities.argmax(axis=1)] = True
    chosen &= allowed
    return chosen


def cross_edge(
    A: np.ndarray, B: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Exchange one gene between two parents, chosen uniformly among the genes that differ.

    Args:
        A: (n, n_var) first parents.
        B: (n, n_var) second parents.
        rng: NumPy random generator.

    Returns:
        Two new (n, n_var) arrays of children. The children of two equal parents equal the parents.
    """
    exchanged = choose_one_gene(A != B, rng)
    return np.where(exchanged, B, A), np.where(exchanged, A, B)


def mutate_edge(X: np.ndarray, n_choices: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Change one uniformly chosen gene of each row to a different value.

    Args:
        X: (n, n_var) rows of integers; column j is in [0, n_choices[j]).
        n_choices: (n_var,) number of choices of each gene.
        rng: NumPy random generator.

    Returns:
        A new (n, n_var) array.
    """
    mutated = choose_one_gene(np.broadcast_to(n_choices > 1, X.shape), rng)
    return np.where(mutated, sample_different_choices(X, n_choices, rng), X).astype(X.dtype)


class EdgeCrossover(Crossover):
    """Create two children of two parents with :func:`cross_edge`.

    Args:
        prob: probability that two parents exchange an edge; otherwise they are copied.
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
    """Mutate children with :func:`mutate_edge`.

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
        return mutate_edge(X, architecture_problem(problem).n_choices, random_state)


class CanonicalRepair(Repair):
    """Replace each row by the canonical row of the same architecture."""

    def _do(self, problem: Any, X: np.ndarray, *args: Any, **kwargs: Any) -> np.ndarray:
        known = architecture_problem(problem)
        return np.array([known.encode(known.decode(x)) for x in X])


class DoubleSampling(Sampling):
    """Sampling of twice as many rows as requested: the P networks of the first round.

    Args:
        sampling: sampling of the rows.
    """

    def __init__(self, sampling: Sampling) -> None:
        super().__init__()
        self.sampling = sampling

    def _do(self, problem: Any, n_samples: int, **kwargs: Any) -> np.ndarray:
        rows: np.ndarray = self.sampling._do(problem, 2 * n_samples, **kwargs)
        return rows


class LimitedSurvival(RankAndCrowding):
    """Survival by rank and crowding distance with a fixed number of survivors.

    pymoo keeps every individual of a first population, which here is larger than later ones.

    Args:
        size: number of survivors.
    """

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size

    def _do(self, problem: Any, pop: Any, *args: Any, n_survive: int, **kwargs: Any) -> Any:
        return super()._do(problem, pop, *args, n_survive=min(n_survive, self.size), **kwargs)
