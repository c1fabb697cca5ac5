"""Offspring from two sources, whose shares follow how many of them survive (NSGANetV1, eq. 2)."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from pymoo.core.algorithm import Algorithm
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
