import itertools

import numpy as np
import pytest
from pymoo.core.problem import Problem
from pymoo.core.repair import Repair
from pymoo.optimize import minimize

from moonas.algorithms.coevolution import Coevolution, breed, selection_probabilities
from moonas.operators.segments import flip_segments, sample_segments, swap_segments

A = np.array([3.0, -2.0, 1.0, -4.0, 2.0])
B = np.array([-1.0, 2.0, -3.0, 5.0])


class Separable(Problem):
    """Losses in closed form; with ``mixed`` each also depends on the partner's first bit."""

    species_bits = (5, 4)

    def __init__(self, mixed=0.0):
        super().__init__(n_var=9, n_obj=1, xl=0, xu=1, vtype=int)
        self.mixed, self.asked = mixed, []

    def brackets(self, X):
        p, q = np.hsplit(X, [5])
        a = 10 + p @ A + self.mixed * (p[:, 0] != q[:, 0])
        b = 10 + q @ B + self.mixed * (p[:, 0] != q[:, 0])
        return a, b

    def _evaluate(self, X, out, *args, **kwargs):
        self.asked.append(X.astype(int))
        out["fitness_a"], out["fitness_b"] = self.brackets(X.astype(int))
        out["F"] = (out["fitness_a"] + out["fitness_b"])[:, None]


def run(problem, generations=30, seed=1, **options):
    algorithm = Coevolution(pop_size=10, **options)
    result = minimize(problem, algorithm, ("n_gen", generations), seed=seed, copy_algorithm=False)
    problem.last = problem.asked.pop()  # the pair of the two best
    return result, algorithm


def test_roulette_is_equation_12():
    brackets = np.array([0.5, 1.0, 2.0])
    assert selection_probabilities(brackets) == pytest.approx(np.array([2, 1, 0.5]) / 3.5)
    for bad in ([0.0, 1.0], [1.0, np.inf], [np.nan], [-1.0]):
        with pytest.raises(ValueError, match="positive"):
            selection_probabilities(bad)


def test_parents_are_drawn_by_equation_12():
    X, brackets, n = np.eye(3, dtype=int), np.array([0.5, 1.0, 2.0]), 20_000
    children = breed(X, brackets, n, np.random.default_rng(0), copy=1.0, crossover=0.0)
    share, p = children.mean(axis=0), selection_probabilities(brackets)
    assert (np.abs(share - p) < 4 * np.sqrt(p * (1 - p) / n)).all()  # 4 standard errors


def test_a_segment_is_any_part_but_none_and_all_alike():
    n, n_var = 30_000, 5
    segments = sample_segments(n, n_var, np.random.default_rng(0))
    edges = np.diff(segments.astype(int), axis=1, prepend=0, append=0)
    assert (np.count_nonzero(edges, axis=1) == 2).all()  # in one piece
    assert not segments.all(axis=1).any()
    kinds, counts = np.unique(segments, axis=0, return_counts=True)
    assert len(kinds) == 14  # 15 intervals less the whole
    p = 1 / 14
    assert np.abs(counts / n - p).max() < 4 * np.sqrt(p * (1 - p) / n)
    assert segments[:, -1].any() and segments[:, 0].any()


def test_segments_are_swapped_and_flipped():
    rng = np.random.default_rng(0)
    X, Y = np.zeros((50, 6), int), np.ones((50, 6), int)
    C, D = swap_segments(X, Y, rng)
    assert np.array_equal(C + D, Y) and (C.sum(1) > 0).all() and (C.sum(1) < 6).all()
    flipped = flip_segments(Y.astype(bool), rng)
    assert flipped.dtype == bool and (flipped.sum(1) < 6).all()


def test_the_optimum_is_found_where_losses_separate():
    problem = Separable()
    _, algorithm = run(problem)
    every = np.array(list(itertools.product((0, 1), repeat=9)))
    a, b = problem.brackets(every)
    wanted = np.concatenate([every[a.argmin(), :5], every[b.argmin(), 5:]])
    assert np.array_equal(algorithm.best, wanted)


def test_each_population_meets_the_others_best_of_the_iteration_before():
    problem = Separable(mixed=2.0)
    _, algorithm = run(problem, generations=6)
    k, best = algorithm.pop_size, np.ones(9, int)
    assert len(problem.asked) == 6
    for i, X in enumerate(problem.asked):
        assert len(X) == 2 * k
        assert (X[:k, 5:] == best[5:]).all() and (X[k:, :5] == best[:5]).all()
        if i:  # elites come first
            assert np.array_equal(X[0, :5], best[:5]) and np.array_equal(X[k, 5:], best[5:])
        a, b = problem.brackets(X)
        best = np.concatenate([X[:k][a[:k].argmin(), :5], X[k:][b[k:].argmin(), 5:]])
    assert np.array_equal(best, algorithm.best)


def test_separate_populations_meet_the_uncompressed_partner_throughout():
    problem = Separable()
    _, algorithm = run(problem, generations=5, separate=True)
    for X in problem.asked:
        assert X[: algorithm.pop_size, 5:].all() and X[algorithm.pop_size :, :5].all()


@pytest.mark.parametrize("seed", range(5))
def test_the_elite_never_gets_worse_against_an_unchanged_partner(seed):
    problem = Separable()
    run(problem, generations=15, seed=seed, separate=True)
    best = [(a[:10].min(), b[10:].min()) for a, b in (problem.brackets(X) for X in problem.asked)]
    assert (np.diff(np.array(best), axis=0) <= 0).all()


def test_density_is_that_of_the_first_bits():
    problem = Separable()
    algorithm = Coevolution(pop_size=2000, density=0.8)
    minimize(problem, algorithm, ("n_gen", 1), seed=1)
    first = problem.asked[0]
    bits = np.concatenate([first[:2000, :5].ravel(), first[2000:, 5:].ravel()])
    assert abs(bits.mean() - 0.8) < 4 * np.sqrt(0.16 / len(bits))


def test_rows_are_repaired_before_they_are_scored():
    class FirstStays(Repair):
        def _do(self, problem, X, **kwargs):
            X = X.copy()
            X[:, [0, 5]] = 1
            return X

    problem = Separable()
    run(problem, generations=4, repair=FirstStays())
    assert all(X[:, [0, 5]].all() for X in problem.asked)


def test_the_same_seed_gives_the_same_run():
    one, two = Separable(), Separable()
    run(one, 8, seed=3)
    run(two, 8, seed=3)
    assert all(np.array_equal(a, b) for a, b in zip(one.asked, two.asked, strict=True))


@pytest.mark.parametrize("separate", [False, True])
def test_the_two_best_are_scored_together_in_the_end(separate):
    problem = Separable(mixed=1.0)
    result, algorithm = run(problem, 6, separate=separate)
    assert np.array_equal(problem.last, algorithm.best[None])
    assert len(result.pop) == (1 if separate else 21)
    pair = result.pop[-1]
    assert np.array_equal(pair.X, algorithm.best)
    assert pair.F[0] == sum(problem.brackets(algorithm.best[None].astype(int)))[0]
