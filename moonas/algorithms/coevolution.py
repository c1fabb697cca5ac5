"""Two populations that evolve together, each against the best of the other (Shu et al., 2019)."""

import numpy as np
from pymoo.core.algorithm import Algorithm
from pymoo.core.population import Population
from pymoo.core.repair import NoRepair

from ..operators.segments import draw_bits, flip_segments, swap_segments


def roulette(brackets):
    """Chances to be a parent (eq. 12), (n,), from what eq. 11 takes the reciprocal of.

    Args:
        brackets: (n,) positive, lower is better.

    Raises:
        ValueError: one is not a positive number.
    """
    brackets = np.asarray(brackets, float)
    if not ((brackets > 0) & np.isfinite(brackets)).all():
        raise ValueError(f"Roulette wants positive numbers; got {brackets.tolist()}.")
    fitness = 1 / brackets
    return fitness / fitness.sum()


def breed(X, brackets, n, rng, copy, crossover):
    """n children of a population.

    Until there are n: with chance ``copy`` a parent as it is; with chance ``crossover`` both
    children of two parents that exchange a segment; else a parent with a segment flipped.

    Args:
        X: (k, n_var) bits.
        brackets: (k,), see :func:`roulette`, by which parents are drawn.
        n: how many.
        rng: ``numpy.random.Generator``.
        copy: chance.
        crossover: chance.

    Returns:
        (n, n_var) of X's type.
    """
    chances = roulette(brackets)
    children = []
    while len(children) < n:
        s = rng.random()
        one, two = X[rng.choice(len(X), size=2, p=chances)]
        if s < copy:
            children.append(one)
        elif s < copy + crossover:
            children += [child[0] for child in swap_segments(one[None], two[None], rng)]
        else:
            children.append(flip_segments(one[None], rng)[0])
    return np.array(children[:n])


class Coevolution(Algorithm):
    """Algorithm 1: two genetic algorithms that take turns within one problem.

    A row of the problem is (p | q), ``problem.species_bits`` bits each. In every iteration all p
    are joined with the best q of the iteration before, and all q with the best p; the problem
    scores these rows together and gives the columns ``fitness_a`` and ``fitness_b``: the brackets
    of eqs. 11 and 13, lower is better. The best of each population goes on unchanged. In the first
    iteration, and with ``separate`` in all of them, the partner is the row of ones: the network
    before compression.

    The text has the second population meet the first one's best of the same iteration, algorithm 1
    that of the one before; this is algorithm 1. When the run ends, the best of both are scored
    together, one evaluation more.

    Args:
        pop_size: K, individuals of each population.
        density: chance of a bit to be one at first.
        copy: chance that a child is a copy of its parent.
        crossover: chance that two children come from two parents; else a child is mutated.
        separate: each population evolves as if it were alone.
        repair: of pymoo, applied to joined rows.
        kwargs: of pymoo's Algorithm.

    Attributes:
        best: (n_var,) the best p and the best q so far, joined.
        n_each: K.
    """

    def __init__(
        self,
        pop_size=32,
        *,
        density=0.5,
        copy=0.2,
        crossover=0.7,
        separate=False,
        repair=None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.pop_size, self.density = pop_size, density
        self.copy, self.crossover, self.separate = copy, crossover, separate
        self.repair = repair or NoRepair()
        self.best = None

    def _setup(self, problem, **kwargs):
        if problem.species_bits is None:
            raise ValueError(
                "Coevolution needs a problem with two species (species_bits); "
                f"{type(problem).__name__} has none."
            )
        self.species_bits = tuple(problem.species_bits)

    @property
    def partners(self):
        """What each population is scored against: a q for the first, a p for the second."""
        ones = [np.ones(n, dtype=bool) for n in self.species_bits]
        if self.separate or self.best is None:
            return ones[1], ones[0]
        a, b = np.split(self.best, self.species_bits[:1])
        return b, a

    def _initialize_infill(self):
        rng, k = self.random_state, self.pop_size
        return self._joined(*(draw_bits(k, n, self.density, rng) for n in self.species_bits))

    def _initialize_advance(self, infills=None, **kwargs):
        self._advance(infills)

    def _infill(self):
        children = []
        elites = np.split(self.best, self.species_bits[:1])
        for X, brackets, elite in zip(self.species, self.brackets, elites, strict=True):
            options = dict(copy=self.copy, crossover=self.crossover)
            born = breed(X, brackets, self.pop_size - 1, self.random_state, **options)
            children.append(np.vstack([elite, born]))
        return self._joined(*children)

    def _joined(self, A, B):
        """Rows of the problem: each individual of both populations with its partner."""
        q, p = self.partners
        with_q = np.hstack([A, np.tile(q, (len(A), 1))])
        with_p = np.hstack([np.tile(p, (len(B), 1)), B])
        joined = Population.new(X=np.vstack([with_q, with_p]))
        return self.repair(self.problem, joined, random_state=self.random_state)

    def _advance(self, infills=None, **kwargs):
        k = self.pop_size
        A, B = np.hsplit(infills.get("X").astype(bool), self.species_bits[:1])
        self.species = A[:k], B[k:]
        self.brackets = (
            infills[:k].get("fitness_a").astype(float),
            infills[k:].get("fitness_b").astype(float),
        )
        self.best = np.concatenate(
            [X[b.argmin()] for X, b in zip(self.species, self.brackets, strict=True)]
        )
        self.pop = infills

    def _finalize(self):
        """Score the two best together: the pair that algorithm 1 returns (its lines 13 and 14).

        Where each population evolved as if it were alone, no other row is a pair, so the final
        population is this one.
        """
        pair = Population.new(X=self.best[None])
        self.evaluator.eval(self.problem, pair, algorithm=self)
        self.pop = pair if self.separate else Population.merge(self.pop, pair)
        self._set_optimum()
