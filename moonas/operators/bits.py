"""Crossover and mutation of bits that make small changes, whatever the number of bits.

The number of bits that a segment of :mod:`.segments` changes grows with the length of the row: on
average, a third of the row. Here, a mutation changes one or two bits on average, and a child of
crossover differs from a parent only where its two parents differ.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from pymoo.core.crossover import Crossover
from pymoo.core.mutation import Mutation

if TYPE_CHECKING:
    from ..problem import ArchitectureProblem


def cross_uniformly(
    A: np.ndarray, B: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Exchange each bit of each pair of rows with probability 0.5 (uniform crossover).

    Args:
        A: (n, n_var) bits, the first parents.
        B: (n, n_var) bits, the second parents.
        rng: ``numpy.random.Generator``.

    Returns:
        Two new (n, n_var) arrays.
    """
    exchanged = rng.random(A.shape) < 0.5
    return np.where(exchanged, B, A), np.where(exchanged, A, B)


def flip_bits(X: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Flip each bit with probability 1/n_var.

    Args:
        X: (n, n_var) bits.
        rng: ``numpy.random.Generator``.

    Returns:
        A new (n, n_var) array with the dtype of X.
    """
    flipped = rng.random(X.shape) < 1 / X.shape[1]
    return np.where(flipped, ~X.astype(bool), X).astype(X.dtype)


def swap_bits(X: np.ndarray, masks: Sequence[slice], rng: np.random.Generator) -> np.ndarray:
    """In each row, turn one bit of a mask off and another bit of the same mask on.

    The number of ones in each mask does not change. A mask is chosen with a probability that is
    proportional to its number of bits, among the masks with a zero and a one. A row without such a
    mask does not change.

    Args:
        X: (n, n_var) bits.
        masks: positions of the masks in a row.
        rng: ``numpy.random.Generator``.

    Returns:
        A new (n, n_var) array with the dtype of X.
    """
    swapped: np.ndarray = X.copy()
    sizes = np.array([mask.stop - mask.start for mask in masks], float)
    for row in swapped:
        ones = np.array([np.count_nonzero(row[mask]) for mask in masks])
        weights = sizes * ((ones > 0) & (ones < sizes))
        if not weights.any():
            continue
        mask = masks[rng.choice(len(masks), p=weights / weights.sum())]
        part = row[mask].astype(bool)
        turned_off, turned_on = (
            rng.choice(np.flatnonzero(part == value)) for value in (True, False)
        )
        row[mask.start + turned_off], row[mask.start + turned_on] = False, True
    return swapped


def mutate_bits(
    X: np.ndarray, masks: Sequence[slice], rng: np.random.Generator, swaps: float = 0.2
) -> np.ndarray:
    """Mutate each row by :func:`swap_bits` with probability ``swaps``, else by :func:`flip_bits`.

    Args:
        X: (n, n_var) bits.
        masks: positions of the masks in a row.
        rng: ``numpy.random.Generator``.
        swaps: probability that bits of a row are swapped, in [0, 1].

    Returns:
        A new (n, n_var) array with the dtype of X.
    """
    swapped = rng.random(len(X)) < swaps
    mutated = flip_bits(X, rng)
    mutated[swapped] = swap_bits(X[swapped], masks, rng)
    return mutated


class UniformBitCrossover(Crossover):
    """Applies :func:`cross_uniformly` to pairs of parents: two parents, two children.

    Args:
        prob: probability that a pair of parents is crossed over.
    """

    def __init__(self, prob: float = 0.9) -> None:
        super().__init__(2, 2, prob=prob)

    def _do(
        self,
        problem: ArchitectureProblem,
        X: np.ndarray,
        *args: Any,
        random_state: np.random.Generator,
        **kwargs: Any,
    ) -> np.ndarray:
        return np.stack(cross_uniformly(X[0], X[1], random_state))


class BitMutation(Mutation):
    """Applies :func:`mutate_bits` to every row.

    Args:
        masks: positions of the masks in a row; by default, the whole row is one mask.
        swaps: probability that bits of a row are swapped instead of flipped, in [0, 1].
    """

    def __init__(self, masks: Sequence[slice] | None = None, swaps: float = 0.2) -> None:
        super().__init__(prob=1.0)
        self.masks, self.swaps = masks, swaps

    def _do(
        self,
        problem: ArchitectureProblem,
        X: np.ndarray,
        *args: Any,
        random_state: np.random.Generator,
        **kwargs: Any,
    ) -> np.ndarray:
        masks = [slice(0, X.shape[1])] if self.masks is None else self.masks
        return mutate_bits(X, masks, random_state, self.swaps)
