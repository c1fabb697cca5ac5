import numpy as np
import pytest
from four_genes import rng, tolerance
from pymoo.algorithms.soo.nonconvex.ga import GA
from pymoo.core.population import Population
from pymoo.core.problem import Problem
from pymoo.optimize import minimize

from moonas.operators import BitMutation, BitSampling, SameRow, UniformBitCrossover
from moonas.operators.bits import cross_uniformly, flip_bits, mutate_bits, swap_bits

N_VAR = 12
MASKS = [slice(0, 2), slice(2, 6), slice(6, 12)]


class ZeroCount(Problem):
    """A problem that minimizes the number of bits that are zero."""

    def __init__(self, n_var=60):
        super().__init__(n_var=n_var, n_obj=1, xl=0, xu=1, vtype=bool)

    def _evaluate(self, X, out, *args, **kwargs):
        assert X.dtype == bool
        out["F"] = (~X).sum(axis=1)[:, None]


def random_bits(n, seed=0, n_var=N_VAR):
    return rng(seed).random((n, n_var)) < 0.5


def test_uniform_crossover_exchanges_half_of_the_bits_independently():
    n, A = 2000, random_bits(2000)
    C, D = cross_uniformly(A, ~A, rng(1))
    exchanged = C != A
    assert np.array_equal(D, ~C)
    assert (abs(exchanged.mean(axis=0) - 0.5) < tolerance(n, 0.5)).all()
    both = (exchanged.T.astype(float) @ exchanged / n)[np.triu_indices(N_VAR, k=1)]
    assert (abs(both - 0.25) < tolerance(n, 0.25)).all()


def test_children_equal_their_parents_where_the_parents_agree():
    A, B = random_bits(50, 1), random_bits(50, 2)
    C, D = cross_uniformly(A, B, rng())
    assert np.array_equal(C[A == B], A[A == B]) and np.array_equal(
        C.astype(int) + D, A + B.astype(int)
    )


@pytest.mark.parametrize("n_var", [12, 600])
def test_one_bit_flips_on_average_whatever_the_number_of_bits(n_var):
    n = 2000
    X = random_bits(n, n_var=n_var)
    flipped = flip_bits(X, rng(1)) != X
    assert abs(flipped.sum(axis=1).mean() - 1) < 4 * np.sqrt((1 - 1 / n_var) / n)
    # a column deviates by more than 5 standard errors with a probability of 6e-7
    assert (abs(flipped.mean(axis=0) - 1 / n_var) < 1.25 * tolerance(n, 1 / n_var)).all()


def test_a_swap_keeps_the_number_of_ones_in_every_mask():
    X = random_bits(1000)
    changed = swap_bits(X, MASKS, rng(1)) != X
    swapped = swap_bits(X, MASKS, rng(1))
    for mask in MASKS:
        assert np.array_equal(swapped[:, mask].sum(axis=1), X[:, mask].sum(axis=1))
    possible = np.array([[0 < x[m].sum() < len(x[m]) for m in MASKS] for x in X])
    assert np.array_equal(changed.sum(axis=1), 2 * possible.any(axis=1))
    per_mask = np.array([[c[m].any() for m in MASKS] for c in changed])
    assert (per_mask.sum(axis=1) == possible.any(axis=1)).all()


def test_masks_are_chosen_in_proportion_to_their_number_of_bits():
    n = 3000
    X = np.tile(np.arange(N_VAR) % 2 == 0, (n, 1))
    changed = swap_bits(X, MASKS, rng(1)) != X
    for mask, size in zip(MASKS, (2, 4, 6), strict=True):
        assert abs(changed[:, mask].any(axis=1).mean() - size / 12) < tolerance(n, size / 12)
    # within a mask, ones and zeros are chosen uniformly
    assert (abs(changed[:, 6:].mean(axis=0) - 0.5 / 3) < tolerance(n, 0.5 / 3)).all()


@pytest.mark.parametrize("value", [False, True])
def test_rows_whose_masks_are_all_full_or_all_empty_cannot_be_swapped(value):
    X = np.full((5, N_VAR), value)
    assert np.array_equal(swap_bits(X, MASKS, rng()), X)


@pytest.mark.parametrize("swaps", [0.0, 0.3, 1.0])
def test_rows_are_swapped_with_the_given_probability_and_otherwise_flipped(swaps):
    n = 2000
    X = np.tile(np.arange(N_VAR) % 2 == 0, (n, 1))
    mutated = mutate_bits(X, MASKS, rng(1), swaps)
    same_sizes = np.all([mutated[:, m].sum(1) == X[:, m].sum(1) for m in MASKS], axis=0)
    is_swap = same_sizes & ((mutated != X).sum(axis=1) == 2)
    # two flips in one mask, of bits with different values, look like a swap as well
    pairs = 1 + 4 + 9
    flips = pairs * (1 / N_VAR) ** 2 * (1 - 1 / N_VAR) ** (N_VAR - 2)
    p = swaps + (1 - swaps) * flips
    assert abs(is_swap.mean() - p) <= tolerance(n, p)
    assert mutated.dtype == bool


def test_operators_do_not_change_the_parents_and_return_bits():
    X, before = random_bits(40), random_bits(40)
    pop = Population.new(X=X)
    children = UniformBitCrossover(1.0)(
        ZeroCount(N_VAR), pop, parents=np.arange(40).reshape(20, 2), random_state=rng()
    ).get("X")
    mutants = BitMutation()(ZeroCount(N_VAR), Population.new(X=X), random_state=rng()).get("X")
    assert children.dtype == mutants.dtype == bool
    assert np.array_equal(X, before) and (mutants != X).any()
    integers = mutate_bits(X.astype(int), MASKS, rng(3))
    assert integers.dtype == int and set(np.unique(integers)) == {0, 1}


def test_a_genetic_algorithm_finds_the_row_of_ones():
    operators = dict(crossover=UniformBitCrossover(), mutation=BitMutation([slice(0, 60)], 0.2))
    algorithm = GA(
        pop_size=20, sampling=BitSampling(0.3), eliminate_duplicates=SameRow(), **operators
    )
    result = minimize(ZeroCount(), algorithm, ("n_gen", 60), seed=1)
    assert result.X.all() and result.F == 0
