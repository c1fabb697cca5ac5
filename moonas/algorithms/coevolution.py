"""Cooperative coevolution of two populations (Shu et al., 2019).

Each individual is evaluated together with the best individual of the other population.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike
from pymoo.core.algorithm import Algorithm
from pymoo.core.population import Population
from pymoo.core.repair import NoRepair, Repair

from ..operators.segments import flip_segments, sample_bits, swap_segments

if TYPE_CHECKING:
    from ..problem import ArchitectureProblem


def selection_probabilities(costs: ArrayLike) -> np.ndarray:
    """Compute the probability that each individual is selected as a parent (eq. 12).

    Args:
        costs: (n,) reciprocals of the fitness values (eq. 11), > 0; lower is better.

    Returns:
        (n,) floats that sum to 1.

    Raises:
        ValueError: if a cost is not a positive, finite number.
    """
    costs = np.asarray(costs, float)
    if not ((costs > 0) & np.isfinite(costs)).all():
        raise ValueError(
            f"costs are invalid: expected positive, finite numbers, got {costs.tolist()}."
        )
    fitness = 1 / costs
    probabilities: np.ndarray = fitness / fitness.sum()
    return probabilities


def breed(
    X: np.ndarray,
    costs: ArrayLike,
    n: int,
    rng: np.random.Generator,
    copy: float,
    crossover: float,
) -> np.ndarray:
    """Create n children of a population.

    Operators are applied until there are n children. Each time, one of three is chosen: with
    probability ``copy``, a parent is copied; with probability ``crossover``, two parents exchange a
    segment and both children are added; otherwise a segment of a parent is flipped.

    Args:
        X: (k, n_var) bits, the population.
        costs: (k,) costs of the individuals, which determine how often they become parents, see
            :func:`selection_probabilities`.
        n: number of children.
        rng: ``numpy.random.Generator``.
        copy: probability of a copy, in [0, 1].
        crossover: probability of crossover, in [0, 1 - copy].

    Returns:
        (n, n_var) array with the dtype of X.
    """
    probabilities = selection_probabilities(costs)
    children: list[np.ndarray] = []
    while len(children) < n:
        s = rng.random()
        first, second = X[rng.choice(len(X), size=2, p=probabilities)]
        if s < copy:
            children.append(first)
        elif s < copy + crossover:
            children += [child[0] for child in swap_segments(first[None], second[None], rng)]
        else:
            children.append(flip_segments(first[None], rng)[0])
    return np.array(children[:n])


class Coevolution(Algorithm):
    """Cooperative coevolution of two populations within one problem (algorithm 1).

    A row of the problem is the concatenation (p | q) of two bit strings, whose lengths are
    ``problem.species_bits``. In every iteration, each individual p of the first population is
    joined with the best q of the previous iteration, and each q with the best p. The problem scores
    these rows together and returns the columns ``fitness_a`` and ``fitness_b``: the reciprocals of
    the fitness values of eqs. 11 and 13, lower is better. The best individual of each population
    survives unchanged. In the first iteration (with ``separate``, in all iterations), the partner
    consists of ones, which encode the network before compression.

    In the text of the paper, the second population is evaluated with the best p of the same
    iteration; in algorithm 1 of the paper, with the best p of the previous iteration. This class
    follows algorithm 1. At the end of the run, the best p and the best q are evaluated together,
    which takes one more evaluation.

    Args:
        pop_size: number of individuals K in each population.
        density: probability that a bit of an initial individual is one.
        copy: probability that a child is a copy of its parent.
        crossover: probability that two children are created by crossover of two parents. The
            remaining children are mutants.
        separate: whether each population evolves independently of the other.
        repair: pymoo repair that is applied to joined rows.
        kwargs: further arguments of pymoo's ``Algorithm``.

    Attributes:
        best: (n_var,) the best p and the best q so far, joined.
        pop_size: number of individuals in each population.
    """

    def __init__(
        self,
        pop_size: int = 32,
        *,
        density: float = 0.5,
        copy: float = 0.2,
        crossover: float = 0.7,
        separate: bool = False,
        repair: Repair | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.pop_size, self.density = pop_size, density
        self.copy, self.crossover, self.separate = copy, crossover, separate
        self.repair = repair or NoRepair()
        self.best: np.ndarray | None = None

    def _setup(self, problem: ArchitectureProblem, **kwargs: Any) -> None:
        if problem.species_bits is None:
            raise ValueError(
                "Coevolution requires a problem with two populations (species_bits), but "
                f"{type(problem).__name__} has none."
            )
        self.species_bits = tuple(problem.species_bits)

    @property
    def partners(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the q that every p is evaluated with, and the p that every q is evaluated with."""
        if self.separate or self.best is None:
            n_p, n_q = self.species_bits
            return np.ones(n_q, dtype=bool), np.ones(n_p, dtype=bool)
        p, q = self._split(self.best)
        return q, p

    def _split(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Split joined rows, (..., n_var), into their bits p and q."""
        p, q = np.split(rows, self.species_bits[:1], axis=-1)
        return p, q

    def _initialize_infill(self) -> Population:
        p, q = (
            sample_bits(self.pop_size, n, self.density, self.random_state)
            for n in self.species_bits
        )
        return self._join_with_partners(p, q)

    def _initialize_advance(self, infills: Population = None, **kwargs: Any) -> None:
        self._advance(infills)

    def _infill(self) -> Population:
        assert self.best is not None
        children = []
        elites = self._split(self.best)
        for X, costs, elite in zip(self.species, self.costs, elites, strict=True):
            bred = breed(X, costs, self.pop_size - 1, self.random_state, self.copy, self.crossover)
            children.append(np.vstack([elite, bred]))
        return self._join_with_partners(*children)

    def _join_with_partners(self, P: np.ndarray, Q: np.ndarray) -> Population:
        """Join each individual of both populations with its partner, and return these rows."""
        q, p = self.partners
        with_q = np.hstack([P, np.tile(q, (len(P), 1))])
        with_p = np.hstack([np.tile(p, (len(Q), 1)), Q])
        joined = Population.new(X=np.vstack([with_q, with_p]))
        return self.repair(self.problem, joined, random_state=self.random_state)

    def _advance(self, infills: Population = None, **kwargs: Any) -> None:
        k = self.pop_size
        P, Q = self._split(infills.get("X").astype(bool))
        self.species = P[:k], Q[k:]
        self.costs = (
            infills[:k].get("fitness_a").astype(float),
            infills[k:].get("fitness_b").astype(float),
        )
        self.best = np.concatenate(
            [X[costs.argmin()] for X, costs in zip(self.species, self.costs, strict=True)]
        )
        self.pop = infills

    def _finalize(self) -> None:
        """Evaluate the two best individuals as a pair, as in lines 13 and 14 of algorithm 1.

        With ``separate`` no other row is a pair of evolved individuals, so the final population
        contains this pair only.
        """
        assert self.best is not None
        pair = Population.new(X=self.best[None])
        self.evaluator.eval(self.problem, pair, algorithm=self)
        self.pop = pair if self.separate else Population.merge(self.pop, pair)
        self._set_optimum()
