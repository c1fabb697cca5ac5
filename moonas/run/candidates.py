"""Candidates of one evaluation: their rows, architectures and cache keys."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True, eq=False)
class Candidates:
    """Rows of a population with the architectures they decode to.

    Different rows may decode to equal architectures. ``rows`` contains the canonical row of each
    architecture, so equal architectures have equal canonical rows and equal keys.

    Args:
        X: (n, n_var) rows as the algorithm created them.
        architectures: n architectures; ``problem.decode`` returned each of them for a row of ``X``.
        rows: (n, n_var) canonical rows; ``problem.encode`` returned each of them for an
            architecture.
    """

    X: np.ndarray
    architectures: tuple[Any, ...]
    rows: np.ndarray

    def __len__(self) -> int:
        return len(self.architectures)

    def __iter__(self) -> Iterator[Any]:
        return iter(self.architectures)

    def __getitem__(self, selection: slice | Sequence[int] | np.ndarray) -> Candidates:
        """Return the candidates that a slice or an array of indices selects."""
        indices = np.arange(len(self))[selection]
        architectures = tuple(self.architectures[i] for i in indices.tolist())
        return Candidates(self.X[indices], architectures, self.rows[indices])

    @staticmethod
    def concatenate(first: Candidates, second: Candidates) -> Candidates:
        """Return the candidates of ``first`` followed by the candidates of ``second``."""
        return Candidates(
            np.vstack([first.X, second.X]),
            first.architectures + second.architectures,
            np.vstack([first.rows, second.rows]),
        )

    @property
    def keys(self) -> list[bytes]:
        """Cache key of each candidate; candidates with equal architectures have equal keys."""
        return [row.tobytes() for row in self.rows]
