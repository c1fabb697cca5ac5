"""Crossover and mutation of contiguous segments of bits (Shu et al., 2019, and their code)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from pymoo.core.crossover import Crossover
from pymoo.core.mutation import Mutation
from pymoo.core.sampling import Sampling

from .ask_and_tell import pass_algorithm_on

if TYPE_CHECKING:
    from ..problem import ArchitectureProblem


def sample_bits(n: int, n_var: int, density: float, rng: np.random.Generator) -> np.ndarray:
    """Sample n rows of bits, (n, n_var) bool; each bit is one with probability ``density``."""
    return rng.random((n, n_var)) < density


def sample_segments(n: int, n_var: int, rng: np.random.Generator) -> np.ndarray:
    """Sample n segments of a row uniformly, excluding the empty segment and the whole row.

    Args:
        n: number of segments.
        n_var: number of bits of a row, at least 2.
        rng: ``numpy.random.Generator``.

    Returns:
        (n, n_var) bool mask of the bits in each segment.
    """
    cuts = np.empty((n, 2), dtype=np.int64)
    pending = np.arange(n)
    while len(pending):
        cuts[pending] = np.sort(rng.integers(n_var + 1, size=(len(pending), 2)), axis=1)
        length = cuts[pending, 1] - cuts[pending, 0]
        pending = pending[(length == 0) | (length == n_var)]
    columns = np.arange(n_var)
    mask: np.ndarray = (columns >= cuts[:, :1]) & (columns < cuts[:, 1:])
    return mask


def swap_segments(
    A: np.ndarray, B: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Exchange a random segment of each pair of rows (two-point crossover).

    Args:
        A: (n, n_var) bits, the first parents.
        B: (n, n_var) bits, the second parents.
        rng: ``numpy.random.Generator``.

    Returns:
        Two new (n, n_var) arrays.
    """
    exchanged = sample_segments(len(A), A.shape[1], rng)
    return np.where(exchanged, B, A), np.where(exchanged, A, B)


def flip_segments(X: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Flip the bits of a random segment of each row.

    Args:
        X: (n, n_var) bits.
        rng: ``numpy.random.Generator``.

    Returns:
        A new (n, n_var) array with the dtype of X.
    """
    flipped = sample_segments(len(X), X.shape[1], rng)
    return np.where(flipped, ~X.astype(bool), X).astype(X.dtype)


class BitSampling(Sampling):
    """Applies :func:`sample_bits` to the problem's genes.

    Args:
        density: probability that a bit is one.
    """

    def __init__(self, density: float = 0.5) -> None:
        super().__init__()
        self.density = density

    def _do(
        self,
        problem: ArchitectureProblem,
        n_samples: int,
        *args: Any,
        random_state: np.random.Generator,
        **kwargs: Any,
    ) -> np.ndarray:
        pass_algorithm_on(kwargs.get("algorithm"))
        return sample_bits(n_samples, problem.n_var, self.density, random_state)


class SegmentCrossover(Crossover):
    """Applies :func:`swap_segments` to pairs of parents: two parents, two children.

    Args:
        prob: probability that a pair of parents is crossed over.
    """

    def __init__(self, prob: float = 0.7) -> None:
        super().__init__(2, 2, prob=prob)

    def _do(
        self,
        problem: ArchitectureProblem,
        X: np.ndarray,
        *args: Any,
        random_state: np.random.Generator,
        **kwargs: Any,
    ) -> np.ndarray:
        return np.stack(swap_segments(X[0], X[1], random_state))


class SegmentFlip(Mutation):
    """Applies :func:`flip_segments` to rows.

    Args:
        prob: probability that a row is mutated.
    """

    def __init__(self, prob: float = 0.1) -> None:
        super().__init__(prob=prob)

    def _do(
        self,
        problem: ArchitectureProblem,
        X: np.ndarray,
        *args: Any,
        random_state: np.random.Generator,
        **kwargs: Any,
    ) -> np.ndarray:
        return flip_segments(X, random_state)
