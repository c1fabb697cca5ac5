import numpy as np
import pytest
from pymoo.core.population import Population
from pymoo.core.problem import Problem
from pymoo.optimize import minimize

from moonas.algorithms import ALGORITHMS, algorithm
from moonas.operators import MixedCrossover, MixedMutation, MixedSampling, SameArchitecture
from moonas.operators.mixed import cross_mixed, mutate_mixed, sample_mixed
from moonas.spaces.genes import Genes

GENES = Genes([8, 1, 0, 1.0, 2.0], [60, 6, 1, 3.0, 2.0], [False] * 3 + [True] * 2)


def rng(seed=0):
    return np.random.default_rng(seed)


def test_sampling_is_uniform_over_integers_and_real_numbers():
    n = 20_000
    X = sample_mixed(GENES, n, rng())
    GENES.check(X)
    for gene, k in ((0, 53), (1, 6), (2, 2)):
        counts = np.bincount((X[:, gene] - GENES.low[gene]).astype(int), minlength=k)
        error = np.sqrt(n / k * (1 - 1 / k))
        assert len(counts) == k and (abs(counts - n / k) < 4.5 * error).all()
    assert abs(X[:, 3].mean() - 2) < 4 * 2 / np.sqrt(12 * n)
    assert abs(X[:, 3].std() - 2 / np.sqrt(12)) < 0.01


def test_crossover_keeps_integers_integral_bounds_and_the_mean_of_real_numbers():
    A, B = sample_mixed(GENES, 4000, rng(1)), sample_mixed(GENES, 4000, rng(2))
    A, B = (
        np.clip(A, [20, 1, 0, 1.5, 2], [40, 6, 1, 2.5, 2]),
        np.clip(B, [20, 1, 0, 1.5, 2], [40, 6, 1, 2.5, 2]),
    )
    before = A.copy(), B.copy()
    C, D = cross_mixed(A, B, GENES, 15, rng())
    for children in (C, D):
        GENES.check(children)
    assert np.array_equal(A, before[0]) and np.array_equal(B, before[1])
    same = A == B
    assert np.array_equal(C[same], A[same])  # what parents agree in stays
    assert 0.4 < (C[:, 3] != A[:, 3]).mean() < 0.9
    # far from the bounds the children's mean is nearly the parents'
    assert abs((C + D - A - B)[:, 3]).mean() < 0.02
    assert abs((C + D - A - B)[:, 0].mean()) < 0.05  # rounding does not pull integers down


@pytest.mark.parametrize("prob", [0.0, 0.3, 1.0])
def test_mutation_moves_each_gene_with_its_chance(prob):
    n = 20_000
    X = sample_mixed(GENES, n, rng(3))
    before = X.copy()
    Y = mutate_mixed(X, GENES, prob, 20, rng())
    GENES.check(Y)
    assert np.array_equal(X, before)
    moved = (X != Y).mean(axis=0)
    error = np.sqrt(prob * (1 - prob) / n)
    assert (abs(moved[:4] - prob) <= 4 * error + 1e-12).all()
    assert moved[4] == 0  # a gene with one value
    assert abs(Y - X)[:, 0].sum() <= 6 * (X[:, 0] != Y[:, 0]).sum()  # neighbours are likelier


class Spheres(Problem):
    genes = GENES
    objectives = ("a", "b")

    def objective_bounds(self):
        return np.array([[0.0, 0.0], [1000.0, 1000.0]])

    def __init__(self):
        super().__init__(n_var=5, n_obj=2, xl=GENES.low, xu=GENES.high)
        self.seen = []

    def operators(self):
        return dict(
            sampling=MixedSampling(),
            crossover=MixedCrossover(),
            mutation=MixedMutation(0.3),
            eliminate_duplicates=SameArchitecture(tuple),
        )

    def _evaluate(self, X, out, *args, **kwargs):
        GENES.check(X)
        self.seen.append(X)
        share = (X - GENES.low) / np.maximum(GENES.high - GENES.low, 1)
        out["F"] = np.column_stack([(share**2).sum(axis=1), ((share - 1) ** 2).sum(axis=1)])


@pytest.mark.parametrize("name", sorted(set(ALGORITHMS) - {"pnsga3"}))
def test_integers_stay_integral_under_every_algorithm(name):
    problem = Spheres()
    search = algorithm(name, problem, population=12)
    search.output = None
    minimize(problem, search, ("n_gen", 8), seed=1)
    rows = np.vstack(problem.seen)
    assert len(np.unique(rows, axis=0)) > 40


def test_rows_of_one_architecture_are_duplicates():
    X = np.array([[1.0, 2.0], [1.2, 2.0], [2.0, 2.0], [1.0, 2.4]])
    unique = SameArchitecture(lambda x: tuple(np.floor(x)))
    assert unique.do(Population.new(X=X)).get("X").tolist() == [[1, 2], [2, 2]]
    rest = unique.do(Population.new(X=X), Population.new(X=np.array([[2.5, 2.5]])))
    assert rest.get("X").tolist() == [[1, 2]]
