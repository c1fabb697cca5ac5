"""The searches find good pairs on a synthetic loss; see benchmarks/pruning_search.py."""

import importlib.util
from functools import cache
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[3]
SEEDS = (1, 2, 3)
SMALL = dict(width=16, blocks=3, population=16)
GENERATIONS = 20


@cache
def benchmark():
    spec = importlib.util.spec_from_file_location("_", ROOT / "benchmarks" / "pruning_search.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@cache
def found(method, seed, gamma=10.0, coupling=0.0):
    """Return the result of a search for masks of a small generator."""
    return benchmark().run(method, seed, gamma, coupling, generations=GENERATIONS, **SMALL)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("coupling", [0.0, 0.5])
def test_coevolution_is_far_ahead_of_random_masks_with_as_many_evaluations(seed, coupling):
    random = found("random masks", seed, coupling=coupling)["fitness"]
    from_random_masks = found("co-evolution, random start", seed, coupling=coupling)["fitness"]
    coevolution = found("co-evolution", seed, coupling=coupling)["fitness"]
    assert from_random_masks < 0.8 * random
    assert coevolution < 0.5 * random


@pytest.mark.parametrize("seed", SEEDS)
def test_coevolution_is_better_than_a_genetic_algorithm_with_uniform_crossover_and_flips(seed):
    stock = found("GA, uniform and flips", seed)["fitness"]
    assert found("co-evolution", seed)["fitness"] < 0.8 * stock
    assert found("co-evolution, random start", seed)["fitness"] < 1.4 * stock


@pytest.mark.parametrize("seed", SEEDS)
def test_a_genetic_algorithm_with_the_operators_of_the_problem_finds_good_pairs(seed):
    stock = found("GA, uniform and flips", seed)["fitness"]
    assert found("GA, operators(), random start", seed)["fitness"] < 1.4 * stock
    assert found("GA, operators()", seed)["fitness"] < 0.8 * stock


def test_a_larger_gamma_results_in_larger_generators_with_every_seed():
    sizes = np.array(
        [[found("co-evolution", seed, gamma)["size"] for gamma in (1, 10, 100)] for seed in SEEDS]
    )
    assert (np.diff(sizes, axis=1) > 0.03).all()


@pytest.mark.parametrize("seed", SEEDS)
def test_size_and_loss_both_matter_at_the_gamma_of_the_paper(seed):
    result = found("co-evolution", seed)
    share_of_size = 2 * result["size"] / result["fitness"]
    assert 0.1 < share_of_size < 0.9
