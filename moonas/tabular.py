"""Problems whose scores are looked up in a table of architectures that were evaluated before.

A search takes almost no time, the true Pareto front is known, and algorithms can be compared over
thousands of runs. This module trains nothing and does not require torch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from .algorithms import algorithm
from .operators import CategoricalSampling, EvaluatedRow, NodeCrossover, ResetGenes
from .pareto import front_indices, hypervolume
from .problem import ArchitectureProblem, Column, Evaluator

if TYPE_CHECKING:
    from pymoo.core.algorithm import Algorithm

    from .run.candidates import Candidates
    from .settings import TabularSettings


MARGIN = 0.1  # of the hypervolume's box beyond the nadir point, relative to its extent


class Table:
    """A table with the precomputed columns of architectures.

    Args:
        X: (n, n_var) ints, the rows of the evaluated architectures, without duplicates.
        n_choices: (n_var,) number of values per gene.
        columns: name of each column -> its (n,) floats.

    Raises:
        ValueError: a row is out of bounds or occurs twice, or a column does not have n values.
    """

    def __init__(
        self, X: ArrayLike, n_choices: Sequence[int] | np.ndarray, columns: Mapping[str, ArrayLike]
    ) -> None:
        self.X, self.n_choices = np.asarray(X, dtype=np.int64), tuple(int(n) for n in n_choices)
        self.columns = {name: np.asarray(values, float) for name, values in columns.items()}
        for name, values in self.columns.items():
            if values.shape != (len(self.X),):
                raise ValueError(
                    f"Column {name!r} is invalid: expected one value per row, shape "
                    f"({len(self.X)},), got shape {values.shape}."
                )
        keys = self._keys(self.X)
        self._indices = np.full(
            np.prod(self.n_choices), -1, dtype=np.int64
        )  # key -> index of its row in X
        self._indices[keys] = np.arange(len(keys))
        if np.count_nonzero(self._indices >= 0) < len(keys):
            values, counts = np.unique(keys, return_counts=True)
            repeated = self.X[keys == values[counts > 1][0]][0]
            raise ValueError(
                f"The table is invalid: it has the architecture {repeated.tolist()} more than once."
            )

    def _keys(self, X: ArrayLike) -> np.ndarray:
        try:
            rows = np.asarray(X, dtype=np.int64)
            keys: np.ndarray = np.ravel_multi_index(tuple(rows.T), self.n_choices)
        except ValueError:
            raise ValueError(
                "The table is invalid: it has an architecture that is not in the space."
            ) from None
        return keys

    def __len__(self) -> int:
        return len(self.X)

    def indices(self, X: ArrayLike) -> np.ndarray:
        """Return the (n,) indices in the table of the rows of X; -1 for rows that it lacks."""
        indices: np.ndarray = self._indices[self._keys(X)]
        return indices

    def look_up(self, X: ArrayLike) -> dict[str, np.ndarray]:
        """Return name -> (n,) values of every column for the rows of X; NaN for missing rows."""
        indices = self.indices(X)
        known = indices >= 0
        return {
            name: np.where(known, values[indices], np.nan) for name, values in self.columns.items()
        }


def of_trainings(values: np.ndarray, query: str) -> np.ndarray:
    """Return the values that a setting ``query`` selects.

    Args:
        values: (n, k) values of n architectures in k trainings.
        query: "mean" for the means over the trainings, or the number of a training from 0.

    Returns:
        (n,) floats.
    """
    selected: np.ndarray = values if query == "mean" else values[:, [int(query)]]
    means: np.ndarray = selected.mean(axis=1)
    return means


class TableEvaluator(Evaluator):
    """An evaluator that looks scores up in the table of a :class:`TabularProblem`."""

    device = "cpu"

    def __init__(self, problem: TabularProblem) -> None:
        self.problem = problem

    def begin(self, seed: int) -> None:
        """Do nothing, since scores do not depend on the seed."""

    def score(self, candidates: Candidates) -> dict[str, np.ndarray]:
        """Return every column of the problem, as (n,) arrays."""
        columns = self.problem.table.look_up(candidates.rows)
        return {column.name: columns[column.name].copy() for column in self.problem.columns}


class TabularProblem(ArchitectureProblem):
    """A problem that looks scores up in a table; a subclass also defines ``read_table()``.

    Args:
        settings: a :class:`~moonas.settings.TabularSettings`.
        columns: every column that the table provides.
        n_choices: (n_var,) number of values per gene.
    """

    settings: TabularSettings

    def __init__(
        self,
        settings: TabularSettings,
        *,
        columns: Sequence[Column],
        n_choices: Sequence[int] | np.ndarray,
    ) -> None:
        super().__init__(settings, columns=columns, n_choices=n_choices)

    def read_table(self) -> Table:
        """Return the table, for example from a file."""
        raise NotImplementedError(f"{type(self).__name__} lacks read_table().")

    @cached_property
    def table(self) -> Table:
        """The :class:`Table`, read when it is first used."""
        return self.read_table()

    def __getstate__(self) -> dict[str, Any]:
        excluded = {"table", "_true_front", "_true_hypervolume"}
        return {k: v for k, v in super().__getstate__().items() if k not in excluded}

    def make_evaluator(self) -> Evaluator:
        """Create a :class:`TableEvaluator`."""
        return TableEvaluator(self)

    def operators(self) -> dict[str, Any]:
        """Return keyword arguments for pymoo's genetic algorithms.

        The duplicate elimination rejects architectures that the run has already evaluated.
        """
        s = self.settings
        return dict(
            sampling=CategoricalSampling(),
            crossover=NodeCrossover(prob=s.crossover),
            mutation=ResetGenes(s.mutated_genes),
            eliminate_duplicates=EvaluatedRow(self),
        )

    def algorithm(self) -> Algorithm:
        """Return a new NSGA-II with the problem's operators."""
        return algorithm("nsga2", self)

    def environment(self) -> str:
        """Return a constant, since scores from a table are equal in every environment."""
        return "a table"

    def _calc_pareto_front(self, *args: Any, **kwargs: Any) -> np.ndarray | None:
        """Return the objectives of :meth:`true_front`; pymoo's ``pareto_front()`` calls this."""
        return self._true_front[1] if len(self._true_front[0]) else None

    def _calc_pareto_set(self, *args: Any, **kwargs: Any) -> np.ndarray | None:
        """Return the rows of :meth:`true_front`; pymoo's ``pareto_set()`` calls this."""
        return self._true_front[0] if len(self._true_front[0]) else None

    def true_front(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the Pareto front of all architectures in the table that are within the limits.

        Returns:
            (X, F): (n, n_var) ints and (n, n_obj) floats, sorted by the first objective. If
            several rows have equal objectives, only the first of them is included.

        Raises:
            ValueError: no architecture is within the limits.
        """
        if not len(self._true_front[0]):
            raise ValueError(
                f"limits={[*map(str, self.limits)]} is invalid: no architecture of the table is "
                "within them."
            )
        return self._true_front

    @cached_property
    def _true_front(self) -> tuple[np.ndarray, np.ndarray]:
        F = self.feasible_values(self.table.columns)
        known = np.flatnonzero(np.isfinite(F).all(axis=1))
        rows = known[front_indices(F[known])]
        return self.table.X[rows], F[rows]

    def hypervolume_box(self) -> np.ndarray:
        """Return the box from the ideal point to slightly beyond the nadir point of the true front.

        The worst corner is the nadir point plus a tenth of the distance between both points. Where
        their values of an objective are equal, it is the value plus a tenth of the range of
        :meth:`objective_bounds`. If no architecture is within the limits, the box lies between
        these bounds. The setting ``reference_point`` replaces values of the worst corner.

        Returns:
            (2, n_obj) floats, the best and the worst corner.
        """
        F = self._true_front[1]
        if not len(F):
            return super().hypervolume_box()
        ideal, nadir = F.min(axis=0), F.max(axis=0)
        low, high = self.objective_bounds()
        extent = np.where(nadir > ideal, nadir - ideal, high - low)
        return self.with_reference_point(np.stack([ideal, nadir + MARGIN * extent]))

    def hypervolume(self, F: np.ndarray) -> float:
        """Return the share of the true front's hypervolume that is dominated, in [0, 1].

        Args:
            F: (n, n_obj) objectives of feasible candidates; rows that are not finite do not count.
        """
        return super().hypervolume(F) / self._true_hypervolume

    def true_hypervolume(self) -> float:
        """Return the share of :meth:`hypervolume_box` that the true front dominates, in [0, 1]."""
        return self._true_hypervolume

    @cached_property
    def _true_hypervolume(self) -> float:
        front = self._true_front[1]
        return hypervolume(front, self.hypervolume_box()) if len(front) else 1.0
