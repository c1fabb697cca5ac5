import itertools

import numpy as np
import pytest
from callbacks import CallbackOf
from pymoo.core.population import Population
from pymoo.optimize import minimize
from toy import IndependentToy, Toy, journalled

import moonas
from moonas.algorithms import NeighborMating, ParetoLocalSearch, algorithm
from moonas.algorithms.local_search import (
    Neighborhood,
    best_candidates,
    features,
    improvements,
    leave_one_out_errors,
    log_scales,
    neighbors,
    predict,
)
from moonas.comparison.runs import run_algorithm
from moonas.spaces.genes import Genes, bit_genes, categorical_genes

NAMES = ("pareto-local-search", "nsga2-local")
MIXED = Genes(np.array([0.0, 5.0, -1.0]), np.array([2.0, 5.0, 1.0]), np.array([0, 0, 1], bool))


def rng(seed=0):
    return np.random.default_rng(seed)


def test_neighbors_differ_in_one_gene_and_include_every_other_value():
    genes, x = categorical_genes([3, 1, 4]), np.array([2, 0, 1])
    rows = neighbors(x, genes, rng())
    expected = {(0, 0, 1), (1, 0, 1), (2, 0, 0), (2, 0, 2), (2, 0, 3)}
    assert sorted(map(tuple, rows.tolist())) == sorted(expected)
    assert x.tolist() == [2, 0, 1] and rows.dtype == x.dtype
    orders = {tuple(map(tuple, neighbors(x, genes, rng(seed)).tolist())) for seed in range(9)}
    assert len(orders) > 1


def test_neighbors_of_bits_flip_one_bit():
    x = np.array([True, False, True])
    rows = neighbors(x, bit_genes(3), rng())
    assert rows.dtype == bool and ((rows != x).sum(axis=1) == 1).all()
    assert len(np.unique(rows, axis=0)) == 3


def test_neighbors_of_real_genes_are_small_steps_within_the_bounds():
    x = np.array([1.0, 5.0, 0.9])
    rows = neighbors(x, MIXED, rng())
    MIXED.check(rows)
    assert ((rows != x).sum(axis=1) == 1).all()
    steps = rows[rows[:, 2] != 0.9, 2]
    assert len(steps) == 4 and len(rows) == 2 + 4
    many = np.concatenate([neighbors(x, MIXED, rng(seed)) for seed in range(50)])
    steps = many[many[:, 2] != 0.9, 2] - 0.9
    assert np.median(np.abs(steps)) < 0.1 and (steps < 0).any() and (steps > 0).any()


def test_the_model_is_exact_for_sums_over_the_genes():
    genes, random = categorical_genes([3, 4, 2]), rng()
    X = np.array(list(itertools.product(range(3), range(4), range(2))))
    costs = [random.random(n) for n in (3, 4, 2)]
    Y = np.column_stack([sum(c[x] for c, x in zip(costs, X.T, strict=True)), X.sum(axis=1)])
    predicted = predict(np.tile(X, (200, 1)), np.tile(Y, (200, 1)), X, genes)
    assert np.allclose(predicted, Y, atol=0.01)  # the penalty of the weights is small by then


def test_the_model_equals_ridge_regression_for_few_and_for_many_rows():
    genes, random = categorical_genes([3, 4, 2]), rng()
    candidates = random.integers(0, [3, 4, 2], (5, 3))
    for n in (4, 40):  # fewer and more rows than the ten inputs
        X, Y = random.integers(0, [3, 4, 2], (n, 3)), random.random((n, 2))
        Z = (Y - Y.mean(axis=0)) / Y.std(axis=0)
        A = features(X, genes)
        assert A.shape == (n, 10)
        # least squares with further rows for the penalty
        A, B = np.vstack([A, np.eye(10)]), np.vstack([Z, np.zeros((10, 2))])
        weights = np.linalg.lstsq(A, B, rcond=None)[0]
        expected = features(candidates, genes) @ weights * Y.std(axis=0) + Y.mean(axis=0)
        assert np.allclose(predict(X, Y, candidates, genes), expected)


