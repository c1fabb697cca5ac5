import itertools

import numpy as np
import pytest
from pymoo.core.population import Population
from pymoo.optimize import minimize
from toy import Toy

from moonas import algorithm
from moonas.algorithms.bayesian import (
    SOURCE,
    BayesianMating,
    BlockNetwork,
    softmax_shares,
    survival_rates,
)

NODES = [np.array([0, 1]), np.array([2]), np.array([3])]
CHOICES = np.array([2, 2, 3, 2])
ARCHIVE = np.array([[0, 1, 2, 1], [0, 1, 2, 0], [0, 1, 0, 1], [1, 0, 2, 1], [0, 0, 1, 1]])
SPACE = np.array(list(itertools.product(*map(range, CHOICES))))


def by_hand(row, strength=1.0, gene_strength=1.0):
    """The chance of one row, written as a loop over nodes, genes and archive rows."""
    chance, matching = 1.0, list(ARCHIVE)
    for genes in NODES:
        prior = 1.0
        for g in genes:
            count = sum(a[g] == row[g] for a in ARCHIVE)
            prior *= (count + gene_strength / CHOICES[g]) / (len(ARCHIVE) + gene_strength)
        agreeing = [a for a in matching if all(a[g] == row[g] for g in genes)]
        chance *= (len(agreeing) + strength * prior) / (len(matching) + strength)
        matching = agreeing
    return chance


@pytest.mark.parametrize("strength", [0.2, 1.0, 5.0])
def test_probabilities_are_those_computed_by_hand_and_add_up_to_one(strength):
    model = BlockNetwork(ARCHIVE, NODES, CHOICES, strength)
    found = model.probability(SPACE)
    assert np.allclose(found, [by_hand(row, strength) for row in SPACE], rtol=1e-12)
    assert found.sum() == pytest.approx(1)
    assert (found > 0).all()


@pytest.mark.parametrize("strength", [0.2, 1.0, 5.0])
def test_samples_follow_the_probabilities(strength):
    model = BlockNetwork(ARCHIVE, NODES, CHOICES, strength)
    n = 40_000
    drawn = model.sample(n, np.random.default_rng(0))
    index = np.ravel_multi_index(drawn.T, CHOICES)
    observed = np.bincount(index, minlength=len(SPACE))
    expected = n * model.probability(SPACE)
    statistic = ((observed - expected) ** 2 / expected).sum()
    # chi-square with 23 degrees of freedom has mean 23 and deviation sqrt(46): 4 deviations
    assert statistic < 23 + 4 * np.sqrt(46)


def test_the_last_rows_node_depends_on_both_earlier_ones():
    model = BlockNetwork(ARCHIVE, NODES, CHOICES, strength=1e-9)
    drawn = {tuple(row) for row in model.sample(2000, np.random.default_rng(0)).tolist()}
    assert drawn == {tuple(row) for row in ARCHIVE.tolist()}


def test_samples_stay_within_bounds_and_leave_other_genes_zero():
    model = BlockNetwork(ARCHIVE, NODES[1:], CHOICES, strength=100.0)
    drawn = model.sample(2000, np.random.default_rng(0))
    assert (drawn >= 0).all() and (drawn < CHOICES).all()
    assert (drawn[:, :2] == 0).all()
    assert {tuple(r) for r in drawn[:, 2:].tolist()} == set(itertools.product(range(3), range(2)))


def test_equation_2_on_hand_made_rates():
    e = np.e
    assert np.allclose(softmax_shares([0.5, 0.5], [0.75, 0.25]), [0.5, 0.5])
    assert np.allclose(softmax_shares([1, 0], [0.75, 0.25]), [e / (e + 1), 1 / (e + 1)])
    assert softmax_shares([0, 1], [0, 1])[0] == pytest.approx(0.26894, abs=1e-5)


def test_a_source_without_offspring_keeps_its_share():
    assert softmax_shares([0.3, np.nan], [0.75, 0.25]).tolist() == [0.75, 0.25]
    assert softmax_shares([np.nan, 0.2], [0.6, 0.4]).tolist() == [0.6, 0.4]


def test_survival_rates_on_a_hand_made_generation():
    class Now:
        off = Population.new(X=np.zeros((5, 1)))

    for individual, source in zip(Now.off, ["genetic"] * 3 + ["model"] * 2, strict=True):
        individual.set(SOURCE, source)
    Now.pop = Now.off[[0, 2, 4]]
    assert survival_rates(Now).tolist() == [2 / 3, 0.5]


def searched(name="nsga2", generations=12, **options):
    toy = Toy(population=12)
    search = algorithm(name, toy)
    blocks = [[np.arange(3)], [np.arange(3, 6)]]
    search.mating = BayesianMating(search.mating, blocks, **options)
    seen = []

    def callback(algorithm):
        sources = [i.get(SOURCE) for i in algorithm.off]
        shares = algorithm.mating.shares.tolist()
        seen.append((sources.count("genetic"), sources.count("model"), shares))

    return minimize(toy, search, ("n_gen", generations), seed=1, callback=callback), seen


def test_the_model_begins_at_two_thirds_of_the_budget_with_a_quarter():
    _, seen = searched()
    models = [n for _, n, _ in seen]
    # the mating of generation 9 is the first with 8 of 12 done
    assert sum(models[:8]) == 0 and sum(models[8:]) > 0
    assert seen[8][2] == [0.75, 0.25]
    for (_, n, _), (_, _, after) in itertools.pairwise(seen[8:]):
        if n:
            assert 0.26 < after[1] < 0.74


@pytest.mark.parametrize("name", ["nsga2", "nsga3", "smsemoa", "spea2"])
def test_it_wraps_the_mating_of_any_genetic_algorithm_and_repeats(name):
    first, seen = searched(name, start=0.3)
    again, _ = searched(name, start=0.3)
    assert np.array_equal(first.pop.get("X"), again.pop.get("X"))
    assert sum(n for _, n, _ in seen) > 0
    assert all(a + b == 12 for a, b, _ in seen[1:])
    assert first.pop.get("X").dtype.kind == "i"


def test_the_archive_holds_each_row_that_was_evaluated_once():
    toy = Toy(population=12, nonstationary=False)
    search = algorithm("nsga2", toy)
    search.mating = BayesianMating(search.mating, [[np.arange(3)], [np.arange(3, 6)]])
    evaluated = []

    def callback(algorithm):
        evaluated.extend(map(tuple, algorithm.off.get("X").tolist()))

    found = minimize(toy, search, ("n_gen", 12), seed=1, callback=callback)
    X, F = found.algorithm.mating.archive
    rows = [tuple(row) for row in X.tolist()]
    # all but the last offspring, which no mating has seen
    before = evaluated[:-12]
    assert len(set(before)) < len(before)
    assert set(rows) == set(before) and len(set(rows)) == len(rows)
    assert np.array_equal(toy.evaluate(X), F)


def test_the_model_is_fitted_on_the_best_rows():
    result, _ = searched(start=0.3, n_best=5)
    (one, two) = result.algorithm.mating.models
    assert len(one.X) == 5 and np.array_equal(one.X, two.X)
