import numpy as np
import pytest
from four_genes import rng, tolerance
from pymoo.algorithms.soo.nonconvex.ga import GA
from pymoo.core.mating import Mating
from pymoo.core.population import Population
from pymoo.core.problem import Problem
from pymoo.operators.selection.rnd import RandomSelection
from pymoo.optimize import minimize

from moonas.operators import BitSampling, SameRow, SegmentCrossover, SegmentFlip
from moonas.operators.segments import sample_segments

N_VAR = 9
N_SEGMENTS = N_VAR * (N_VAR + 1) // 2 - 1  # all segments except the whole row


class ZeroCount(Problem):
    """A problem that minimizes the number of bits that are zero."""

    def __init__(self):
        super().__init__(n_var=N_VAR, n_obj=1, xl=0, xu=1, vtype=bool)
        self.dtypes = set()

    def _evaluate(self, X, out, *args, **kwargs):
        self.dtypes.add(X.dtype)
        out["F"] = (~X.astype(bool)).sum(axis=1)[:, None]


PROBLEM = ZeroCount()


def random_bits(n, seed=0):
    return rng(seed).random((n, N_VAR)) < 0.5


def is_segment(changed):
    """Return whether the ones in each row are contiguous, with at least a one and a zero."""
    edges = np.diff(changed.astype(int), axis=1, prepend=0, append=0)
    return (np.count_nonzero(edges, axis=1) == 2) & ~changed.all(axis=1)


def cross(A, B, prob, seed=1):
    """Return both children of each pair of rows."""
    pop = Population.new(X=np.concatenate([A, B]))
    pairs = np.arange(2 * len(A)).reshape(2, -1).T
    crossover = SegmentCrossover(prob)
    X = crossover(PROBLEM, pop, parents=pairs, random_state=rng(seed)).get("X")
    assert X.dtype == bool
    return np.split(X, 2)


def mutate(X, prob, seed=1):
    pop = SegmentFlip(prob)(PROBLEM, Population.new(X=X.copy()), random_state=rng(seed))
    assert pop.get("X").dtype == bool
    return pop.get("X")


def test_all_segments_except_the_empty_one_and_the_whole_row_are_equally_probable():
    n, n_var = 20_000, 5
    segments = sample_segments(n, n_var, rng())
    assert is_segment(segments).all()
    kinds, counts = np.unique(segments, axis=0, return_counts=True)
    assert len(kinds) == 14  # 15 intervals without the whole row
    assert np.abs(counts / n - 1 / 14).max() < tolerance(n, 1 / 14)


@pytest.mark.parametrize("density", [0.0, 0.2, 0.9, 1.0])
def test_each_sampled_bit_is_one_with_the_given_probability(density):
    n = 2000
    X = BitSampling(density)(PROBLEM, n, random_state=rng()).get("X")
    assert X.shape == (n, N_VAR) and X.dtype == bool
    assert (abs(X.mean(axis=0) - density) <= tolerance(n, density)).all()
    assert abs(X.mean() - density) <= tolerance(X.size, density)


def test_sampled_bits_are_independent():
    n, p = 2000, 0.3**2
    X = BitSampling(0.3)(PROBLEM, n, random_state=rng()).get("X").astype(float)
    both = (X.T @ X / n)[np.triu_indices(N_VAR, k=1)]
    assert (abs(both - p) < tolerance(n, p)).all()


def test_half_of_the_bits_are_ones_by_default():
    X = BitSampling()(PROBLEM, 1000, random_state=rng()).get("X")
    assert abs(X.mean() - 0.5) < tolerance(X.size, 0.5)


def test_crossover_conserves_the_number_of_ones_per_column():
    A, B = random_bits(200, 1), random_bits(200, 2)
    C, D = cross(A, B, prob=1.0)
    assert np.array_equal(C.astype(int) + D, A.astype(int) + B)
    assert (C != A).any() and (C != B).any()


def test_crossover_exchanges_one_segment_but_never_the_whole_row():
    A = random_bits(500)
    C, D = cross(A, ~A, prob=1.0)
    assert is_segment(C != A).all()
    assert np.array_equal(D, ~C)
    assert len(np.unique(C != A, axis=0)) == N_SEGMENTS


@pytest.mark.parametrize("prob", [0.0, 0.3, 1.0])
def test_pairs_of_rows_are_crossed_over_with_the_given_probability_and_otherwise_copied(prob):
    n, A = 1000, random_bits(1000)
    C, D = cross(A, ~A, prob)
    crossed = (C != A).any(axis=1)
    assert abs(crossed.mean() - prob) <= tolerance(n, prob)
    assert np.array_equal(D[~crossed], ~A[~crossed])


def test_mutation_flips_one_segment_but_never_the_whole_row():
    X = random_bits(500)
    changed = mutate(X, prob=1.0) != X
    assert is_segment(changed).all()
    assert len(np.unique(changed, axis=0)) == N_SEGMENTS


@pytest.mark.parametrize("prob", [0.0, 0.3, 1.0])
def test_rows_are_mutated_with_the_given_probability(prob):
    n, X = 1000, random_bits(1000)
    changed = (mutate(X, prob) != X).any(axis=1)
    assert abs(changed.mean() - prob) <= tolerance(n, prob)


@pytest.mark.parametrize(("prob_crossover", "prob_mutation"), [(0.0, 0.0), (1.0, 0.0), (0.0, 1.0)])
def test_pymoos_mating_copies_parents_only_if_both_probabilities_are_zero(
    prob_crossover, prob_mutation
):
    X = random_bits(40)
    operators = SegmentCrossover(prob_crossover), SegmentFlip(prob_mutation)
    mating = Mating(RandomSelection(), *operators)
    offspring = mating(PROBLEM, Population.new(X=X), 40, random_state=rng(3)).get("X")
    assert offspring.dtype == bool and offspring.shape == X.shape
    parents = {row.tobytes() for row in X}
    copies = [row.tobytes() in parents for row in offspring]
    assert all(copies) == (prob_crossover == prob_mutation == 0)


def test_segment_operators_do_not_change_the_parents():
    pop = Population.new(X=random_bits(40))
    mating = Mating(RandomSelection(), SegmentCrossover(1.0), SegmentFlip(1.0))
    mating(PROBLEM, pop, 40, random_state=rng(3))
    assert np.array_equal(pop.get("X"), random_bits(40))


def test_a_genetic_algorithm_finds_the_row_of_ones_and_evaluates_only_bool_rows():
    problem = ZeroCount()
    algorithm = GA(
        pop_size=20,
        sampling=BitSampling(0.3),
        crossover=SegmentCrossover(),
        mutation=SegmentFlip(0.5),
        eliminate_duplicates=SameRow(),
    )
    result = minimize(problem, algorithm, ("n_gen", 25), seed=1)
    assert problem.dtypes == {np.dtype(bool)}
    assert result.X.all() and result.F == 0
