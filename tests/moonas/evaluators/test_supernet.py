import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from moonas.data import describe
from moonas.evaluators import SupernetEvaluator, SupernetSettings
from moonas.evaluators.supernet import random_architectures
from moonas.run.candidates import Candidates

COSTS = SimpleNamespace(count=lambda candidates: {"params": np.zeros(len(candidates))})
N_CHOICES = np.array([3])


class Supernet(nn.Module):
    """A supernet with one linear classifier for each of the architectures 0, 1 and 2."""

    def __init__(self):
        super().__init__()
        self.classifiers = nn.ModuleList(nn.Linear(192, 10) for _ in range(3))

    def forward(self, images, architecture):
        return self.classifiers[architecture](images.flatten(1))


@pytest.fixture
def make_evaluator(few_digits):
    def make(**options):
        settings = SupernetSettings(
            data=str(few_digits), image_size=8, device="cpu", batch=10, workers=1, **options
        )
        return SupernetEvaluator(
            settings,
            describe(str(few_digits), 8),
            COSTS,
            make_net=Supernet,
            n_choices=N_CHOICES,
            decode=lambda x: int(x[0]),
            on_progress=lambda *progress: None,
        )

    return make


def make_candidates(*architectures):
    rows = np.array(architectures)[:, None]
    return Candidates(rows, architectures, rows)


def test_the_learning_rate_is_annealed_until_the_end_of_the_last_generation(make_evaluator):
    evaluator = make_evaluator(warmup_epochs=2, generations=3, epochs=2, learning_rate_end=0.0)
    evaluator.begin(1)
    evaluator.warm_up()
    for _ in range(2):  # the second and the third generation
        evaluator.train(make_candidates(0, 1))
    assert evaluator.recipe.horizon == evaluator.epoch == 6
    last_rate = 0.1 * (1 + math.cos(math.pi * 5 / 6)) / 2  # learning rate of the sixth epoch
    assert evaluator.optimizer.param_groups[0]["lr"] == pytest.approx(last_rate)


def test_training_that_resumes_from_a_saved_state_equals_uninterrupted_training(make_evaluator):
    options = dict(warmup_epochs=1, generations=3, epochs=1)
    uninterrupted, resumed = make_evaluator(**options), make_evaluator(**options)
    uninterrupted.begin(1)
    uninterrupted.warm_up()
    state = {name: tensor.clone() for name, tensor in uninterrupted.state().items()}
    uninterrupted.train(make_candidates(0, 1, 2))
    resumed.begin(2)
    resumed.load_state(state)
    resumed.train(make_candidates(0, 1, 2))
    expected, actual = uninterrupted.state(), resumed.state()
    assert expected.keys() == actual.keys() and actual["epoch"] == 2
    assert all(torch.equal(expected[name], actual[name]) for name in expected)


def test_training_changes_only_the_weights_of_the_candidates(make_evaluator):
    evaluator = make_evaluator(warmup_epochs=0, generations=2, epochs=1)
    evaluator.begin(1)
    before = [layer.weight.clone() for layer in evaluator.net.classifiers]
    evaluator.train(make_candidates(0, 2))
    after = [layer.weight for layer in evaluator.net.classifiers]
    equal = [torch.equal(x, y) for x, y in zip(before, after, strict=True)]
    assert equal == [False, True, False]


def test_frozen_weights_are_trained_once_and_do_not_depend_on_the_seed_of_the_run(make_evaluator):
    weights = []
    for seed in (1, 2):
        evaluator = make_evaluator(weights="frozen", frozen_epochs=2)
        evaluator.begin(seed)
        report = evaluator.warm_up()
        assert report["epochs"] == 2
        weights.append(evaluator.net.classifiers[0].weight.detach().clone())
        evaluator.begin(seed + 5)
        assert evaluator.warm_up() is report
        assert torch.equal(evaluator.net.classifiers[0].weight, weights[-1])
    assert torch.equal(*weights)


def test_the_score_of_a_candidate_does_not_depend_on_the_other_candidates(make_evaluator):
    evaluator = make_evaluator(warmup_epochs=2)
    evaluator.begin(1)
    evaluator.warm_up()
    together = evaluator.score(make_candidates(2, 0, 1))["error"]
    alone = [evaluator.score(make_candidates(a))["error"][0] for a in (2, 0, 1)]
    assert together.tolist() == alone


def test_the_genes_of_random_architectures_are_uniformly_distributed():
    rng = torch.Generator().manual_seed(0)
    sample = np.array(random_architectures(3000, np.array([2, 5]), tuple, rng))
    for gene, k in enumerate((2, 5)):
        shares = np.bincount(sample[:, gene], minlength=k) / 3000
        assert len(shares) == k
        # 4 standard errors
        assert np.abs(shares - 1 / k).max() <= 4 * math.sqrt(1 / k * (1 - 1 / k) / 3000)
