"""Archive of everything that a run has evaluated, if scores do not change during the run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .run.candidates import row_key

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
        self._dtype: np.dtype | None = None  # of the rows; they are stored as small integers

    def __deepcopy__(self, memo: dict[int, Any]) -> Archive:
        copied = Archive()
        copied._parts, copied._seen = list(self._parts), set(self._seen)  # arrays do not change
        copied._dtype = self._dtype
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
            keys: cache keys of the n candidates, if they are kept elsewhere; equal keys then take
                memory only once.
        """
        new = []
        for i, x in enumerate(X):
            key = row_key(x)
            if key not in self._seen:
                if keys and keys[i] == key:
                    key = keys[i]
                self._seen.add(key)
                new.append(i)
        if new:
            self._dtype = X.dtype if self._dtype is None else np.promote_types(self._dtype, X.dtype)
            rows = _as_small_integers(X[new])
            self._parts.append((rows, {k: np.asarray(v)[new] for k, v in columns.items()}))

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
        return self._merge()[0].astype(self._dtype)

    @property
    def columns(self) -> dict[str, np.ndarray]:
        """Name of each column -> its (n,) values."""
        return self._merge()[1]


def _as_small_integers(X: np.ndarray) -> np.ndarray:
    """Return rows of integers as the smallest type that represents them; other rows as they are."""
    if X.dtype.kind in "iu" and X.size:
        for dtype in (np.int8, np.int16, np.int32):
            limits = np.iinfo(dtype)
            if limits.min <= X.min() and X.max() <= limits.max:
                return X.astype(dtype)
    return X


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
