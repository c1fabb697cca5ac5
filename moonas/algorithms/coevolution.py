"""Cooperative coevolution of two populations (Shu et al., 2019).

Each individual is evaluated together with the best individual of the other population. By default,
the class searches as the paper's algorithm 1 does. Its options change the parts of algorithm 1 that
make it a slow search for long rows of bits.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike
from pymoo.core.algorithm import Algorithm
from pymoo.core.population import Population
from pymoo.core.repair import NoRepair, Repair
from pymoo.core.sampling import Sampling

from ..operators.ask_and_tell import pass_algorithm_on
from ..operators.bits import cross_uniformly, mutate_bits
from ..operators.segments import flip_segments, sample_bits, swap_segments
from ..pareto import nondominated

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


def breed_small_changes(
    X: np.ndarray,
    costs: ArrayLike,
    n: int,
    rng: np.random.Generator,
    crossover: float,
    masks: Sequence[slice] | None = None,
    attempts: int = 20,
) -> np.ndarray:
    """Create n children of a population by operators whose changes do not grow with the row.

    With probability ``crossover``, a child is created by uniform crossover of two parents,
    otherwise it is a copy of one. Every child is then mutated by :func:`.mutate_bits`. A child that
    equals an individual of the population or another child is mutated again.

    Args:
        X: (k, n_var) bits, the population.
        costs: (k,) costs of the individuals, see :func:`selection_probabilities`.
        n: number of children.
        rng: ``numpy.random.Generator``.
        crossover: probability of crossover, in [0, 1].
        masks: positions of the masks in a row; by default, the whole row is one mask.
        attempts: number of mutations after which a child may be a duplicate.

    Returns:
        (n, n_var) bool array.
    """
    masks = [slice(0, X.shape[1])] if masks is None else masks
    X, probabilities = X.astype(bool), selection_probabilities(costs)
    seen = {x.tobytes() for x in X}
    children = []
    for _ in range(n):
        first, second = X[rng.choice(len(X), size=2, p=probabilities)]
        child = first[None]
        if rng.random() < crossover:
            child = cross_uniformly(child, second[None], rng)[0]
        for _ in range(attempts):
            child = mutate_bits(child, masks, rng)
            if child.tobytes() not in seen:
                break
        seen.add(child.tobytes())
        children.append(child[0])
    return np.array(children, dtype=bool).reshape(n, X.shape[1])


OPERATORS = ("segments", "scaled")
REPLACEMENTS = ("children", "best")
UPDATES = ("simultaneous", "alternating")
FIRST_PARTNERS = ("original", "first")


class Coevolution(Algorithm):
    """Cooperative coevolution of two populations within one problem (algorithm 1).

    A row of the problem is the concatenation (p | q) of two bit strings, whose lengths are
    ``problem.species_bits``. In every iteration, each individual p of the first population is
    joined with the best q, and each q with the best p. The problem scores these rows and returns
    the columns ``fitness_a`` and ``fitness_b``: the reciprocals of the fitness values of eqs. 11
    and 13, lower is better. The first row of each population is its best individual so far. An
    iteration evaluates 2 ``pop_size`` rows, whatever the options.

    With the default options, this is algorithm 1 of the paper, in which both populations are
    evaluated with the best individuals of the previous iteration. At the end of the run, the best p
    and the best q are evaluated together, which takes one more evaluation.

    Args:
        pop_size: number of individuals K in each population.
        density: probability that a bit of an initial individual is one.
        copy: probability that a child is a copy of its parent, with ``operators="segments"``.
        crossover: probability that two children are created by crossover of two parents. The
            remaining children are mutants.
        separate: whether each population evolves independently of the other. The partner then
            consists of ones in all iterations.
        repair: pymoo repair that is applied to joined rows.
        operators: "segments" for :func:`breed`, as in the paper's released code, or "scaled" for
            :func:`breed_small_changes`.
        replacement: "children" if the children replace all parents but the best (algorithm 1), or
            "best" if the best of parents and children survive. The costs of parents were computed
            with an earlier partner. They are corrected by the change of the cost of the best
            parent, which is evaluated again.
        update: "simultaneous" (algorithm 1), or "alternating" if the second population is evaluated
            with the best p of the same iteration, as in the text of the paper (section 3.2). The
            best p and the best q of an iteration have then been evaluated together.
        first_partner: partner in the first iteration: "original" for ones, which encode the network
            before compression, or "first" for the first individual of the other population.
        archive: whether the best rows of all iterations remain in the population that the algorithm
            returns: the non-dominated rows and the row with the lowest sum of both costs (eq. 8).
            Rows with the original network as partner are excluded.
        sampling: pymoo sampling of joined rows that provides the initial individuals; by default,
            bits are independent.
        masks: positions of the masks of both species in their rows, for the mutation of
            ``operators="scaled"``; by default, one mask for each species.
        kwargs: further arguments of pymoo's ``Algorithm``.

    Attributes:
        best: (n_var,) the best p and the best q so far, joined.
        pop_size: number of individuals in each population.
        species: bits of both populations, two arrays with a row per individual.
        costs: costs of both populations, two arrays.

    Raises:
        ValueError: an option is unknown.
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
        operators: str = "segments",
        replacement: str = "children",
        update: str = "simultaneous",
        first_partner: str = "original",
        archive: bool = False,
        sampling: Sampling | None = None,
        masks: tuple[Sequence[slice], Sequence[slice]] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        pass_algorithm_on(self)
        for name, value, choices in (
            ("operators", operators, OPERATORS),
            ("replacement", replacement, REPLACEMENTS),
            ("update", update, UPDATES),
            ("first_partner", first_partner, FIRST_PARTNERS),
        ):
            if value not in choices:
                raise ValueError(f"{name}={value!r} is unknown; choose from {list(choices)}.")
        self.pop_size, self.density = pop_size, density
        self.copy, self.crossover, self.separate = copy, crossover, separate
        self.repair = repair or NoRepair()
        self.operators, self.replacement, self.update = operators, replacement, update
        self.first_partner, self.keeps_archive = first_partner, archive
        self.sampling, self.masks = sampling, masks
        self.best: np.ndarray | None = None
        self.best_pairs = Population.empty()

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
        if self.sampling is None:
            sampled = [
                sample_bits(self.pop_size, n, self.density, self.random_state)
                for n in self.species_bits
            ]
        else:
            options = dict(algorithm=self, random_state=self.random_state)
            rows = self.sampling.do(self.problem, self.pop_size, **options)
            rows = self.repair(self.problem, rows, random_state=self.random_state)
            sampled = list(self._split(rows.get("X").astype(bool)))
        self.offspring = sampled
        if self.first_partner == "first" and not self.separate:
            self.best = np.concatenate([X[0] for X in sampled])
        return self._first_rows()

    def _initialize_advance(self, infills: Population = None, **kwargs: Any) -> None:
        self._advance(infills)

    def _infill(self) -> Population:
        assert self.best is not None
        self.offspring = []
        elites = self._split(self.best)
        for k, elite in enumerate(elites):
            self.offspring.append(np.vstack([elite, self._breed(k)]))
        return self._first_rows()

    def _breed(self, k: int) -> np.ndarray:
        """Return the pop_size - 1 children of a population; k is 0 for P and 1 for Q."""
        X, costs, n = self.species[k], self.costs[k], self.pop_size - 1
        if self.operators == "segments":
            return breed(X, costs, n, self.random_state, self.copy, self.crossover)
        masks = None if self.masks is None else self.masks[k]
        return breed_small_changes(X, costs, n, self.random_state, self.crossover, masks)

    def _first_rows(self) -> Population:
        """Return the rows to evaluate first: those of P or, if simultaneous, of P and Q."""
        if self.update == "alternating":
            return self._join_with_partners(P=self.offspring[0])
        return self._join_with_partners(*self.offspring)

    def _join_with_partners(
        self, P: np.ndarray | None = None, Q: np.ndarray | None = None
    ) -> Population:
        """Join each individual with its partner, and return the rows of P, then those of Q."""
        q, p = self.partners
        rows = []
        if P is not None:
            rows.append(np.hstack([P, np.tile(q, (len(P), 1))]))
        if Q is not None:
            rows.append(np.hstack([np.tile(p, (len(Q), 1)), Q]))
        joined = Population.new(X=np.vstack(rows))
        return self.repair(self.problem, joined, random_state=self.random_state)

    def _advance(self, infills: Population = None, **kwargs: Any) -> None:
        first_iteration = not self.is_initialized
        if first_iteration:
            empty = [np.empty((0, n), bool) for n in self.species_bits]
            self.species, self.costs = empty, [np.empty(0), np.empty(0)]
        compressed = not self.separate and (not first_iteration or self.best is not None)
        if self.update == "simultaneous":
            k = self.pop_size
            survivors = [self._survivors(0, infills[:k]), self._survivors(1, infills[k:])]
            self._set_species(*survivors)
            self._keep_best_pairs(infills, compressed)
        else:
            self._keep_best_pairs(infills, compressed)
            self._set_species(p=self._survivors(0, infills))
            rows = self._join_with_partners(Q=self.offspring[1])
            rows.set("n_gen", self.n_iter)
            self.evaluator.eval(self.problem, rows, algorithm=self)
            # the best p is known, so these are pairs even in the first iteration
            self._keep_best_pairs(rows, not self.separate)
            self._set_species(q=self._survivors(1, rows))
            infills = Population.merge(infills, rows)
        self.pop = self._with_best_pairs(infills)

    def _survivors(self, k: int, rows: Population) -> tuple[np.ndarray, np.ndarray]:
        """Return the individuals and costs of a population after its children were evaluated.

        Args:
            k: 0 for P and 1 for Q.
            rows: evaluated rows of the population; the first is the best individual so far, except
                in the first iteration.
        """
        X = self._split(rows.get("X").astype(bool))[k]
        costs = self._costs(rows, k)
        if self.replacement == "children" or not len(self.costs[k]):
            return X, costs
        parents, parent_costs = self.species[k], self.costs[k]
        best = int(parent_costs.argmin())
        others = np.arange(len(parents)) != best
        # The others were no better than the best parent, so corrected costs are positive as well.
        corrected = parent_costs[others] + (costs[0] - parent_costs[best])
        X, costs = np.vstack([X, parents[others]]), np.concatenate([costs, corrected])
        kept = np.argsort(costs, kind="stable")[: self.pop_size]
        return X[kept], costs[kept]

    def _costs(self, rows: Population, k: int) -> np.ndarray:
        """Return the costs of rows in a population; infeasible rows cost more than all others.

        Args:
            rows: n evaluated rows.
            k: 0 for P and 1 for Q.

        Returns:
            (n,) floats, > 0: the column ``fitness_a`` or ``fitness_b`` or, for a row that exceeds a
            limit, the largest value of this column plus the constraint violation.
        """
        name = ("fitness_a", "fitness_b")[k]
        costs: np.ndarray = rows.get(name).astype(float)
        if not self.problem.has_constraints():
            return costs
        bounds = self.problem.column(name).bounds
        assert bounds is not None, "a problem with two populations bounds their costs"
        violation = rows.get("CV")[:, 0]
        return np.where(violation > 0, bounds[1] + violation, costs)

    def _set_species(
        self,
        p: tuple[np.ndarray, np.ndarray] | None = None,
        q: tuple[np.ndarray, np.ndarray] | None = None,
    ) -> None:
        """Set the individuals and costs of one or both populations, and the best individuals."""
        partners = self.partners
        halves = [partners[1], partners[0]]
        for k, survivors in enumerate((p, q)):
            if survivors is not None:
                self.species[k], self.costs[k] = survivors
                halves[k] = survivors[0][survivors[1].argmin()]
            elif len(self.costs[k]):
                halves[k] = self.species[k][self.costs[k].argmin()]
        self.best = np.concatenate(halves)

    def _keep_best_pairs(self, rows: Population, compressed: bool) -> None:
        """Add rows to the archive, and drop all but the non-dominated rows and the best pair.

        Args:
            rows: evaluated rows.
            compressed: whether the rows are pairs of two individuals.
        """
        if not (self.keeps_archive and compressed):
            return
        rows = Population.merge(self.best_pairs, rows)
        rows = rows[np.unique(rows.get("X"), axis=0, return_index=True)[1]]
        best = (self._costs(rows, 0) + self._costs(rows, 1)).argmin()
        feasible = np.flatnonzero(rows.get("feas"))
        kept = feasible[nondominated(rows.get("F")[feasible])] if len(feasible) else feasible
        self.best_pairs = rows[np.union1d(kept, [best])]

    def _with_best_pairs(self, rows: Population) -> Population:
        """Return rows together with the archived rows that are not among them."""
        present = {x.tobytes() for x in rows.get("X")}
        others = [row for row in self.best_pairs if row.X.tobytes() not in present]
        return Population.merge(rows, Population.create(*others)) if others else rows

    def _finalize(self) -> None:
        """Evaluate the two best individuals as a pair, as in lines 13 and 14 of algorithm 1.

        With alternating updates, they have already been evaluated together. With ``separate``, no
        other row is a pair of evolved individuals, so the final population contains this pair only.
        """
        assert self.best is not None
        if self.separate or self.update == "simultaneous":
            pair = Population.new(X=self.best[None])
            self.evaluator.eval(self.problem, pair, algorithm=self)
            self._keep_best_pairs(pair, True)
            self.pop = pair if self.separate else Population.merge(self.pop, pair)
        self._set_optimum()
