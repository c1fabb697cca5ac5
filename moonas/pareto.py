"""Pareto fronts of results, the pick from one, and hypervolumes with fixed bounds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
    """One candidate of a front.

    Args:
        x: (n_var,) genes.
        architecture: what x decodes to.
        objectives: name -> float, lower is better.
        columns: name -> float, every column that the evaluator returned.
    """

    x: np.ndarray
    architecture: Any
    objectives: dict
    columns: dict


def nondominated(F: ArrayLike) -> np.ndarray:
    """Indices of the rows of F, (n, n_obj), that no other row dominates, ascending."""
    return np.sort(NonDominatedSorting().do(np.asarray(F, float), only_non_dominated_front=True))


def front_indices(
    F: ArrayLike, *, X: ArrayLike | None = None, order: Sequence[int] | None = None
) -> np.ndarray:
    """Indices of the unique, non-dominated rows of F, sorted.

    Args:
        F: (n, n_obj), to be minimised.
        X: (n, n_var) rows of which only the first of equal ones is kept; by default F itself.
        order: columns of F to sort by, the most important first; by default from left to right.
            Rows that are equal in all of them stay in their order.

    Returns:
        (k,) ints.
    """
    F = np.asarray(F, float)
    if len(F) == 0:
        return np.empty(0, int)
    _, first = np.unique(F if X is None else np.asarray(X), axis=0, return_index=True)
    kept = np.sort(first)
    kept = kept[nondominated(F[kept])]
    columns = list(range(F.shape[1])) if order is None else list(order)
    return kept[np.lexsort(F[kept][:, columns[::-1]].T)]  # lexsort wants the last key first


def front_from_scores(
    problem: ArchitectureProblem,
    X: np.ndarray,
    F: np.ndarray,
    columns: Mapping[str, np.ndarray],
) -> list[Row]:
    """The unique and non-dominated candidates among scored ones.

    Args:
        problem: names the objectives and decodes X.
        X: (n, n_var) genes.
        F: (n, n_obj) objectives.
        columns: name -> (n,) values.

    Returns:
        A list of :class:`Row`, by ascending second objective, then the first.
    """
    X = X.astype(problem.genes.dtype)
    order = [1, 0] if F.shape[1] > 1 else [0]
    return [
        Row(
            X[i],
            problem.decode(X[i]),
            dict(zip(problem.objectives, F[i].tolist(), strict=True)),
            {name: values[i] for name, values in columns.items()},
        )
        for i in front_indices(F, X=X, order=order)
    ]


def front(result: Result) -> list[Row]:
    """The feasible, unique and non-dominated candidates of a result's population.

    Taken from ``result.pop``, since ``result.F`` means another set in each of pymoo's algorithms.

    Args:
        result: of ``pymoo.optimize.minimize`` on one of moonas's problems.

    Returns:
        A list of :class:`Row`, by ascending second objective; empty if nothing is feasible.
    """
    return population_front(result.problem, result.pop)


def population_front(problem: ArchitectureProblem, population: Population) -> list[Row]:
    """:func:`front` of a population."""
    population = population[population.get("feas")]
    if len(population) == 0:
        return []
    names = [c.name for c in problem.columns if c.name in population[0].data]
    columns = {name: population.get(name) for name in names}
    return front_from_scores(problem, population.get("X"), population.get("F"), columns)


def knee(front: Sequence[Row] | ArrayLike, objectives: Sequence[str] | None = None) -> int:
    """The row that gains most over the line from the smallest to the largest one.

    Algorithm 2 of EG-DARTS (Zhang et al.): of all points, that with the greatest distance from the
    line through the two ends, on the ideal side. The scale of the two axes does not matter. Rows
    that others dominate are not left out; that is for the caller to do.

    The printed algorithm has a sign error in B, so that its line misses both ends, and no square
    root in the distance; neither changes which point is farthest.

    Args:
        front: list of :class:`Row`, or numbers (n, 2), both to be minimised, the second of them
            the size that has the smallest and the largest row.
        objectives: names of two objectives of the rows; by default their first two.

    Returns:
        The index of the row, an int. Where no row is on the ideal side, that is the smallest one;
        of rows equally far it is the smaller one.

    Raises:
        ValueError: there is no row, or a row has not two finite numbers.
    """
    if len(front) and isinstance(front[0], Row):
        names = objectives or list(front[0].objectives)[:2]
        front = [[row.objectives[name] for name in names] for row in front]
    F = np.asarray(front, float)
    if F.ndim != 2 or F.shape[1] != 2 or len(F) == 0 or not np.isfinite(F).all():
        raise ValueError(f"Expected finite numbers (n, 2), n at least 1; got shape {F.shape}.")
    order = np.lexsort((F[:, 0], F[:, 1]))  # by size; of equal ones the better first
    (y0, x0), (y1, x1) = F[order[0]], F[order[-1]]
    below = (y1 - y0) * (F[:, 1] - x0) - (x1 - x0) * (F[:, 0] - y0)  # distance, times a constant
    return int(order[below[order].argmax()])


def pick(rows: Sequence[Row]) -> int | None:
    """The index of a front's :func:`knee` in its first two objectives; None for no rows.

    With more objectives, rows that another one dominates in these two do not take part.
    """
    if not rows:
        return None
    F = np.array([list(row.objectives.values())[:2] for row in rows])
    first = nondominated(F)
    return int(first[knee(F[first])])


def hypervolume(F: ArrayLike, bounds: ArrayLike) -> float:
    """The share of a rectangle that is dominated by the rows of F.

    Args:
        F: (n, n_obj), to be minimised.
        bounds: (2, n_obj), corner of the best values, and that of the worst, the reference.

    Returns:
        A number in [0, 1]; rows outside the rectangle count as far as they reach into it.
    """
    low, high = np.asarray(bounds, float)
    scaled = (np.asarray(F, float) - low) / (high - low)
    inside = scaled[(scaled < 1).all(axis=1)]
    if len(inside) == 0:
        return 0.0
    return float(HV(ref_point=np.ones(len(low)))(np.maximum(inside, 0)))