@pytest.mark.parametrize("n", [6, 60])  # fewer and more rows than inputs
def test_leave_one_out_errors_equal_those_of_models_without_one_row(n):
    rng = np.random.default_rng(2)
    genes = categorical_genes([4, 4, 4])
    X, Y = rng.integers(4, size=(n, 3)), rng.normal(size=(n, 2))
    inputs, Z = features(X, genes), (Y - Y.mean(axis=0)) / Y.std(axis=0)
    residuals = []
    for i in range(n):
        others = np.arange(n) != i
        A = inputs[others]
        weights = np.linalg.solve(A.T @ A + np.eye(A.shape[1]), A.T @ Z[others])
        residuals.append(Z[i] - inputs[i] @ weights)
    expected = np.square(residuals).mean(axis=0)
    assert np.allclose(leave_one_out_errors(X, Y, genes), expected)


def test_products_are_predicted_on_a_logarithmic_scale_and_sums_are_not():
    rng = np.random.default_rng(3)
    X = rng.integers(4, size=(50, 4))
    values = 1 + rng.random(4) * X
    Y = np.column_stack([values.sum(axis=1), values.prod(axis=1), -values.prod(axis=1)])
    assert log_scales(X, Y, categorical_genes([4] * 4)).tolist() == [False, True, False]


def test_the_inputs_of_real_genes_are_legendre_polynomials():
    X = np.array([[0.0, 5.0, -1.0], [2.0, 5.0, 0.5]])
    linear = [-1.0, 0.5]
    quadratic = [1.0, (3 * 0.25 - 1) / 2]
    expected = [[1, 1, 0, 0, 1, linear[0], quadratic[0]], [1, 0, 0, 1, 1, linear[1], quadratic[1]]]
    assert np.allclose(features(X, MIXED), expected)


def test_the_improvement_is_the_smallest_over_the_front_of_the_largest_gain():
    front = np.array([[1.0, 4.0], [3.0, 2.0]])
    points = np.array([[1.0, 4.0], [2.0, 5.0], [2.5, 1.0], [0.0, 5.0], [4.0, 3.0]])
    # equal to a point; dominated by it by 1; ahead of both by min(3, 1); by min(1, 3); dominated
    assert improvements(points, front).tolist() == [0.0, -1.0, 1.0, 1.0, -1.0]


def test_the_best_candidates_are_feasible_and_non_dominated():
    F = np.array([[1.0, 4.0], [0.0, 9.0], [3.0, 2.0], [3.0, 2.0], [4.0, 4.0]])
    G = np.array([[-1.0], [2.0], [0.0], [0.0], [0.0]])
    best = best_candidates(Population.new(X=np.arange(5)[:, None], F=F, G=G))
    assert best.get("X")[:, 0].tolist() == [0, 2]
    best = best_candidates(Population.new(X=np.arange(5)[:, None], F=F, G=G + 3))
    assert best.get("X")[:, 0].tolist() == [0]  # the smallest excess


def test_proposed_rows_are_new_neighbors_of_the_best_rows():
    toy = IndependentToy()
    minimize(toy, algorithm("nsga2", toy), ("n_gen", 1), seed=1)
    X = rng().integers(0, 4, (6, 6))
    evaluated = Population.new(X=X, F=toy.evaluate(X))
    for order in ("model", "random"):
        neighborhood = Neighborhood(toy, order)
        neighborhood.update(evaluated, evaluated)
        rows = neighborhood.propose(8, rng())
        assert len(np.unique(rows, axis=0)) == len(rows) == 8
        best = best_candidates(evaluated).get("X")
        distances = (rows[:, None] != best).sum(axis=2)
        assert (distances.min(axis=1) == 1).all()
        assert not (rows[:, None] == X).all(axis=2).any()


def test_the_model_proposes_the_best_neighbors_of_a_sum():
    problem = moonas.load_problem("nasbench-macro", objectives=("params", "macs"))
    minimize(problem, algorithm("nsga2", problem), ("n_gen", 1), seed=1)
    X = rng().integers(0, 3, (60, 8))
    F = problem.evaluate(X)
    evaluated = Population.new(X=X, F=F)
    neighborhood = Neighborhood(problem, random_share=0.0)
    neighborhood.update(evaluated, evaluated)
    rows = neighborhood.propose(1, rng())
    best = best_candidates(evaluated)
    pool = np.unique(
        np.concatenate([neighbors(x, problem.genes, rng()) for x in best.get("X")]), axis=0
    )
    pool = neighborhood.new(pool)
    front = best.get("F")
    extent = np.ptp(front, axis=0)
    gains = improvements(problem.evaluate(pool) / extent, front / extent)
    gain = improvements(problem.evaluate(rows) / extent, front / extent)[0]
    assert (gains > gain + 1e-12).mean() < 0.05  # among the best of its pool


