"""Compute Pareto fronts and normalized hypervolumes, and select one row of a front."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike
from pymoo.indicators.hv import HV
from pymoo.util.nds.non_dominated_sorting import NonDominatedSorting

from .archive import ARCHIVE_KEY, Archive, population_columns
from .wrapping import architecture_problem

if TYPE_CHECKING:
    from pymoo.core.algorithm import Algorithm
    from pymoo.core.population import Population
    from pymoo.core.result import Result

    from .problem import ArchitectureProblem

VIOLATION = "violation"  # column of a front: sum of the relative excesses over all limits


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

    If no candidate is feasible, the rows are those that exceed the limits least: no other candidate
    exceeds every limit by less.

    Attributes:
        population: (n, n_obj) objectives of the feasible candidates, including dominated ones, but
            not those that failed.
    """

    def __init__(self, rows: Iterable[Row], population: np.ndarray) -> None:
        super().__init__(rows)
        self.population = population

    @property
    def feasible(self) -> bool:
        """Whether the rows are within all limits."""
        return is_feasible(self)

    def to_frame(self) -> Any:
        """Return a pandas ``DataFrame`` with a row per network: columns and architecture as text.

        Raises:
            ImportError: pandas is not installed.
        """
        try:
            import pandas
        except ImportError:
            raise ImportError(
                "to_frame() requires pandas, which is not installed: pip install pandas."
            ) from None
        return pandas.DataFrame(
            [row.columns | {"architecture": str(row.architecture)} for row in self]
        )


def is_feasible(rows: Sequence[Row]) -> bool:
    """Return whether the rows of a front are within all limits; true for an empty front."""
    return all(row.columns.get(VIOLATION, 0.0) <= 0 for row in rows)


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


def closest_to_limits(excess: np.ndarray) -> np.ndarray:
    """Return the indices of the feasible candidates; if there are none, of the closest ones.

    Args:
        excess: (n, n_limits) by how much each candidate exceeds each limit, not negative.

    Returns:
        Indices of the candidates that exceed no limit. If there are none, of those that exceed the
        limits least: no other candidate exceeds every limit by less.
    """
    feasible = np.flatnonzero(~excess.any(axis=1))
    return feasible if len(feasible) else nondominated(excess)


def front_from_scores(
    problem: ArchitectureProblem, X: np.ndarray, columns: Mapping[str, np.ndarray]
) -> Front:
    """Return the feasible, unique, non-dominated candidates among evaluated candidates.

    If no candidate is feasible, the rows are those that exceed the limits least. Candidates that
    failed are left out, unless all of them failed.

    Args:
        problem: problem that names the objectives and the limits, and decodes X.
        X: (n, n_var) genes.
        columns: name of each column -> its (n,) values; ``failed``, if present, is (n,) bool.

    Returns:
        A list of :class:`Row`, sorted by the second objective, then by the first objective. If the
        problem has limits, ``violation`` of their columns is the sum of the excesses over all
        limits, each relative to its bound.
    """
    failed = np.asarray(columns.get("failed", np.zeros(len(X))), bool)
    if failed.any() and not failed.all():
        X, columns = X[~failed], {k: np.asarray(v)[~failed] for k, v in columns.items()}
    columns = {k: v for k, v in columns.items() if k != "failed"}
    X = X.astype(problem.genes.dtype)
    F = np.column_stack([columns[name] for name in problem.objectives]).astype(float)
    chosen = np.arange(len(X))
    if problem.limits and len(X):
        excess = np.maximum(problem.constraint_values(columns), 0)
        columns = {**columns, VIOLATION: excess.sum(axis=1)}
        chosen = closest_to_limits(excess)
    order = [1, 0] if F.shape[1] > 1 else [0]
    sorted_rows = chosen[front_indices(F[chosen], X=X[chosen], order=order)]
    rows = [
        Row(
            X[i],
            problem.decode(X[i]),
            dict(zip(problem.objectives, F[i].tolist(), strict=True)),
            {name: values[i] for name, values in columns.items()},
        )
        for i in sorted_rows
    ]
    return Front(rows, F[chosen])


