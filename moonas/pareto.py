"""Pareto fronts of results, the pick from one, and hypervolumes with fixed bounds."""

from dataclasses import dataclass

import numpy as np
from pymoo.indicators.hv import HV
from pymoo.util.nds.non_dominated_sorting import NonDominatedSorting


@dataclass(frozen=True)
class Row:
    """One candidate of a front."""

    x: np.ndarray  # (n_var,)
    architecture: object
    objectives: dict  # name -> float, lower is better
    columns: dict  # every column that the evaluator gave


def nondominated(F):
    """Indices of the rows of F, (n, n_obj), that no other row dominates, ascending."""
    return np.sort(NonDominatedSorting().do(np.asarray(F, float), only_non_dominated_front=True))


def front(result):
    """The feasible, unique and non-dominated candidates of a result's population.

    Taken from ``result.pop``, since ``result.F`` means another set in each of pymoo's algorithms.

    Args:
        result: of ``pymoo.optimize.minimize`` on one of moonas's problems.

    Returns:
        A list of :class:`Row`, by ascending second objective; empty if nothing is feasible.
    """
    return rows_of(result.problem, result.pop)


def rows_of(problem, population):
    """:func:`front` of a population."""
    population = population[population.get("feas")]
    if len(population) == 0:
        return []
    _, first = np.unique(population.get("X"), axis=0, return_index=True)
    population = population[np.sort(first)]
    population = population[nondominated(population.get("F"))]
    rows = []
    for individual in population:
        columns = {
            c.name: individual.get(c.name) for c in problem.columns if c.name in individual.data
        }
        rows.append(
            Row(
                individual.X.astype(problem.genes.dtype),
                problem.decode(individual.X),
                dict(zip(problem.objectives, individual.F.tolist(), strict=True)),
                columns,
            )
        )
    return sorted(rows, key=lambda row: list(row.objectives.values())[1::-1])


def knee(front, objectives=None):
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


def pick(rows):
    """The index of a front's :func:`knee` in its first two objectives; None for no rows.

    With more objectives, rows that another one dominates in these two do not take part.
    """
    if not rows:
        return None
    F = np.array([list(row.objectives.values())[:2] for row in rows])
    first = nondominated(F)
    return int(first[knee(F[first])])


def hypervolume(F, bounds):
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
