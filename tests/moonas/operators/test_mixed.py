from types import SimpleNamespace

import numpy as np
import pytest
from four_genes import rng, tolerance
from pymoo.core.problem import Problem
from pymoo.optimize import minimize

from moonas.algorithms import algorithm
from moonas.operators import MixedCrossover, MixedMutation, MixedSampling, SameArchitecture
from moonas.operators.mixed import cross_mixed, mutate_mixed, sample_mixed
from moonas.spaces.genes import Genes

GENES = Genes([8, 1, 0, 1.0, 2.0], [60, 6, 1, 3.0, 2.0], [False] * 3 + [True] * 2)


def test_sampled_integers_and_real_numbers_are_uniform():
    n = 20_000
    X = sample_mixed(GENES, n, rng())
    GENES.check(X)
    for gene, k in ((0, 53), (1, 6), (2, 2)):
        counts = np.bincount((X[:, gene] - GENES.low[gene]).astype(int), minlength=k)
        error = np.sqrt(n / k * (1 - 1 / k))
        assert len(counts) == k and (abs(counts - n / k) < 4.5 * error).all()
    assert abs(X[:, 3].mean() - 2) < 4 * 2 / np.sqrt(12 * n)
    assert abs(X[:, 3].std() - 2 / np.sqrt(12)) < 0.01


def test_crossover_keeps_genes_within_bounds_and_conserves_the_mean_of_the_parents():
    low, high = [20, 1, 0, 1.5, 2], [40, 6, 1, 2.5, 2]
    A = np.clip(sample_mixed(GENES, 4000, rng(1)), low, high)
    B = np.clip(sample_mixed(GENES, 4000, rng(2)), low, high)
    before = A.copy(), B.copy()
    C, D = cross_mixed(A, B, GENES, 15, rng())
    for children in (C, D):
        GENES.check(children)
    assert np.array_equal(A, before[0]) and np.array_equal(B, before[1])
    same = A == B
    assert np.array_equal(C[same], A[same])
    assert 0.4 < (C[:, 3] != A[:, 3]).mean() < 0.9
    # far from the bounds, children and parents have nearly equal means
    assert abs((C + D - A - B)[:, 3]).mean() < 0.02
    assert abs((C + D - A - B)[:, 0].mean()) < 0.05  # rounding has no bias


@pytest.mark.parametrize("prob", [0.0, 0.3, 1.0])
def test_each_gene_is_mutated_with_the_given_probability(prob):
    n = 20_000
    X = sample_mixed(GENES, n, rng(3))
    before = X.copy()
    Y = mutate_mixed(X, GENES, prob, 20, rng())
    GENES.check(Y)
    assert np.array_equal(X, before)
    changed = (X != Y).mean(axis=0)
    assert (abs(changed[:4] - prob) <= tolerance(n, prob) + 1e-12).all()
    assert changed[4] == 0  # a gene with one value
    assert abs(Y - X)[:, 0].sum() <= 6 * (X[:, 0] != Y[:, 0]).sum()  # to nearby values


class Spheres(Problem):
    """A problem that minimizes the squared distances to two corners and checks every row."""

    genes = GENES
    objectives = ("a", "b")
    limits = ()
    settings = SimpleNamespace(start=())

    def objective_bounds(self):
        return np.array([[0.0, 0.0], [1000.0, 1000.0]])

    def __init__(self):
        super().__init__(n_var=5, n_obj=2, xl=GENES.low, xu=GENES.high)
        self.evaluated = []

    def operators(self):
        return dict(
            sampling=MixedSampling(),
            crossover=MixedCrossover(),
            mutation=MixedMutation(0.3),
            eliminate_duplicates=SameArchitecture(tuple),
        )

    def _evaluate(self, X, out, *args, **kwargs):
        GENES.check(X)
        self.evaluated.append(X)
        scaled = (X - GENES.low) / np.maximum(GENES.high - GENES.low, 1)
        out["F"] = np.column_stack([(scaled**2).sum(axis=1), ((scaled - 1) ** 2).sum(axis=1)])


# not agemoea, which takes seconds to compile and uses the same mating as nsga2
ALGORITHM_NAMES = (
    "nsga2",
    "smsemoa",
    "spea2",
    "nsga3",
    "rvea",
    "ctaea",
    "moead",
    "parallel-moead",
    "random",
)


@pytest.mark.parametrize("name", ALGORITHM_NAMES)
def test_integer_genes_remain_integers_in_all_algorithms(name):
    problem = Spheres()
    search = algorithm(name, problem, population=12)
    search.output = None
    minimize(problem, search, ("n_gen", 8), seed=1)
    assert len(np.unique(np.vstack(problem.evaluated), axis=0)) > 40
