import itertools
from types import SimpleNamespace

import numpy as np
import pytest
from pymoo.core.problem import Problem
from pymoo.core.repair import Repair
from pymoo.optimize import minimize

from moonas.algorithms.coevolution import (
    Coevolution,
    breed,
    breed_small_changes,
    selection_probabilities,
)

COSTS_A = np.array([3.0, -2.0, 1.0, -4.0, 2.0])
COSTS_B = np.array([-1.0, 2.0, -3.0, 5.0])


class Separable(Problem):
    """A problem whose costs also depend on the partner if ``coupling`` is not zero."""

    species_bits = (5, 4)

    def __init__(self, coupling=0.0):
        super().__init__(n_var=9, n_obj=1, xl=0, xu=1, vtype=int)
        self.coupling, self.evaluated = coupling, []

    def costs(self, X):
        p, q = np.hsplit(X, [5])
        a = 10 + p @ COSTS_A + self.coupling * (p[:, 0] != q[:, 0])
        b = 10 + q @ COSTS_B + self.coupling * (p[:, 0] != q[:, 0])
        return a, b

    def _evaluate(self, X, out, *args, **kwargs):
        self.evaluated.append(X.astype(int))
        out["fitness_a"], out["fitness_b"] = self.costs(X.astype(int))
        out["F"] = (out["fitness_a"] + out["fitness_b"])[:, None]


def run(problem, generations=30, seed=1, **options):
    algorithm = Coevolution(pop_size=10, **options)
    result = minimize(problem, algorithm, ("n_gen", generations), seed=seed, copy_algorithm=False)
    if algorithm.update == "simultaneous":
        problem.final_pair = problem.evaluated.pop()  # the pair of the two best individuals
    return result, algorithm


NEW = dict(
    operators="scaled",
    replacement="best",
    update="alternating",
    first_partner="first",
    archive=True,
)


def test_selection_probabilities_follow_equation_12():
    costs = np.array([0.5, 1.0, 2.0])
    assert selection_probabilities(costs) == pytest.approx(np.array([2, 1, 0.5]) / 3.5)


@pytest.mark.parametrize("costs", [[0.0, 1.0], [1.0, np.inf], [np.nan], [-1.0]])
def test_costs_must_be_positive_and_finite(costs):
    with pytest.raises(ValueError, match="costs are invalid: expected positive, finite numbers"):
        selection_probabilities(costs)


def test_parents_are_selected_with_the_probabilities_of_equation_12():
    X, costs, n = np.eye(3, dtype=int), np.array([0.5, 1.0, 2.0]), 3000
    children = breed(X, costs, n, np.random.default_rng(0), copy=1.0, crossover=0.0)
    frequency, p = children.mean(axis=0), selection_probabilities(costs)
    assert (np.abs(frequency - p) < 4 * np.sqrt(p * (1 - p) / n)).all()  # 4 standard errors


def test_copy_crossover_and_mutation_are_applied_with_their_probabilities():
    # All parents are zero, so only mutants have ones. On average an operator adds 0.2 copies,
    # 2 * 0.5 children of crossover and 0.3 mutants.
    X, n = np.zeros((2, 12), dtype=int), 2000
    children = breed(X, [1, 1], n, np.random.default_rng(0), copy=0.2, crossover=0.5)
    p = 0.3 / (0.2 + 2 * 0.5 + 0.3)
    assert abs(children.any(axis=1).mean() - p) < 4 * np.sqrt(p * (1 - p) / n)


def test_coevolution_finds_the_optimum_of_separable_costs():
    problem = Separable()
    _, algorithm = run(problem)
    rows = np.array(list(itertools.product((0, 1), repeat=9)))
    a, b = problem.costs(rows)
    optimum = np.concatenate([rows[a.argmin(), :5], rows[b.argmin(), 5:]])
    assert np.array_equal(algorithm.best, optimum)


def test_the_partner_is_the_best_individual_of_the_other_population_in_the_previous_iteration():
    problem = Separable(coupling=2.0)
    _, algorithm = run(problem, generations=6)
    k, best = algorithm.pop_size, np.ones(9, int)
    assert len(problem.evaluated) == 6
    for i, X in enumerate(problem.evaluated):
        assert len(X) == 2 * k
        assert (X[:k, 5:] == best[5:]).all() and (X[k:, :5] == best[:5]).all()
        if i:  # the first row of each population is its elite
            assert np.array_equal(X[0, :5], best[:5]) and np.array_equal(X[k, 5:], best[5:])
        a, b = problem.costs(X)
        best = np.concatenate([X[:k][a[:k].argmin(), :5], X[k:][b[k:].argmin(), 5:]])
    assert np.array_equal(best, algorithm.best)