def front(result: Result) -> Front:
    """Return the feasible, unique, non-dominated candidates that a search found.

    If scores do not change during a run, these are the best of all candidates that the run
    evaluated; pymoo's ``result.F`` only contains those of the last population, which differ between
    algorithms. If objectives change while shared weights train, they are those of the last
    population, as evaluated with the last weights.

    Args:
        result: result of ``pymoo.optimize.minimize`` on a problem of moonas, or on a pymoo problem
            that wraps one and has the same objectives.

    Returns:
        A list of :class:`Row`, sorted by the second objective. If no candidate is feasible, its
        rows exceed the limits least, and ``feasible`` of the list is False.
    """
    problem = architecture_problem(result.problem)
    population = result.pop
    if problem is not result.problem:  # its constraints are known to the wrapping problem alone
        feasible = population.get("feas").reshape(-1)
        population = population[feasible] if feasible.any() else population
    last = population_front(problem, population)
    archive = archive_of(getattr(result, "algorithm", None))
    if archive is None:
        return last
    return Front(front_from_scores(problem, archive.X, archive.columns), last.population)


def archive_of(algorithm: Algorithm | None) -> Archive | None:
    """Return what the run of an algorithm has evaluated.

    The result is None if objectives change during the run, or before the first evaluation.
    """
    archive: Archive | None = getattr(algorithm, "data", {}).get(ARCHIVE_KEY)
    return archive or None  # an empty archive knows nothing


def scored_columns(problem: ArchitectureProblem, algorithm: Algorithm) -> Mapping[str, np.ndarray]:
    """Return the columns of everything that a run has evaluated.

    If objectives change during the run, they are those of its population.

    Returns:
        Name of each column -> its (n,) values; ``failed``, if present, is (n,) bool.
    """
    archive = archive_of(algorithm)
    if archive is not None:
        return archive.columns
    return population_columns(problem, algorithm.pop)


def population_front(problem: ArchitectureProblem, population: Population) -> Front:
    """Return the feasible, unique, non-dominated candidates of a population, as :func:`front`."""
    if len(population) == 0:
        return Front([], np.empty((0, problem.n_obj)))
    columns = population_columns(problem, population)
    return front_from_scores(problem, population.get("X"), columns)


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
    below, order = _below_the_line(F, ends)
    return int(order[below[order].argmax()])


