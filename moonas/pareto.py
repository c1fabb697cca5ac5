"""Compute Pareto fronts and normalized hypervolumes, and select one row of a front."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike
from pymoo.indicators.hv import HV
from pymoo.util.nds.non_dominated_sorting import NonDominatedSorting

if TYPE_CHECKING:
    from pymoo.core.population import Population
    from pymoo.core.result import Result

    from .problem import ArchitectureProblem


@dataclass(frozen=True)
class Row:
    """One candidate of a Pareto front.

    Args:
        x: (n_var,) genes.
        architecture: the architecture that ``x`` encodes.
        objectives: name of each objective -> its value; lower is better.
        columns: name of each column that the evaluator returned -> its value.
    """

    x: np.ndarray
    architecture: Any
    objectives: dict[str, float]
    columns: dict[str, float]


class Front(list[Row]):
    """The rows of a Pareto front, and the objectives of the population that it is the front of.

    Attributes:
        population: (n, n_obj) objectives of the feasible candidates, including dominated ones, but
            not those that failed.
    """

    def __init__(self, rows: Iterable[Row], population: np.ndarray) -> None:
        super().__init__(rows)
        self.population = population


def nondominated(F: ArrayLike) -> np.ndarray:
    """Return the indices, in ascending order, of the non-dominated rows of F, (n, n_obj)."""
    return np.sort(NonDominatedSorting().do(np.asarray(F, float), only_non_dominated_front=True))


def front_indices(
    F: ArrayLike, *, X: ArrayLike | None = None, order: Sequence[int] | None = None
) -> np.ndarray:
    """Return the indices of the unique, non-dominated rows of F, sorted by objectives.

    Args:
        F: (n, n_obj) objectives to minimize.
        X: (n, n_var) genes. Candidates with equal genes are duplicates, and only the first of them
            is used. By default, candidates with equal objectives are duplicates.
        order: columns of F to sort by, primary key first; by default, all columns from left to
            right. The sort is stable.

    Returns:
        (k,) ints.
    """
    F = np.asarray(F, float)
    if len(F) == 0:
        return np.empty(0, int)
    _, first = np.unique(F if X is None else np.asarray(X), axis=0, return_index=True)
    unique = np.sort(first)
    best: np.ndarray = unique[nondominated(F[unique])]
    columns = list(range(F.shape[1])) if order is None else list(order)
    return best[
        np.lexsort(F[best][:, columns[::-1]].T)
    ]  # the last key of lexsort is the primary key


def front_from_scores(
    problem: ArchitectureProblem,
    X: np.ndarray,
    F: np.ndarray,
    columns: Mapping[str, np.ndarray],
) -> Front:
    """Return the unique, non-dominated candidates among evaluated candidates.

    Args:
        problem: problem that names the objectives and decodes X.
        X: (n, n_var) genes.
        F: (n, n_obj) objectives.
        columns: name of each column -> its (n,) values.

    Returns:
        A list of :class:`Row`, sorted by the second objective, then by the first objective.
    """
    X = X.astype(problem.genes.dtype)
    order = [1, 0] if F.shape[1] > 1 else [0]
    rows = [
        Row(
            X[i],
            problem.decode(X[i]),
            dict(zip(problem.objectives, F[i].tolist(), strict=True)),
            {name: values[i] for name, values in columns.items()},
        )
        for i in front_indices(F, X=X, order=order)
    ]
    return Front(rows, F)


def front(result: Result) -> Front:
    """Return the feasible, unique, non-dominated candidates of a result's population.

    The front is computed from ``result.pop``, since ``result.F`` has different contents in
    different algorithms of pymoo.

    Args:
        result: result of ``pymoo.optimize.minimize`` on a problem of moonas.

    Returns:
        A list of :class:`Row`, sorted by the second objective; empty if no candidate is feasible.
    """
    return population_front(result.problem, result.pop)


def population_front(problem: ArchitectureProblem, population: Population) -> Front:
    """Return the feasible, unique, non-dominated candidates of a population, as :func:`front`."""
    population = population[population.get("feas")]
    if len(population) == 0:
        return Front([], np.empty((0, problem.n_obj)))
    names = [c.name for c in problem.columns if c.name in population[0].data]
    columns = {name: population.get(name) for name in names}
    F = population.get("F")
    rows = front_from_scores(problem, population.get("X"), F, columns)
    if "failed" in population[0].data:
        rows.population = F[~population.get("failed").astype(bool)]
    return rows


def knee(
    front: Sequence[Row] | ArrayLike,
    objectives: Sequence[str] | None = None,
    *,
    population: ArrayLike | None = None,
) -> int:
    """Return the index of the knee: the row farthest below the line between two end points.

    This is Algorithm 2 of EG-DARTS (Zhang et al.). The end points are the rows with the smallest
    and the largest second objective (the size), and "below" is the side of the ideal point. Scaling
    an objective does not change the knee. This function does not remove dominated rows.

    In the paper, the algorithm has a sign error in B, so the line does not pass through the end
    points, and the distance lacks a square root. Neither error changes which row is farthest.

    Args:
        front: list of :class:`Row`, or an (n, 2) array of objectives to minimize; the second
            objective is the size.
        objectives: names of two objectives of the rows; by default, the first two objectives.
        population: (m, 2) objectives among which the end points are; by default, those of the
            front. The largest network of a population is often dominated.

    Returns:
        Index of the knee. If no row is below the line, the index of the smallest row. If several
        rows are equally far below the line, the index of the smallest of them.

    Raises:
        ValueError: the front or the population is empty, or a row of them does not have two finite
            objectives.
    """
    if isinstance(front, Sequence) and len(front) and isinstance(front[0], Row):
        names = objectives or list(front[0].objectives)[:2]
        F = np.array([_objectives(row, names) for row in front], float)
    else:
        F = np.asarray(front, float)
    ends = F if population is None else np.asarray(population, float)
    for name, values in (("front", F), ("population", ends)):
        if (
            values.ndim != 2
            or values.shape[1] != 2
            or not len(values)
            or not np.isfinite(values).all()
        ):
            raise ValueError(
                f"The {name} is invalid: expected finite numbers (n, 2) with n at least 1; got "
                f"shape {values.shape}."
            )
    (y0, x0), (y1, x1) = ends[_by_size(ends)[[0, -1]]]
    order = _by_size(F)
    below = (y1 - y0) * (F[:, 1] - x0) - (x1 - x0) * (F[:, 0] - y0)  # proportional to the distance
    return int(order[below[order].argmax()])


def _by_size(F: np.ndarray) -> np.ndarray:
    """Return the indices of the rows of F, (n, 2), by size, then by the first objective."""
    return np.lexsort((F[:, 0], F[:, 1]))


def _objectives(row: Any, names: Sequence[str]) -> list[float]:
    return [row.objectives[name] for name in names]


def pick(rows: Sequence[Row], *, population: np.ndarray | None = None) -> int | None:
    """Return the index of the :func:`knee` in the first two objectives; None if ``rows`` is empty.

    With more than two objectives, rows that are dominated in the first two are ignored.

    Args:
        rows: rows of a front.
        population: (n, n_obj) objectives among which the end points of the knee are; by default,
            or if it is empty, those of ``rows``.
    """
    if not rows:
        return None
    F = np.array([list(row.objectives.values())[:2] for row in rows])
    indices = nondominated(F)
    ends = None if population is None or len(population) == 0 else population[:, :2]
    return int(indices[knee(F[indices], population=ends)])


def hypervolume(F: ArrayLike, bounds: ArrayLike) -> float:
    """Return the fraction of a box in objective space that the rows of F dominate.

    Args:
        F: (n, n_obj) objectives to minimize.
        bounds: (2, n_obj) two corners of the box: the best values, and the worst values. The worst
            values are the reference point.

    Returns:
        The normalized hypervolume, in [0, 1]. Objectives that are better than the best value are
        replaced with the best value.
    """
    low, high = np.asarray(bounds, float)
    scaled = (np.asarray(F, float) - low) / (high - low)
    inside = scaled[(scaled < 1).all(axis=1)]
    if len(inside) == 0:
        return 0.0
    return float(HV(ref_point=np.ones(len(low)))(np.maximum(inside, 0)))
