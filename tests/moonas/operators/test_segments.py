import numpy as np
import pytest
from pymoo.algorithms.soo.nonconvex.ga import GA
from pymoo.core.mating import Mating
from pymoo.core.population import Population
from pymoo.core.problem import Problem
from pymoo.operators.selection.rnd import RandomSelection
from pymoo.optimize import minimize

from moonas.operators import BitSampling, SameRow, SegmentCrossover, SegmentFlip

N_VAR = 9


class Zeros(Problem):
    """How many bits are zero."""

    def __init__(self):
        super().__init__(n_var=N_VAR, n_obj=1, xl=0, xu=1, vtype=bool)
        self.types = set()

    def _evaluate(self, X, out, *args, **kwargs):
        self.types.add(X.dtype)
        out["F"] = (~X.astype(bool)).sum(axis=1)[:, None]


PROBLEM = Zeros()


def rng(seed=0):
    return np.random.default_rng(seed)


def random_bits(n, seed=0):
    return rng(seed).random((n, N_VAR)) < 0.5


def in_one_piece(changed):
    """Of each row, whether ones form one segment that is not all of it."""
    edges = np.diff(changed.astype(int), axis=1, prepend=0, append=0)
    return (np.count_nonzero(edges, axis=1) == 2) & ~changed.all(axis=1)


def children(A, B, prob, seed=1):
    """Both children of each pair of rows."""
    pop = Population.new(X=np.concatenate([A, B]))
    pairs = np.arange(2 * len(A)).reshape(2, -1).T
    crossover = SegmentCrossover(prob)
    X = crossover(PROBLEM, pop, parents=pairs, random_state=rng(seed)).get("X")
    assert X.dtype == bool
    return np.split(X, 2)


def mutated(X, prob, seed=1):
    pop = SegmentFlip(prob)(PROBLEM, Population.new(X=X.copy()), random_state=rng(seed))
    assert pop.get("X").dtype == bool
    return pop.get("X")


@pytest.mark.parametrize("density", [0.0, 0.2, 0.5, 0.9, 1.0])
def test_each_sampled_bit_is_one_with_the_chance_of_the_density(density):
    n = 4000
    X = BitSampling(density)(PROBLEM, n, random_state=rng()).get("X")
    assert X.shape == (n, N_VAR) and X.dtype == bool
    error = np.sqrt(density * (1 - density) / n)
    assert (abs(X.mean(axis=0) - density) <= 4 * error).all()  # 4 standard errors
    assert abs(X.mean() - density) <= 4 * error / np.sqrt(N_VAR)


def test_sampled_bits_do_not_follow_each_other():
    n, p = 4000, 0.3**2
    X = BitSampling(0.3)(PROBLEM, n, random_state=rng()).get("X").astype(float)
    both = (X.T @ X / n)[np.triu_indices(N_VAR, k=1)]
    assert (abs(both - p) < 4 * np.sqrt(p * (1 - p) / n)).all()


def test_half_of_the_bits_are_ones_when_nothing_is_said():
    X = BitSampling()(PROBLEM, 4000, random_state=rng()).get("X")
    assert abs(X.mean() - 0.5) < 4 * 0.5 / np.sqrt(X.size)


def test_crossover_conserves_the_bits_of_each_column():
    A, B = random_bits(500, 1), random_bits(500, 2)
    C, D = children(A, B, prob=1.0)
    assert np.array_equal(C.astype(int) + D, A.astype(int) + B)
    assert (C != A).any() and (C != B).any()


def test_crossover_exchanges_one_segment_and_not_the_whole_row():
    A = random_bits(500)
    C, D = children(A, ~A, prob=1.0)
    assert in_one_piece(C != A).all()
    assert np.array_equal(D, ~C)
    assert len(np.unique(C != A, axis=0)) == N_VAR * (N_VAR + 1) / 2 - 1


@pytest.mark.parametrize("prob", [0.0, 0.3, 1.0])
def test_a_pair_is_crossed_with_its_chance_and_else_stays_whole(prob):
    n, A = 4000, random_bits(4000)
    C, D = children(A, ~A, prob)
    crossed = (C != A).any(axis=1)
    assert abs(crossed.mean() - prob) <= 4 * np.sqrt(prob * (1 - prob) / n)
    assert np.array_equal(D[~crossed], ~A[~crossed])


def test_flip_changes_one_segment_and_not_the_whole_row():
    X = random_bits(500)
    changed = mutated(X, prob=1.0) != X
    assert in_one_piece(changed).all()
    assert len(np.unique(changed, axis=0)) == N_VAR * (N_VAR + 1) / 2 - 1


@pytest.mark.parametrize("prob", [0.0, 0.3, 1.0])
def test_a_row_is_mutated_with_its_chance(prob):
    n, X = 4000, random_bits(4000)
    changed = (mutated(X, prob) != X).any(axis=1)
    assert abs(changed.mean() - prob) <= 4 * np.sqrt(prob * (1 - prob) / n)


@pytest.mark.parametrize(("cross", "flip"), [(0.0, 0.0), (1.0, 0.0), (0.0, 1.0)])
def test_offspring_of_pymoos_mating_are_their_parents_where_both_chances_are_zero(cross, flip):
    X = random_bits(40)
    mating = Mating(RandomSelection(), SegmentCrossover(cross), SegmentFlip(flip))
    born = mating(PROBLEM, Population.new(X=X), 40, random_state=rng(3)).get("X")
    assert born.dtype == bool and born.shape == X.shape
    old = {row.tobytes() for row in X}
    same = [row.tobytes() in old for row in born]
    assert all(same) == (cross == flip == 0)


def test_parents_stay_as_they_are():
    pop = Population.new(X=random_bits(40))
    mating = Mating(RandomSelection(), SegmentCrossover(1.0), SegmentFlip(1.0))
    mating(PROBLEM, pop, 40, random_state=rng(3))
    assert np.array_equal(pop.get("X"), random_bits(40))


def test_a_genetic_algorithm_finds_the_row_of_ones_and_sees_bits_alone():
    problem = Zeros()
    algorithm = GA(
        pop_size=20,
        sampling=BitSampling(0.3),
        crossover=SegmentCrossover(),
        mutation=SegmentFlip(0.5),
        eliminate_duplicates=SameRow(),
    )
    result = minimize(problem, algorithm, ("n_gen", 25), seed=1)
    assert problem.types == {np.dtype(bool)}
    assert result.X.all() and result.F == 0
