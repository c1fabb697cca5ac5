import itertools

import numpy as np
import pytest
from pymoo.core.population import Population
from pymoo.optimize import minimize
from toy import Toy

from moonas import algorithm
from moonas.algorithms.bayesian import BayesianMating, BlockNetwork
from moonas.algorithms.sources import SOURCE_KEY, softmax_shares, survival_rates

NODES = [np.array([0, 1]), np.array([2]), np.array([3])]
N_CHOICES = np.array([2, 2, 3, 2])
ROWS = np.array([[0, 1, 2, 1], [0, 1, 2, 0], [0, 1, 0, 1], [1, 0, 2, 1], [0, 0, 1, 1]])
ALL_ROWS = np.array(list(itertools.product(*map(range, N_CHOICES))))
BLOCKS = [[np.arange(3)], [np.arange(3, 6)]]  # of the problem Toy


def expected_probability(row, strength=1.0, gene_strength=1.0):
    """Return the probability of one row, computed by a loop over nodes, genes and fitted rows."""
    probability, matching = 1.0, list(ROWS)
    for genes in NODES:
        prior = 1.0
        for g in genes:
            count = sum(a[g] == row[g] for a in ROWS)
            prior *= (count + gene_strength / N_CHOICES[g]) / (len(ROWS) + gene_strength)
        agreeing = [a for a in matching if all(a[g] == row[g] for g in genes)]
        probability *= (len(agreeing) + strength * prior) / (len(matching) + strength)
        matching = agreeing
    return probability


@pytest.mark.parametrize("strength", [0.2, 1.0, 5.0])
def test_probabilities_equal_the_result_of_a_loop_and_sum_to_one(strength):
    model = BlockNetwork(ROWS, NODES, N_CHOICES, strength)
    probabilities = model.probability(ALL_ROWS)
    expected = [expected_probability(row, strength) for row in ALL_ROWS]
    assert np.allclose(probabilities, expected, rtol=1e-12)
    assert probabilities.sum() == pytest.approx(1)
    assert (probabilities > 0).all()


@pytest.mark.parametrize("strength", [0.2, 5.0])
def test_sample_frequencies_equal_the_probabilities(strength):
    model = BlockNetwork(ROWS, NODES, N_CHOICES, strength)
    n = 40_000
    samples = model.sample(n, np.random.default_rng(0))
    index = np.ravel_multi_index(samples.T, N_CHOICES)
    observed = np.bincount(index, minlength=len(ALL_ROWS))
    expected = n * model.probability(ALL_ROWS)
    statistic = ((observed - expected) ** 2 / expected).sum()
    # chi-square with 23 degrees of freedom has mean 23 and standard deviation sqrt(46)
    assert statistic < 23 + 4 * np.sqrt(46)


def test_without_smoothing_only_fitted_rows_are_sampled():
    model = BlockNetwork(ROWS, NODES, N_CHOICES, strength=1e-9)
    samples = {tuple(row) for row in model.sample(2000, np.random.default_rng(0)).tolist()}
    assert samples == {tuple(row) for row in ROWS.tolist()}


def test_samples_are_within_bounds_and_genes_of_other_blocks_are_zero():
    model = BlockNetwork(ROWS, NODES[1:], N_CHOICES, strength=100.0)
    samples = model.sample(2000, np.random.default_rng(0))
    assert (samples >= 0).all() and (samples < N_CHOICES).all()
    assert (samples[:, :2] == 0).all()
    assert {tuple(r) for r in samples[:, 2:].tolist()} == set(itertools.product(range(3), range(2)))


def test_shares_of_offspring_equal_equation_2():
    e = np.e
    assert np.allclose(softmax_shares([0.5, 0.5], [0.75, 0.25]), [0.5, 0.5])
    assert np.allclose(softmax_shares([1, 0], [0.75, 0.25]), [e / (e + 1), 1 / (e + 1)])
    assert softmax_shares([0, 1], [0, 1])[0] == pytest.approx(0.26894, abs=1e-5)


def test_shares_of_offspring_do_not_change_if_a_source_had_no_offspring():
    assert softmax_shares([0.3, np.nan], [0.75, 0.25]).tolist() == [0.75, 0.25]
    assert softmax_shares([np.nan, 0.2], [0.6, 0.4]).tolist() == [0.6, 0.4]


def test_survival_rates_are_the_fractions_of_offspring_in_the_population():
    class Generation:
        off = Population.new(X=np.zeros((5, 1)))

    for individual, source in zip(Generation.off, ["genetic"] * 3 + ["model"] * 2, strict=True):
        individual.set(SOURCE_KEY, source)
    Generation.pop = Generation.off[[0, 2, 4]]
    assert survival_rates(Generation, ("genetic", "model")).tolist() == [2 / 3, 0.5]