def _below_the_line(F: np.ndarray, ends: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Compare rows with the line between the smallest and the largest network.

    Args:
        F: (n, 2) objectives.
        ends: (m, 2) objectives among which the end points of the line are.

    Returns:
        (n,) numbers proportional to the distance from the line, positive for rows below it, and
        the indices of F by size.
    """
    (y0, x0), (y1, x1) = ends[_by_size(ends)[[0, -1]]]
    return (y1 - y0) * (F[:, 1] - x0) - (x1 - x0) * (F[:, 0] - y0), _by_size(F)


def _by_size(F: np.ndarray) -> np.ndarray:
    """Return the indices of the rows of F, (n, 2), by size, then by the first objective."""
    return np.lexsort((F[:, 0], F[:, 1]))


def _objectives(row: Any, names: Sequence[str]) -> list[float]:
    return [row.objectives[name] for name in names]


def pick(
    rows: Sequence[Row],
    *,
    population: np.ndarray | None = None,
    bounds: ArrayLike | None = None,
) -> int | None:
    """Return the index of the row that a search picks from a front; None if ``rows`` is empty.

    :func:`pick_rule` describes the choice. With more than two objectives, only the first two count,
    and rows that are dominated in them are ignored.

    1. With a single objective, the row with its lowest value.
    2. The :func:`knee`, if a row is below the line between the end points.
    3. Otherwise the best trade-off: the row that alone dominates the largest part of the box
       between ``bounds``.

    Args:
        rows: rows of a front.
        population: (n, n_obj) objectives among which the end points of the knee are; by default,
            or if it is empty, those of ``rows``.
        bounds: (2, n_obj) best and worst values of the objectives; by default, those of ``rows``.
    """
    return _pick(rows, population, bounds)[0]


def pick_rule(rows: Sequence[Row], *, population: np.ndarray | None = None) -> str:
    """Return a description of the row that :func:`pick` returns, for captions."""
    return _pick(rows, population, None)[1]


KNEE = "the knee of the front"
LOWEST = "the lowest {}"
TRADEOFF = "the best trade-off, because the front has no knee"
CLOSEST = "the candidate that exceeds the limits least"


def _pick(
    rows: Sequence[Row], population: np.ndarray | None, bounds: ArrayLike | None
) -> tuple[int | None, str]:
    """Return the index of the picked row and a description of it."""
    if not rows:
        return None, KNEE
    names = list(rows[0].objectives)[:2]
    F = np.array([_objectives(row, names) for row in rows])
    if len(names) == 1:
        return int(F[:, 0].argmin()), LOWEST.format(names[0])
    indices = nondominated(F)
    ends = F[indices] if population is None or len(population) == 0 else population[:, :2]
    below, _ = _below_the_line(F[indices], np.asarray(ends, float))
    if below.max() > 0:
        return int(indices[knee(F[indices], population=ends)]), KNEE
    box = (F.min(axis=0), F.max(axis=0)) if bounds is None else np.asarray(bounds, float)[:, :2]
    low, high = box
    gain = np.clip((high - F[indices]) / np.where(high > low, high - low, 1), 0, 1).prod(axis=1)
    return int(indices[gain.argmax()]), TRADEOFF


def spread(F: ArrayLike, k: int) -> list[int]:
    """Return rows that are spread over the sizes, as CARS's released code reports them.

    The range of sizes is divided into k intervals of equal length, and the row with the lowest
    first objective of each interval is returned.

    Args:
        F: (n, 2) objectives to minimize; the second objective is the size.
        k: number of intervals, at least 1.

    Returns:
        Indices by size; fewer than k if an interval is empty.
    """
    F = np.asarray(F, float)
    if len(F) == 0:
        return []
    low, high = F[:, 1].min(), F[:, 1].max()
    interval = np.minimum((F[:, 1] - low) / ((high - low) or 1) * k, k - 1).astype(int)
    order = np.lexsort((F[:, 1], F[:, 0]))
    return [int(order[interval[order] == i][0]) for i in range(k) if (interval == i).any()]


def tradeoffs(F: ArrayLike, k: int) -> list[int]:
    """Return the rows with the best trade-offs: the greatest gain for the smallest sacrifice.

    Section IV-C of NSGANetV1 selects networks by the ratio of the gain on accuracy over the
    sacrifice on FLOPs. Here, the trade-off of a row is that of Rachmawati and Srinivasan (2009):
    the smallest ratio, over all other rows, of what a move to the other row loses to what it gains.
    Objectives are scaled to [0, 1] first.

    Args:
        F: (n, m) objectives of non-dominated rows, to minimize.
        k: number of rows, at least 1.

    Returns:
        The indices of the k rows with the largest trade-offs, by the last objective.
    """
    F = np.asarray(F, float)
    if len(F) == 0:
        return []
    low, high = F.min(axis=0), F.max(axis=0)
    scaled = (F - low) / np.where(high > low, high - low, 1)
    moves = scaled[None] - scaled[:, None]  # [i, j]: from row i to row j
    lost, gained = np.maximum(moves, 0).sum(axis=2), np.maximum(-moves, 0).sum(axis=2)
    ratio = np.divide(lost, gained, out=np.full(lost.shape, np.inf), where=gained > 0)
    best = np.argsort(-ratio.min(axis=1), kind="stable")[:k]
    return sorted((int(i) for i in best), key=lambda i: F[i, -1])


def pick_least_violation(rows: Sequence[Row]) -> int:
    """Return the index of the row with the smallest sum of excesses over the limits."""
    return int(np.argmin([row.columns[VIOLATION] for row in rows]))


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
