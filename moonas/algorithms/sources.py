"""Offspring from two sources, whose shares follow how many of them survive (NSGANetV1, eq. 2)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from pymoo.core.algorithm import Algorithm
from pymoo.core.infill import InfillCriterion
from pymoo.core.population import Population

SOURCE_KEY = "source"  # key of an individual: the name of its source


def softmax_shares(rates: ArrayLike, shares: ArrayLike) -> np.ndarray:
    """Compute the shares of two sources in the next offspring (eq. 2).

    Args:
        rates: (2,) fractions of the last offspring of each source that survived, in [0, 1]; NaN if
            a source had no offspring.
        shares: (2,) shares in the last generation, returned unchanged if a rate is NaN.

    Returns:
        (2,) floats that sum to 1.
    """
    rates = np.asarray(rates, float)
    if np.isnan(rates).any():
        return np.asarray(shares, float)
    weights = np.exp(rates)
    normalized: np.ndarray = weights / weights.sum()
    return normalized


def set_source(population: Population, source: str) -> Population:
    """Record the source of each individual, and return the population."""
    population.set(SOURCE_KEY, source)
    return population


def survival_rates(algorithm: Algorithm, sources: tuple[str, str]) -> np.ndarray:
    """Compute the fraction of each source's last offspring that survived.

    Args:
        algorithm: has the current population ``pop`` and the last offspring ``off``.
        sources: names of the sources.

    Returns:
        (2,) rates; NaN if a source had no offspring.
    """
    alive = {id(individual) for individual in algorithm.pop}
    rates = []
    for source in sources:
        offspring = [i for i in algorithm.off if i.get(SOURCE_KEY) == source]
        rates.append(np.mean([id(i) in alive for i in offspring]) if offspring else np.nan)
    return np.array(rates)


def last_evaluated(algorithm: Algorithm) -> Population:
    """Return what the last generation of an algorithm evaluated."""
    return algorithm.pop if algorithm.off is None else algorithm.off


def unique_rows(known: Population, evaluated: Population) -> Population:
    """Return both populations without duplicates of rows; the first of equal rows remains."""
    merged = Population.merge(known, evaluated) if len(known) else evaluated
    _, first = np.unique(merged.get("X"), axis=0, return_index=True)
    return merged[np.sort(first)]


class SharedMating(InfillCriterion):
    """Base of matings that take some of the offspring from another source than genetic operators.

    Args:
        base: the mating to wrap, which also provides the repair and the duplicate elimination.

    Attributes:
        shares: (2,) shares of the wrapped mating and of the other source in this generation.
        shown_as: title of the second share in the table of generations.
    """

    shown_as: str

    def __init__(self, base: InfillCriterion) -> None:
        super().__init__(repair=base.repair, eliminate_duplicates=base.eliminate_duplicates)
        self.base = base
        self.shares = np.array([1.0, 0.0])
        self._generation: int | None = None

    @property
    def crossover(self) -> Any:
        """The crossover of the wrapped mating, which MOEA/D reads."""
        return self.base.crossover

    def is_new_generation(self, algorithm: Algorithm) -> bool:
        """Return whether this is the first call in a generation; others replace duplicates."""
        is_new = bool(algorithm.n_iter != self._generation)
        self._generation = algorithm.n_iter
        return is_new

    def count_others(self, n_offsprings: int, rng: np.random.Generator) -> int:
        """Draw how many of the offspring the other source provides, by its share."""
        return int((rng.random(n_offsprings) < self.shares[1]).sum())

    def mate(self, problem: Any, pop: Population, n: int, *args: Any, **kwargs: Any) -> Population:
        """Return n offspring of the wrapped mating."""
        if not n:
            return Population.create()
        genetic = self.base._do(problem, pop, n, *args, **kwargs)
        return set_source(genetic[:n], "genetic")
