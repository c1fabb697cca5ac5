"""Candidates of one evaluation: their rows, architectures and cache keys."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

LONGEST_KEY = 32  # bytes


def row_key(row: np.ndarray) -> bytes:
    """Return a short key of a row, (n_var,): its bytes or, if there are many, their hash.

    A run keeps the key of each architecture that it evaluates, and a row of masks has thousands of
    genes. That two of 10^9 rows have equal hashes of 256 bits is less likely than 10^-59.
    """
    key = row.tobytes()
    if len(key) <= LONGEST_KEY:
        return key
    return hashlib.blake2b(key, digest_size=LONGEST_KEY).digest()


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

    @cached_property  # caches and archives of a run then share the keys
    def keys(self) -> list[bytes]:
        """Cache key of each candidate; candidates with equal architectures have equal keys."""
        return [row_key(row) for row in self.rows]
