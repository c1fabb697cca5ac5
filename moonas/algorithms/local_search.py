"""Pareto local search: evaluate the neighbors of the best architectures found so far.

Local search is among the best methods on benchmarks of neural architecture search (White et al.,
*Exploring the loss landscape in neural architecture search*, UAI 2021). For several objectives, it
explores the neighbors of all non-dominated candidates (Paquete, Chiarandini and Stützle, *Pareto
local optimum sets in the biobjective traveling salesman problem*, 2004). A neighbor differs in one
gene. Of the neighbors that have not been evaluated, a linear model of all evaluated candidates
chooses the most promising ones, since sizes of networks are sums or products over their parts, and
errors almost so.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from pymoo.core.algorithm import Algorithm
from pymoo.core.duplicate import NoDuplicateElimination
from pymoo.core.infill import InfillCriterion
from pymoo.core.initialization import Initialization
from pymoo.core.population import Population
from pymoo.core.repair import NoRepair, Repair
from pymoo.core.sampling import Sampling
from pymoo.operators.mutation.pm import mut_pm

from ..operators.ask_and_tell import pass_algorithm_on
from ..pareto import closest_to_limits, nondominated
from .sources import (
    SharedMating,
    last_evaluated,
    set_source,
    softmax_shares,
    survival_rates,
    unique_rows,
)

if TYPE_CHECKING:
    from ..problem import ArchitectureProblem
    from ..spaces.genes import Genes

ORDERS = ("model", "random")
SOURCES = ("genetic", "neighbor")
FEW_CHOICES = 20  # integers with more values have a linear and a quadratic term in the model
STEPS = 4  # neighbors per real gene
ETA = 20.0  # distribution index of the steps of real genes
MOST_NEIGHBORS = 400  # that the model compares in one iteration
RIDGE = 1.0  # penalty of the model's weights
ATTEMPTS = 50  # samplings in search of rows that have not been evaluated


def neighbors(x: np.ndarray, genes: Genes, rng: np.random.Generator) -> np.ndarray:
    """Return the neighbors of a row in random order; each differs from the row in one gene.

    An integer or a bit takes every other value; a real number takes four polynomial steps.

    Args:
        x: (n_var,) row.
        genes: kinds and bounds of the genes.
        rng: ``numpy.random.Generator``.

    Returns:
        (n, n_var) rows.
    """
    changes: list[tuple[int, float]] = []
    for j, (low, high) in enumerate(zip(genes.low, genes.high, strict=True)):
        if genes.real[j]:
            changes += [(j, value) for value in _steps(x[j], low, high, rng)]
        else:
            changes += [(j, v) for v in range(int(low), int(high) + 1) if v != x[j]]
    rows = np.tile(x, (len(changes), 1))
    order = rng.permutation(len(changes))
    for row, i in zip(rows, order, strict=True):
        j, value = changes[i]
        row[j] = value
    return rows


def _steps(value: float, low: float, high: float, rng: np.random.Generator) -> np.ndarray:
    """Return the results of polynomial mutations of a real number."""
    if high <= low:
        return np.empty(0)
    X, bounds = np.full((STEPS, 1), value), (np.array([low]), np.array([high]))
    certain = np.ones(STEPS)
    steps: np.ndarray = mut_pm(
        X, *bounds, np.full(STEPS, ETA), certain, at_least_once=True, random_state=rng
    )
    return steps[:, 0]


def features(X: np.ndarray, genes: Genes) -> np.ndarray:
    """Return the inputs of the linear model.

    Args:
        X: (n, n_var) rows.
        genes: kinds and bounds of the genes.

    Returns:
        (n, k) floats: an indicator for each value of an integer with few values, two Legendre
        polynomials for any other gene, and a constant.
    """
    parts = [np.ones((len(X), 1))]
    for j, (low, high) in enumerate(zip(genes.low, genes.high, strict=True)):
        values = X[:, j].astype(float)
        if not genes.real[j] and high - low < FEW_CHOICES:
            parts.append((values[:, None] == np.arange(low, high + 1)).astype(float))
        else:
            scaled = 2 * (values - low) / (high - low or 1) - 1
            parts.append(np.column_stack([scaled, 1.5 * scaled**2 - 0.5]))
    return np.hstack(parts)


def predict(X: np.ndarray, Y: np.ndarray, candidates: np.ndarray, genes: Genes) -> np.ndarray:
    """Predict values of candidates by ridge regression.

    Args:
        X: (n, n_var) evaluated rows.
        Y: (n, m) their values, which are standardized first.
        candidates: (k, n_var) rows.
        genes: kinds and bounds of the genes.

    Returns:
        (k, m) predicted values.
    """
    Z, mean, scale = _standardize(Y)
    inputs = features(X, genes)
    predicted: np.ndarray = features(candidates, genes) @ _ridge(inputs, Z) * scale + mean
    return predicted


def leave_one_out_errors(X: np.ndarray, Y: np.ndarray, genes: Genes) -> np.ndarray:
    """Return the mean squared error of :func:`predict` for rows that are left out one by one.

    Args:
        X: (n, n_var) evaluated rows.
        Y: (n, m) their values.
        genes: kinds and bounds of the genes.

    Returns:
        (m,) errors, as shares of the variances of the values.
    """
    Z, _, _ = _standardize(Y)
    inputs = features(X, genes)
    to_weights = _ridge(inputs, np.eye(len(X)))
    leverage = np.einsum("ij,ji->i", inputs, to_weights)
    residuals = (Z - inputs @ (to_weights @ Z)) / (1 - leverage)[:, None]
    errors: np.ndarray = (residuals**2).mean(axis=0)
    return errors


def _standardize(Y: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    mean, scale = Y.mean(axis=0), Y.std(axis=0)
    scale = np.where(scale > 0, scale, 1)
    return (Y - mean) / scale, mean, scale


def _ridge(inputs: np.ndarray, Z: np.ndarray) -> np.ndarray:
    """Return the (k, m) weights of ridge regression from inputs, (n, k), to values, (n, m)."""
    n, k = inputs.shape
    if k <= n:
        weights: np.ndarray = np.linalg.solve(inputs.T @ inputs + RIDGE * np.eye(k), inputs.T @ Z)
        return weights
    # the same weights, from a smaller system of equations
    weights = inputs.T @ np.linalg.solve(inputs @ inputs.T + RIDGE * np.eye(n), Z)
    return weights


def log_scales(X: np.ndarray, Y: np.ndarray, genes: Genes) -> np.ndarray:
    """Return which values the model predicts better on a logarithmic scale.

    Sizes may be sums or products over the parts of a network, and differences between the errors
    of good networks are small beside those of bad ones.

    Args:
        X: (n, n_var) evaluated rows.
        Y: (n, m) their values.
        genes: kinds and bounds of the genes.

    Returns:
        (m,) bool; False for values that are not positive.
    """
    positive = (Y > 0).all(axis=0)
    logarithms = np.log(np.where(positive, Y, 1.0))
    errors = leave_one_out_errors(X, np.hstack([Y, logarithms]), genes)
    m = Y.shape[1]
    better: np.ndarray = positive & (errors[m:] < errors[:m])
    return better


def improvements(P: np.ndarray, front: np.ndarray) -> np.ndarray:
    """Return by how much each of several points would improve a front.

    It is the maximin improvement (Svenson and Santner, 2016): the smallest over the points of the
    front of the largest improvement in an objective. It is positive if no point of the front weakly
    dominates the new point.

    Args:
        P: (n, n_obj) new points.
        front: (k, n_obj) points of the front.

    Returns:
        (n,) floats.
    """
    smallest: np.ndarray = (front[None] - P[:, None]).max(axis=2).min(axis=1)
    return smallest


def _check_order(order: str) -> None:
    if order not in ORDERS:
        raise ValueError(f"order={order!r} is unknown; choose from {list(ORDERS)}.")


class Neighborhood:
    """The neighbors of the best candidates of a run that have not been evaluated.

    Args:
        problem: problem that is searched.
        order: "model" to propose the neighbors that a linear model considers best, or "random".
        random_share: share of the proposed neighbors that are drawn at random with a model.
        repair: pymoo repair of neighbors.

    Attributes:
        evaluated: all candidates with valid objectives and constraints.
        best: the best of them, see :func:`best_candidates`.
    """

    def __init__(
        self,
        problem: ArchitectureProblem,
        order: str = "model",
        random_share: float = 0.2,
        repair: Repair | None = None,
    ) -> None:
        _check_order(order)
        self.problem, self.order, self.random_share = problem, order, random_share
        self.repair = repair or NoRepair()
        self.evaluated = self.best = Population.empty()
        self._scores = np.empty((0, 0))  # objectives and constraints of evaluated candidates
        self._seen: set[bytes] = set()
        self._untried: dict[bytes, list[tuple[bytes, np.ndarray]]] = {}  # by row of a member

    def update(self, infills: Population, known: Population) -> None:
        """Note what has been evaluated.

        Args:
            infills: candidates that have been evaluated since the last call.
            known: all candidates with valid objectives and constraints, without duplicates.
        """
        X = infills.get("X").astype(self.problem.genes.dtype)
        self._seen.update(self.problem.session.candidates(X).keys)
        self.evaluated, self.best = known, best_candidates(known)
        F, G = known.get("F", "G")
        self._scores = np.hstack([F, G.reshape(len(known), -1)]).astype(float)

    def new(self, X: np.ndarray) -> np.ndarray:
        """Return the rows whose architectures have not been evaluated, without duplicates."""
        kept, keys = [], set[bytes]()
        for i, key in enumerate(self.problem.session.candidates(X).keys):
            if key not in self._seen and key not in keys:
                keys.add(key)
                kept.append(i)
        rows: np.ndarray = X[kept]
        return rows

    def propose(self, n: int, rng: np.random.Generator) -> np.ndarray:
        """Return up to n rows that are neighbors of the best evaluated candidates.

        Args:
            n: number of rows.
            rng: ``numpy.random.Generator``.

        Returns:
            (k, n_var) rows that have not been evaluated, k at most n; fewer if there are no others.
        """
        pool = self._pool(self.best.get("X").astype(self.problem.genes.dtype), rng)
        if len(pool) <= n:
            return pool
        chosen: np.ndarray = rng.permutation(len(pool))[:n]
        if self.order == "model":
            chosen = self._most_promising(pool, n, rng)
        rows: np.ndarray = pool[chosen]
        return rows

    def _pool(self, members: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Return untried neighbors of members, (n, n_var), at most ``MOST_NEIGHBORS`` of them."""
        untried = {}
        for x in members:
            name = x.tobytes()
            pairs = self._untried.get(name)
            if pairs is None:
                rows = (
                    self.repair(
                        self.problem, Population.new(X=neighbors(x, self.problem.genes, rng))
                    )
                    .get("X")
                    .astype(self.problem.genes.dtype)
                )
                pairs = [(b"", row) for row in rows]  # keys are computed when they are needed
            untried[name] = pairs
        self._untried = untried
        pool: dict[bytes, np.ndarray] = {}
        share = -(-MOST_NEIGHBORS // max(1, len(members)))
        for name, pairs in untried.items():
            kept: list[tuple[bytes, np.ndarray]] = []
            while pairs and len(kept) < share:
                part, pairs = pairs[:share], pairs[share:]
                unknown = [row for key, row in part if not key]
                keys = iter(self.problem.session.candidates(np.array(unknown)).keys)
                known = [(key or next(keys), row) for key, row in part]
                kept += [(key, row) for key, row in known if key not in self._seen]
            untried[name] = kept + pairs
            pool |= dict(kept)
        dtype, n_var = self.problem.genes.dtype, self.problem.n_var
        return np.array(list(pool.values()), dtype).reshape(-1, n_var)

    def _most_promising(self, pool: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
        """Return the (n,) indices of the rows of a pool with the largest predicted improvement.

        One row is chosen after another, and the improvement of the next one is relative to the
        front with the chosen rows. Rows that are predicted to exceed a limit come last.
        """
        genes, n_obj = self.problem.genes, self.problem.n_obj
        finite = np.isfinite(self._scores).all(axis=1)
        X, Y = self.evaluated.get("X")[finite], self._scores[finite]
        front = self.best.get("F").astype(float)
        offsets = np.r_[np.zeros(n_obj), np.ones(Y.shape[1] - n_obj)]  # a constraint is at least -1
        logarithmic = log_scales(X, Y + offsets, genes)
        Y = np.log(Y + offsets, where=logarithmic, out=Y.copy())
        front = np.log(front, where=logarithmic[:n_obj], out=front)
        predicted = predict(X, Y, pool, genes)
        low, high = front.min(axis=0), front.max(axis=0)
        extent = np.where(high > low, high - low, np.maximum(Y[:, :n_obj].std(axis=0), 1e-12))
        P, front = (predicted[:, :n_obj] - low) / extent, (front - low) / extent
        violation = np.maximum(predicted[:, n_obj:], 0).sum(axis=1)
        gain = improvements(P, front)
        available = np.ones(len(pool), dtype=bool)
        chosen = []
        for _ in range(n):
            if rng.random() < self.random_share:
                i = int(rng.choice(np.flatnonzero(available)))
            else:
                order = np.lexsort((-gain, violation))
                i = int(order[available[order]][0])
            available[i] = False
            chosen.append(i)
            gain = np.minimum(gain, (P[i] - P).max(axis=1))
        return np.array(chosen)


def best_candidates(evaluated: Population) -> Population:
    """Return the non-dominated feasible candidates, without duplicates of their objectives.

    If no candidate is feasible, those that exceed the limits least are returned.
    """
    excess = np.maximum(evaluated.get("G").reshape(len(evaluated), -1), 0)
    closest = closest_to_limits(excess)
    chosen = evaluated[closest]
    values = excess[closest] if excess[closest].any() else chosen.get("F")
    _, first = np.unique(values, axis=0, return_index=True)
    unique = np.sort(first)
    return chosen[unique[nondominated(values[unique])]]


class ParetoLocalSearch(Algorithm):
    """Evaluates untried neighbors of the non-dominated candidates found so far.

    The population consists of these candidates. If all of their neighbors have been evaluated, the
    search goes on with samples. No architecture is evaluated twice, and the search ends when 50
    attempts have sampled no new one. If objectives change while shared weights train, candidates
    are compared, and the model is fitted, under the current weights.

    Args:
        pop_size: number of samples that the search starts from.
        n_offsprings: number of candidates per iteration; by default, half of ``pop_size``.
        order: "model" to evaluate the neighbors that a linear model considers best, or "random".
        random_share: share of the neighbors that are drawn at random with a model.
        sampling: pymoo sampling, or the rows or the population to start from; by default, the
            sampling of the problem.
        repair: pymoo repair of samples and neighbors.
        kwargs: further arguments of pymoo's ``Algorithm``.

    Raises:
        ValueError: ``order`` is unknown.
    """

    def __init__(
        self,
        pop_size: int = 20,
        n_offsprings: int | None = None,
        *,
        order: str = "model",
        random_share: float = 0.2,
        sampling: Sampling | Population | np.ndarray | None = None,
        repair: Repair | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        pass_algorithm_on(self)
        _check_order(order)
        self.pop_size = pop_size
        self.n_offsprings = n_offsprings or max(1, pop_size // 2)
        self.order, self.random_share = order, random_share
        self.sampling, self.repair = sampling, repair or NoRepair()

    def _setup(self, problem: ArchitectureProblem, **kwargs: Any) -> None:
        self.neighborhood = Neighborhood(problem, self.order, self.random_share, self.repair)

    def _initialize_infill(self) -> Population:
        if self.sampling is None or isinstance(self.sampling, Sampling):
            return Population.new(X=self._sample(self.pop_size))
        start = Initialization(
            self.sampling, repair=self.repair, eliminate_duplicates=NoDuplicateElimination()
        )
        population: Population = start.do(
            self.problem, self.pop_size, algorithm=self, random_state=self.random_state
        )
        return population

    def _sample(self, n: int) -> np.ndarray:
        """Return up to n rows from the sampling that have not been evaluated."""
        sampling = self.sampling
        if not isinstance(sampling, Sampling):
            sampling = self.problem.operators()["sampling"]
        rows = np.empty((0, self.problem.n_var), self.problem.genes.dtype)
        for _ in range(ATTEMPTS):
            options = dict(algorithm=self, random_state=self.random_state)
            sampled = sampling.do(self.problem, n, **options)
            sampled = self.repair(self.problem, sampled, random_state=self.random_state)
            drawn = sampled.get("X").astype(rows.dtype)
            rows = self.neighborhood.new(np.vstack([rows, drawn]))[:n]
            if len(rows) == n:
                break
        return rows

    def _initialize_advance(self, infills: Population = None, **kwargs: Any) -> None:
        self._advance(infills)

    def _infill(self) -> Population:
        n, rng = self.n_offsprings, self.random_state
        rows = self.neighborhood.propose(n, rng)
        if len(rows) < n:
            rows = np.vstack([rows, self._sample(n)])
            rows = self.neighborhood.new(rows)[:n]
        if not len(rows):
            self.termination.force_termination = True
        return Population.new(X=rows)

    def _advance(self, infills: Population = None, **kwargs: Any) -> None:
        known = self.neighborhood.evaluated
        if self.problem.nonstationary and self.is_initialized:
            known = self.pop  # all others have outdated objectives
        known = Population.merge(known, infills) if len(known) else infills
        self.neighborhood.update(infills, known)
        self.pop: Population = self.neighborhood.best


class NeighborMating(SharedMating):
    """Wraps the mating of a genetic algorithm, and takes some of the offspring from neighbors.

    The share of the offspring that are untried neighbors of the best candidates follows the
    survival rates of both kinds of offspring, as equation 2 of NSGANetV1 prescribes for its model.

    Args:
        base: the mating to wrap, which also provides the repair and the duplicate elimination.
        order: see :class:`ParetoLocalSearch`.
        random_share: see :class:`ParetoLocalSearch`.
        first_share: share of neighbors in the first generation.

    Attributes:
        shares: (2,) shares of the wrapped mating and of neighbors in this generation.
        shown_as: title of the second share in the table of generations.
    """

    shown_as = "neighbors"

    def __init__(
        self,
        base: InfillCriterion,
        *,
        order: str = "model",
        random_share: float = 0.2,
        first_share: float = 0.5,
    ) -> None:
        super().__init__(base)
        _check_order(order)
        self.order, self.random_share = order, random_share
        self.shares = np.array([1 - first_share, first_share])
        self.neighborhood: Neighborhood | None = None

    def _do(
        self,
        problem: ArchitectureProblem,
        pop: Population,
        n_offsprings: int,
        *args: Any,
        algorithm: Algorithm = None,
        random_state: np.random.Generator,
        **kwargs: Any,
    ) -> Population:
        if self.is_new_generation(algorithm):
            self._update(problem, algorithm)
        assert self.neighborhood is not None
        parts = [Population.create()]
        n_neighbors = self.count_others(n_offsprings, random_state)
        if n_neighbors:
            X = self.neighborhood.propose(n_neighbors, random_state)
            parts.append(set_source(Population.new(X=X), "neighbor"))
            n_neighbors = len(X)
        options = dict(algorithm=algorithm, random_state=random_state) | kwargs
        parts.append(self.mate(problem, pop, n_offsprings - n_neighbors, *args, **options))
        return Population.merge(*parts)

    def _update(self, problem: ArchitectureProblem, algorithm: Algorithm) -> None:
        """Note what was evaluated since the last generation, and update the shares."""
        evaluated = last_evaluated(algorithm)
        if self.neighborhood is None:
            self.neighborhood = Neighborhood(problem, self.order, self.random_share, self.repair)
        else:
            self.shares = softmax_shares(survival_rates(algorithm, SOURCES), self.shares)
        known = algorithm.pop if problem.nonstationary else self.neighborhood.evaluated
        self.neighborhood.update(evaluated, unique_rows(known, evaluated))
