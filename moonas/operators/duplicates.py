"""Exact duplicate elimination by hashing, in time linear in the population size."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import TYPE_CHECKING, Any

import numpy as np
from pymoo.core.duplicate import DuplicateElimination

if TYPE_CHECKING:
    from pymoo.core.population import Population

    from ..problem import ArchitectureProblem


class SameArchitecture(DuplicateElimination):
    """Eliminates an individual if an earlier one decodes to the same architecture.

    Args:
        decode: row -> its architecture, which must be hashable.
    """

    def __init__(self, decode: Callable[[np.ndarray], Hashable]) -> None:
        super().__init__()
        self.decode = decode

    def _do(self, pop: Population, other: Population | None, is_duplicate: np.ndarray) -> Any:
        seen = set() if other is None else {self.decode(individual.X) for individual in other}
        for index, individual in enumerate(pop):
            key = self.decode(individual.X)
            is_duplicate[index] = key in seen
            if other is None:
                seen.add(key)
        return is_duplicate


class SameRow(SameArchitecture):
    """Eliminates an individual if an earlier one has a row with the same bytes.

    All rows must have the same dtype; the operators of moonas ensure this.
    """

    def __init__(self) -> None:
        super().__init__(_bytes)


class EvaluatedRow(SameRow):
    """Eliminates an individual if its row is a duplicate or has already been evaluated in the run.

    Mating can recreate a row that the survival has removed; such a row is not evaluated again. Use
    this class only for problems whose objectives do not change during a run. pymoo ends the run
    when the search space is exhausted.

    Args:
        problem: an :class:`~moonas.problem.ArchitectureProblem`, whose session records the
            evaluated rows.
    """

    def __init__(self, problem: ArchitectureProblem) -> None:
        super().__init__()
        self.problem = problem
        self.before: Any = self  # run of the session at the first call; this object before
        self.run: Any = None  # run in which this object is used

    def _do(self, pop: Population, other: Population | None, is_duplicate: np.ndarray) -> Any:
        session = self.problem.session
        if self.before is self:
            self.before = session.run
        if self.run is None and session.run is not self.before:
            self.run = session.run
        is_duplicate = super()._do(pop, other, is_duplicate)
        if other is None and self.run is not None:
            is_duplicate |= session.already_scored(pop.get("X"), self.run)
        return is_duplicate


def _bytes(row: np.ndarray) -> bytes:
    return row.tobytes()
