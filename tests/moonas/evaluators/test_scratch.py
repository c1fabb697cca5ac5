from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from moonas.data import describe
from moonas.evaluators import ProxySettings, ScratchEvaluator
from moonas.run.candidates import Candidates

ROWS = np.array([[4], [8], [16]])
COSTS = SimpleNamespace(count=lambda candidates: {"params": np.zeros(len(candidates))})


def build_network(width):
    return nn.Sequential(nn.Flatten(), nn.Linear(192, width), nn.ReLU(), nn.Linear(width, 10))


@pytest.fixture
def evaluator(few_digits):
    settings = ProxySettings(data=str(few_digits), image_size=8, device="cpu", batch=20)
    info = describe(str(few_digits), 8)
    return ScratchEvaluator(settings, info, COSTS, epochs=2, build=build_network)


def trained_errors(evaluator, rows, seed=1):
    evaluator.begin(seed)
    candidates = Candidates(rows, tuple(int(x) for (x,) in rows), rows)
    return evaluator.score(candidates)["error"]


def logits_after_training(evaluator, monkeypatch, seed):
    """Train a candidate, and return the validation logits, which reveal more than the error."""
    logits = []
    monkeypatch.setattr(
        evaluator.images,
        "evaluate",
        lambda network: (
            logits.append(network(evaluator.images.validation[0].tensor())) or torch.zeros(1)
        ),
    )
    trained_errors(evaluator, ROWS[:1], seed)
    return logits[0]


def test_scores_do_not_depend_on_the_order_of_candidates(evaluator):
    assert np.array_equal(
        trained_errors(evaluator, ROWS),
        trained_errors(evaluator, ROWS[::-1])[::-1],
    )


def test_the_seed_of_the_run_determines_the_trained_network(evaluator, monkeypatch):
    first, repeated, other_seed = (
        logits_after_training(evaluator, monkeypatch, s) for s in (1, 1, 2)
    )
    assert torch.equal(first, repeated) and not torch.equal(first, other_seed)


def test_the_error_of_a_candidate_is_nan_if_all_its_training_steps_are_skipped(evaluator):
    class Diverged(nn.Linear):
        def forward(self, x):
            return super().forward(x) * (torch.nan if self.training else 1)

    evaluator.build = lambda width: nn.Sequential(nn.Flatten(), Diverged(192, 10))
    assert np.isnan(trained_errors(evaluator, ROWS[:1])).all()
