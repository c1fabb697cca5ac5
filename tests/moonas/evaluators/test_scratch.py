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


def build(width):
    return nn.Sequential(nn.Flatten(), nn.Linear(192, width), nn.ReLU(), nn.Linear(width, 10))


@pytest.fixture
def evaluator(few_digits):
    settings = ProxySettings(data=str(few_digits), image_size=8, device="cpu", batch=20)
    info = describe(str(few_digits), 8)
    return ScratchEvaluator(settings, info, COSTS, epochs=2, build=build)


def errors(evaluator, rows, seed=1):
    evaluator.begin(seed)
    candidates = Candidates(rows, tuple(int(x) for (x,) in rows), rows)
    return evaluator.score(candidates)["error"]


def logits_of_trained(evaluator, monkeypatch, seed):
    """The logits of a trained network, which are finer than its error."""
    logits = []
    monkeypatch.setattr(
        evaluator.images,
        "evaluate",
        lambda network: logits.append(network(evaluator.images.validation[0])) or torch.zeros(1),
    )
    errors(evaluator, ROWS[:1], seed)
    return logits[0]


def test_scores_do_not_depend_on_the_order_of_candidates(evaluator):
    assert np.array_equal(errors(evaluator, ROWS), errors(evaluator, ROWS[::-1])[::-1])


def test_the_seed_of_the_run_determines_the_trained_network(evaluator, monkeypatch):
    first, again, other = (logits_of_trained(evaluator, monkeypatch, s) for s in (1, 1, 2))
    assert torch.equal(first, again) and not torch.equal(first, other)


def test_a_candidate_whose_training_steps_are_all_skipped_scores_nan(evaluator):
    class Diverged(nn.Linear):
        def forward(self, x):
            return super().forward(x) * (torch.nan if self.training else 1)

    evaluator.build = lambda width: nn.Sequential(nn.Flatten(), Diverged(192, 10))
    assert np.isnan(errors(evaluator, ROWS[:1])).all()