def test_the_partner_of_separate_populations_always_consists_of_ones():
    problem = Separable()
    _, algorithm = run(problem, generations=5, separate=True)
    for X in problem.evaluated:
        assert X[: algorithm.pop_size, 5:].all() and X[algorithm.pop_size :, :5].all()


@pytest.mark.parametrize("seed", range(3))
def test_the_best_cost_never_increases_if_the_partner_does_not_change(seed):
    problem = Separable()
    run(problem, generations=15, seed=seed, separate=True)
    costs = [problem.costs(X) for X in problem.evaluated]
    best = [(a[:10].min(), b[10:].min()) for a, b in costs]
    assert (np.diff(np.array(best), axis=0) <= 0).all()


def test_the_density_is_the_fraction_of_ones_in_the_initial_populations():
    problem = Separable()
    algorithm = Coevolution(pop_size=500, density=0.8)
    minimize(problem, algorithm, ("n_gen", 1), seed=1)
    first = problem.evaluated[0]
    bits = np.concatenate([first[:500, :5].ravel(), first[500:, 5:].ravel()])
    assert abs(bits.mean() - 0.8) < 4 * np.sqrt(0.16 / len(bits))


def test_rows_are_repaired_before_they_are_evaluated():
    class FirstBitsAreOnes(Repair):
        def _do(self, problem, X, **kwargs):
            X = X.copy()
            X[:, [0, 5]] = 1
            return X

    problem = Separable()
    run(problem, generations=4, repair=FirstBitsAreOnes())
    assert all(X[:, [0, 5]].all() for X in problem.evaluated)


def test_two_runs_with_the_same_seed_evaluate_the_same_rows():
    first, second = Separable(), Separable()
    run(first, 8, seed=3)
    run(second, 8, seed=3)
    pairs = zip(first.evaluated, second.evaluated, strict=True)
    assert all(np.array_equal(a, b) for a, b in pairs)


@pytest.mark.parametrize("separate", [False, True])
def test_the_best_individuals_of_both_populations_are_evaluated_together_at_the_end(separate):
    problem = Separable(coupling=1.0)
    result, algorithm = run(problem, 6, separate=separate)
    assert np.array_equal(problem.final_pair, algorithm.best[None])
    assert len(result.pop) == (1 if separate else 21)
    pair = result.pop[-1]
    assert np.array_equal(pair.X, algorithm.best)
    assert pair.F[0] == sum(problem.costs(algorithm.best[None].astype(int)))[0]


def test_a_problem_without_two_populations_is_rejected():
    class WithoutSpecies(Problem):
        species_bits = None

    with pytest.raises(
        ValueError, match=r"two populations \(species_bits\), but WithoutSpecies has none"
    ):
        Coevolution().setup(WithoutSpecies(n_var=2))


@pytest.mark.parametrize("replacement", ["children", "best"])
def test_with_alternating_updates_the_second_population_meets_the_new_best_individual(replacement):
    problem = Separable(coupling=2.0)
    _, algorithm = run(problem, generations=6, update="alternating", replacement=replacement)
    k, q, p = algorithm.pop_size, np.ones(4, int), None
    assert [len(X) for X in problem.evaluated] == 12 * [k]
    for i, (first, second) in enumerate(
        zip(problem.evaluated[::2], problem.evaluated[1::2], strict=True)
    ):
        assert (first[:, 5:] == q).all()
        if i:  # the first row is the best individual so far
            assert np.array_equal(first[0, :5], p) and np.array_equal(second[0, 5:], q)
        p = first[problem.costs(first)[0].argmin(), :5]
        assert (second[:, :5] == p).all()
        q = second[problem.costs(second)[1].argmin(), 5:]
    assert np.array_equal(algorithm.best, np.concatenate([p, q]))


def test_the_first_partner_can_be_the_first_individual_of_the_other_population():
    problem = Separable()
    run(problem, generations=1, first_partner="first")
    (X,) = problem.evaluated
    assert (X[:10, 5:] == X[10, 5:]).all() and (X[10:, :5] == X[0, :5]).all()
    problem = Separable()
    run(problem, generations=1, first_partner="first", separate=True)
    assert problem.evaluated[0][:10, 5:].all()


