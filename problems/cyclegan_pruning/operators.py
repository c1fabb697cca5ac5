"""Repair and sampling of masks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from pymoo.core.repair import Repair
from pymoo.core.sampling import Sampling

from moonas.operators.ask_and_tell import pass_algorithm_on
from moonas.operators.segments import sample_bits
from moonas.wrapping import architecture_problem

if TYPE_CHECKING:
    from .problem import CycleGANPruning

NOISE = 0.5  # standard deviation of the noise that is added to the logarithm of importance


class KeepOne(Repair):
    """Repair that adds one uniformly sampled filter to each mask that keeps no filter."""

    def _do(
        self,
        problem: CycleGANPruning,
        X: np.ndarray,
        *args: Any,
        random_state: np.random.Generator,
        **kwargs: Any,
    ) -> np.ndarray:
        X = X.astype(bool)
        for part in architecture_problem(problem).space.slices:
            for i in np.flatnonzero(~X[:, part].any(axis=1)):
                X[i, part.start + random_state.integers(part.stop - part.start)] = True
        return X


class ImportanceSampling(Sampling):
    """Samples rows that keep the filters with the largest importance for the weights they need.

    The generators of the rows have different sizes. If d is ``density``, densities are spread
    evenly from d/2 to min(1, 3d/2), in a random order for each generator, and the share of weights
    that a generator keeps is the square of its density. Each generator keeps the filters with the
    largest ratios of importance to the weights that the filter adds (see :func:`filters_of_size`).
    Normally distributed noise on the logarithm of the ratio makes rows differ. A share of the rows
    has random bits instead, with the same densities. The first row has density d and no noise; it
    is random only if all rows are.

    After the initial population, as in random search, all rows have noise, and their densities are
    independent and uniform in the same range.

    Args:
        density: median density d.
        random_share: share of rows with random bits, in [0, 1].
        noise: standard deviation of the noise.
    """

    def __init__(
        self, density: float = 0.5, random_share: float = 0.25, noise: float = NOISE
    ) -> None:
        super().__init__()
        self.density, self.random_share, self.noise = density, random_share, noise

    def _do(
        self,
        problem: CycleGANPruning,
        n_samples: int,
        *args: Any,
        random_state: np.random.Generator,
        **kwargs: Any,
    ) -> np.ndarray:
        rng, n, algorithm = random_state, n_samples, kwargs.get("algorithm")
        problem = architecture_problem(problem)
        pass_algorithm_on(algorithm)
        importance = problem.importance(algorithm)
        is_initial = algorithm is None or not algorithm.is_initialized
        low, high = self.density / 2, min(1.0, 3 * self.density / 2)
        halves = []
        for k in range(2):
            if is_initial:
                spread = rng.permutation(np.linspace(low, high, max(1, n - 1)))
                densities = np.concatenate([[self.density], spread])[:n]
            else:
                densities = rng.uniform(low, high, n)
            noise = self.noise * rng.standard_normal((n, problem.space.n_bits))
            if is_initial:
                noise[0] = 0
            halves.append(
                [
                    filters_of_size(problem, importance[k], noise_of_row, density**2)
                    for noise_of_row, density in zip(noise, densities, strict=True)
                ]
            )
            if is_initial:
                n_random = n if self.random_share == 1 else min(n - 1, round(self.random_share * n))
                is_random = np.arange(n) >= n - n_random
            else:
                is_random = rng.random(n) < self.random_share
            for i in np.flatnonzero(is_random):
                halves[k][i] = sample_bits(1, problem.space.n_bits, densities[i], rng)[0]
        return np.hstack([np.array(half) for half in halves])


def filters_of_size(
    problem: CycleGANPruning, importance: np.ndarray, noise: np.ndarray, size: float
) -> np.ndarray:
    """Return the bits of a generator of a given size that keeps the filters worth their weights.

    Filters are ordered by their importance, divided by the number of weights that the uncompressed
    generator loses without this filter. The most important filter of each mask is always kept.

    Args:
        problem: problem that defines the masks and counts weights.
        importance: (n_bits,) importance of each filter, see :mod:`.importance`.
        noise: (n_bits,) numbers that are added to the logarithm of the ratio.
        size: largest share of convolution weights that the generator keeps (eq. 10), if possible.

    Returns:
        (n_bits,) bool.
    """
    space = problem.space
    positive = importance[importance > 0]
    smallest = positive.min() if len(positive) else 1.0
    value = np.log(np.maximum(importance, smallest)) - np.log(problem.weights_per_filter) + noise
    parts = space.slices[: len(space.sizes)]
    always = np.zeros(space.n_bits, dtype=bool)
    for part in parts:
        always[part.start + int(value[part].argmax())] = True
    order = np.argsort(np.where(always, -np.inf, -value), kind="stable")
    fewest, most = int(always.sum()), space.n_bits  # numbers of filters between which to search
    while fewest < most:
        n_kept = (fewest + most + 1) // 2
        kept = np.zeros(space.n_bits, dtype=bool)
        kept[order[:n_kept]] = True
        weights = problem.costs.count([kept[part] for part in parts])[0]
        if weights <= size * problem.costs.total[0]:
            fewest = n_kept
        else:
            most = n_kept - 1
    bits = np.zeros(space.n_bits, dtype=bool)
    bits[order[:fewest]] = True
    return bits
