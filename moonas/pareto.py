"""Pareto fronts of results, and hypervolumes with fixed bounds."""

from dataclasses import dataclass

import numpy as np
from pymoo.indicators.hv import HV
from pymoo.util.nds.non_dominated_sorting import NonDominatedSorting


@dataclass(frozen=True)
class Row:
    """One candidate of a front."""

    x: np.ndarray  # (n_var,) ints
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
                individual.X.astype(np.int64),
                problem.decode(individual.X),
                dict(zip(problem.objectives, individual.F.tolist(), strict=True)),
                columns,
            )
        )
    return sorted(rows, key=lambda row: list(row.objectives.values())[1::-1])


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