def run(name="nsga2", generations=12, **options):
    """Run Toy; return the result and (n_genetic, n_model, shares) per generation."""
    toy = Toy(population=12)
    search = algorithm(name, toy)
    search.mating = BayesianMating(search.mating, BLOCKS, **options)
    generation_log = []

    def callback(algorithm):
        sources = [i.get(SOURCE_KEY) for i in algorithm.off]
        shares = algorithm.mating.shares.tolist()
        generation_log.append((sources.count("genetic"), sources.count("model"), shares))

    result = minimize(toy, search, ("n_gen", generations), seed=1, callback=callback)
    return result, generation_log


def test_the_model_is_first_used_after_two_thirds_of_the_budget_for_a_quarter_of_the_offspring():
    _, generation_log = run()
    n_model = [n for _, n, _ in generation_log]
    # the mating of generation 9 is the first after 8 of 12 generations
    assert sum(n_model[:8]) == 0 and sum(n_model[8:]) > 0
    assert generation_log[8][2] == [0.75, 0.25]
    for (_, n, _), (_, _, shares) in itertools.pairwise(generation_log[8:]):
        if n:  # the softmax of two rates in [0, 1]
            assert 0.26 < shares[1] < 0.74


def test_the_budget_can_be_set_in_generations():
    _, generation_log = run(start=0.5, generations=8)
    n_model = [n for _, n, _ in generation_log]
    assert sum(n_model[:4]) == 0 and sum(n_model[4:]) > 0
    assert generation_log[4][2] == [0.75, 0.25]


@pytest.mark.parametrize("name", ["nsga2", "nsga3", "smsemoa", "spea2"])
def test_bayesian_mating_is_deterministic_in_all_genetic_algorithms(name):
    first, generation_log = run(name, generations=6, start=0.3)
    second, _ = run(name, generations=6, start=0.3)
    assert np.array_equal(first.pop.get("X"), second.pop.get("X"))
    assert sum(n for _, n, _ in generation_log) > 0
    assert all(genetic + model == 12 for genetic, model, _ in generation_log[1:])
    assert first.pop.get("X").dtype.kind == "i"


def run_with_archive(nonstationary):
    """Run Toy; return problem, algorithm, and the offspring and the population per generation."""
    toy = Toy(population=12, nonstationary=nonstationary)
    search = algorithm("nsga2", toy)
    search.mating = BayesianMating(search.mating, BLOCKS)
    evaluated, populations = [], []

    def callback(algorithm):
        evaluated.append([tuple(row) for row in algorithm.off.get("X").tolist()])
        populations.append([tuple(row) for row in algorithm.pop.get("X").tolist()])

    result = minimize(toy, search, ("n_gen", 12), seed=1, callback=callback)
    return toy, result.algorithm, evaluated, populations


def test_the_archive_contains_every_evaluated_row_exactly_once():
    toy, search, evaluated, _ = run_with_archive(nonstationary=False)
    X, F = search.mating.archive.get("X", "F")
    rows = [tuple(row) for row in X.tolist()]
    # the last offspring were evaluated after the last mating
    earlier = [row for generation in evaluated[:-1] for row in generation]
    assert len(set(earlier)) < len(earlier)
    assert set(rows) == set(earlier) and len(set(rows)) == len(rows)
    assert np.array_equal(toy.evaluate(X), F)


def test_the_archive_contains_only_rows_of_the_last_generation_if_objectives_change():
    _, search, evaluated, populations = run_with_archive(nonstationary=True)
    rows = [tuple(row) for row in search.mating.archive.get("X").tolist()]
    assert set(rows) == {*evaluated[-2], *populations[-2]} and len(set(rows)) == len(rows)


def test_the_models_of_all_blocks_are_fitted_to_the_same_best_rows():
    result, _ = run(generations=6, start=0.3, n_best=5)
    first, second = result.algorithm.mating.models
    assert len(first.X) == 5 and np.array_equal(first.X, second.X)


def test_the_models_are_fitted_to_feasible_rows_if_there_are_limits():
    toy = Toy(population=12, nonstationary=False, limits=("params <= 9",))
    search = algorithm("nsga2", toy)
    search.mating = BayesianMating(search.mating, BLOCKS, start=0.3, n_best=5)
    result = minimize(toy, search, ("n_gen", 6), seed=1)
    mating = result.algorithm.mating
    sizes = 1 + mating.archive.get("X").sum(axis=1)
    assert (sizes <= 9).sum() >= 5 and (sizes > 9).any()
    assert all((1 + model.X.sum(axis=1) <= 9).all() for model in mating.models)
