"""The candidates of one call: rows, architectures and keys, each decoded and encoded once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True, eq=False)
class Candidates:
    """Rows of a population with the architectures that they mean.

    Several rows may mean one architecture: ``rows`` has the canonical row of each, which
    ``problem.encode`` gives, so equal architectures have equal canonical rows and keys.

    Args:
        X: (n, n_var) rows as the algorithm made them.
        architectures: n architectures, ``problem.decode`` of each row.
        rows: (n, n_var) canonical rows, ``problem.encode`` of each architecture.
    """

    X: np.ndarray
    architectures: tuple[Any, ...]
    rows: np.ndarray

    def __len__(self) -> int:
        return len(self.architectures)

    def __iter__(self) -> Iterator[Any]:
        return iter(self.architectures)

    def __getitem__(self, chosen: slice | Sequence[int] | np.ndarray) -> Candidates:
        """The candidates at some indices, or of a slice."""
        indices = np.arange(len(self))[chosen]
        architectures = tuple(self.architectures[i] for i in indices.tolist())
        return Candidates(self.X[indices], architectures, self.rows[indices])

    @staticmethod
    def joined(first: Candidates, second: Candidates) -> Candidates:
        """The candidates of both, in order."""
        return Candidates(
            np.vstack([first.X, second.X]),
            first.architectures + second.architectures,
            np.vstack([first.rows, second.rows]),
        )

    @property
    def keys(self) -> list[bytes]:
        """One key per candidate; candidates of the same architecture share it."""
        return [row.tobytes() for row in self.rows]