@pytest.mark.parametrize("update", ["alternating", "simultaneous"])
def test_the_best_of_parents_and_children_survive_with_costs_corrected_for_the_new_partner(update):
    problem = Separable(coupling=0.0)
    algorithm = Coevolution(pop_size=10, replacement="best", update=update, operators="scaled")
    costs = []

    def check(algorithm):
        for k, (X, values) in enumerate(zip(algorithm.species, algorithm.costs, strict=True)):
            assert values == pytest.approx(10 + X @ (COSTS_A, COSTS_B)[k])  # separable: exact
        costs.append([values.copy() for values in algorithm.costs])

    minimize(problem, algorithm, ("n_gen", 8), seed=1, callback=check)
    for before, after in itertools.pairwise(costs):
        for old, new in zip(before, after, strict=True):
            assert (np.sort(new) <= np.sort(old) + 1e-9).all()


@pytest.mark.parametrize("options", [NEW, dict(archive=True), NEW | dict(first_partner="original")])
def test_the_archive_returns_the_best_pair_of_all_iterations(options):
    problem = Separable(coupling=4.0)
    result, algorithm = run(problem, generations=7, seed=2, **options)
    pairs = problem.evaluated + ([] if "update" in options else [problem.final_pair])
    if algorithm.first_partner == "original":
        pairs = pairs[1:]  # without the rows whose partner is the uncompressed network
    lowest = min(sum(problem.costs(X)).min() for X in pairs)
    assert min(sum(problem.costs(result.pop.get("X").astype(int)))) == lowest
    archived = algorithm.best_pairs.get("X").astype(int)
    assert lowest in sum(problem.costs(archived))
    keys = [x.tobytes() for x in algorithm.best_pairs.get("X")]
    assert len(set(keys)) == len(keys)


def test_an_iteration_evaluates_twice_the_population_size_with_any_options():
    for options in (NEW, dict(update="alternating"), dict(replacement="best", operators="scaled")):
        problem = Separable()
        run(problem, generations=5, **options)
        assert sum(map(len, problem.evaluated)) == 5 * 20


def test_small_changes_find_the_optimum_of_separable_costs():
    problem = Separable()
    _, algorithm = run(problem, **NEW)
    rows = np.array(list(itertools.product((0, 1), repeat=9)))
    a, b = problem.costs(rows)
    optimum = np.concatenate([rows[a.argmin(), :5], rows[b.argmin(), 5:]])
    assert np.array_equal(algorithm.best, optimum)


def test_children_of_small_changes_are_new_and_close_to_their_parents():
    rng = np.random.default_rng(0)
    X = rng.random((6, 400)) < 0.5
    children = breed_small_changes(X, np.ones(6), 50, rng, crossover=0.0)
    distances = (children[:, None] != X[None]).sum(axis=2).min(axis=1)
    assert distances.min() >= 1 and distances.mean() < 4
    assert len(np.unique(children, axis=0)) == 50


@pytest.mark.parametrize("name", ["operators", "replacement", "update", "first_partner"])
def test_an_unknown_option_is_rejected(name):
    with pytest.raises(ValueError, match=f"{name}='other' is unknown; choose from"):
        Coevolution(**{name: "other"})


class Limited(Separable):
    """A :class:`Separable` problem whose rows are feasible with at most three ones."""

    def __init__(self):
        Problem.__init__(self, n_var=9, n_obj=1, n_ieq_constr=1, xl=0, xu=1, vtype=int)
        self.coupling, self.evaluated = 0.0, []

    def column(self, name):
        return SimpleNamespace(bounds=(0.0, 30.0))

    def _evaluate(self, X, out, *args, **kwargs):
        super()._evaluate(X, out, *args, **kwargs)
        out["G"] = (X.sum(axis=1, keepdims=True) - 3) / 3


@pytest.mark.parametrize("options", [{}, NEW])
def test_coevolution_with_limits_returns_feasible_pairs(options):
    result, algorithm = run(Limited(), **options)
    assert algorithm.best.sum() <= 3  # the optimum without limits has four ones
    rows = np.array(list(itertools.product((0, 1), repeat=9)))
    feasible = rows[rows.sum(axis=1) <= 3]
    costs = np.add(*Limited().costs(feasible))
    assert np.add(*Limited().costs(algorithm.best[None])) <= np.sort(costs)[2]
    assert result.G is not None and (result.G <= 0).all()
    if options:
        assert (algorithm.best_pairs.get("X").sum(axis=1) <= 3).all()
