"""Archive of everything that a run has evaluated, if scores do not change during the run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from pymoo.core.population import Population

    from .problem import ArchitectureProblem

Part = tuple[np.ndarray, dict[str, np.ndarray]]  # (k, n_var) rows, name -> (k,) values

ARCHIVE_KEY = "moonas archive"  # key of the archive in ``algorithm.data``


class Archive:
    """All rows that a run has evaluated, without duplicates, in the order of evaluation.

    A copy, such as that of an algorithm in pymoo's history, keeps what has been evaluated so far.
    """

    def __init__(self) -> None:
        self._parts: list[Part] = []
        self._seen: set[bytes] = set()

    def __deepcopy__(self, memo: dict[int, Any]) -> Archive:
        copied = Archive()
        copied._parts, copied._seen = list(self._parts), set(self._seen)  # arrays do not change
        return copied

    def __len__(self) -> int:
        return len(self._seen)

    def add(
        self, X: np.ndarray, columns: Mapping[str, np.ndarray], keys: Sequence[bytes] = ()
    ) -> None:
        """Add the rows that are new.

        Args:
            X: (n, n_var) rows.
            columns: name of each column -> its (n,) values.
            keys: cache keys of the n candidates, if they are kept elsewhere. A key that equals the
                bytes of its row is kept once for both.
        """
        new = []
        for i, x in enumerate(X):
            key = x.tobytes()
            if key not in self._seen:
                if keys and keys[i] == key:
                    key = keys[i]
                self._seen.add(key)
                new.append(i)
        if new:
            self._parts.append((X[new], {k: np.asarray(v)[new] for k, v in columns.items()}))

    def _merge(self) -> Part:
        if len(self._parts) > 1:
            self._parts = [_concatenate(self._parts)]
        return self._parts[0]

    def columns_after(self, n: int) -> dict[str, np.ndarray]:
        """Return the columns of the rows that have been added after the first n rows.

        Unlike ``columns``, this takes no longer if more has been evaluated before.

        Args:
            n: number of rows to leave out, in [0, len(self)).
        """
        parts, start = [], len(self)
        for X, columns in reversed(self._parts):
            start -= len(X)
            new = slice(max(n - start, 0), None)
            parts.append((X[new], {name: values[new] for name, values in columns.items()}))
            if start <= n:
                break
        return _concatenate(parts[::-1])[1]

    @property
    def X(self) -> np.ndarray:
        """(n, n_var) rows; n is at least 1."""
        return self._merge()[0]

    @property
    def columns(self) -> dict[str, np.ndarray]:
        """Name of each column -> its (n,) values."""
        return self._merge()[1]


def _concatenate(parts: list[Part]) -> Part:
    # results that an earlier version recorded lack the columns that were added since
    names = dict.fromkeys(name for _, columns in parts for name in columns)
    columns = {
        name: np.concatenate([c.get(name, np.full(len(X), np.nan)) for X, c in parts])
        for name in names
    }
    return np.concatenate([X for X, _ in parts]), columns


def population_columns(
    problem: ArchitectureProblem, population: Population
) -> dict[str, np.ndarray]:
    """Return the columns of a population that is not empty, and ``failed``, as far as known.

    Objectives are always known.
    """
    names = [*(c.name for c in problem.columns), "failed"]
    objectives = dict(zip(problem.objectives, population.get("F").T, strict=True))
    return objectives | {k: population.get(k) for k in names if k in population[0].data}