@pytest.mark.parametrize("order", ["model", "random"])
def test_local_search_evaluates_no_architecture_twice_and_ends_with_the_space(order):
    toy, rows = IndependentToy(), []
    toy.set_genes(categorical_genes([2, 2, 2, 1, 2, 1]))
    toy.callbacks.append(CallbackOf(on_scores=lambda candidates, _: rows.extend(candidates)))
    search = ParetoLocalSearch(4, 3, order=order)
    result = minimize(toy, search, ("n_gen", 100), seed=1)
    assert len(set(rows)) == len(rows) == 16
    assert result.algorithm.n_iter < 20


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("kind", [Toy, IndependentToy])
def test_a_resumed_local_search_equals_an_uninterrupted_one(kind, name, tmp_path):
    def found(folder, generations):
        toy = journalled(folder, kind, limits=("params <= 15",))
        result = minimize(toy, algorithm(name, toy), ("n_gen", generations), seed=1)
        toy.journal.close()
        return result.pop.get("X", "F")

    found(tmp_path / "resumed", 2)
    resumed, straight = found(tmp_path / "resumed", 5), found(tmp_path / "straight", 5)
    assert all(np.array_equal(a, b) for a, b in zip(resumed, straight, strict=True))


@pytest.mark.parametrize("name", NAMES)
def test_local_search_searches_mixed_genes_bits_and_a_single_objective(name, tiny_of):
    problem = moonas.load_problem("digits-table", objectives=("error",))
    result = minimize(problem, algorithm(name, problem, 10), ("n_gen", 12), seed=1)
    assert result.F.min() <= problem.table.columns["error"].min() + 0.5

    spheres = moonas.load_problem("eg-darts", **tiny_of("eg-darts"))
    spheres.evaluator.independent = False
    spheres.evaluator.score = lambda c: {  # replaces training, which takes seconds
        "error": np.array([100 / (1 + a.depth) for a in c]),
        **spheres.network_costs.count(c),
    }
    result = minimize(spheres, algorithm(name, spheres, 6), ("n_gen", 6), seed=1)
    assert len(moonas.front(result)) >= 3


@pytest.mark.parametrize("name", NAMES)
def test_local_search_starts_from_given_rows(name):
    toy, X = IndependentToy(), np.tile(np.arange(4)[:, None], 6)
    first = []
    toy.callbacks.append(CallbackOf(on_scores=lambda candidates, _: first.append(candidates.X)))
    minimize(toy, algorithm(name, toy, 4, sampling=X), ("n_gen", 3), seed=1)
    assert np.array_equal(first[0], X)


@pytest.mark.parametrize("cls", [ParetoLocalSearch, NeighborMating, Neighborhood])
def test_an_unknown_order_is_rejected(cls):
    args = {ParetoLocalSearch: (), NeighborMating: (algorithm("nsga2", Toy()).mating,)}
    with pytest.raises(ValueError, match=r"order='best' is unknown; choose from \['model', 'rand"):
        cls(*args.get(cls, (Toy(),)), order="best")


def test_the_share_of_neighbors_follows_the_survival_rates():
    problem = moonas.load_problem("nasbench-macro")
    shares = []

    def callback(algorithm):
        shares.append(algorithm.mating.shares.copy())

    minimize(problem, algorithm("nsga2-local", problem), ("n_gen", 8), seed=1, callback=callback)
    assert shares[0].tolist() == [0.5, 0.5]
    assert all(s.sum() == pytest.approx(1) for s in shares)
    assert max(s[1] for s in shares) > 0.5  # neighbors survive more often


@pytest.mark.parametrize("name", [NAMES[0], pytest.param(NAMES[1], marks=pytest.mark.slow)])
def test_local_search_needs_at_most_half_of_the_evaluations_of_nsga2(name):
    problem = moonas.load_problem("nasbench-macro")

    def reached(name, seed):
        return run_algorithm(problem, name, seed, 600).get("evaluations_to_99", np.inf)

    ours, nsga2 = ([reached(n, seed) for seed in range(1, 6)] for n in (name, "nsga2"))
    assert np.median(ours) <= 0.5 * np.median(nsga2)
