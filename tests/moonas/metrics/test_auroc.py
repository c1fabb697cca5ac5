import math

import pytest
import torch

from moonas.metrics.auroc import auroc_error, auroc_error_percent
from moonas.nets.randomness import generator


def by_hand(scores, labels):
    """The share of pairs, one with the label and one without, that are ranked rightly."""
    pairs = [
        1.0 if a > b else 0.5 if a == b else 0.0
        for a, x in zip(scores, labels, strict=True)
        for b, y in zip(scores, labels, strict=True)
        if x == 1 and y == 0
    ]
    return sum(pairs) / len(pairs)


def test_it_is_the_mean_over_labels_of_rightly_ranked_pairs_ties_half():
    rng = generator(0, "scores")
    logits = torch.randn(40, 3, generator=rng).round(decimals=1)
    labels = (torch.rand(40, 3, generator=rng) < 0.3).float()
    areas = [by_hand(logits[:, k].tolist(), labels[:, k].tolist()) for k in range(3)]
    assert auroc_error_percent(logits, labels) == pytest.approx(100 * (1 - sum(areas) / 3))


def test_perfect_reversed_and_constant_scores():
    labels = torch.tensor([[0.0], [0.0], [1.0], [1.0]])
    assert auroc_error_percent(labels, labels) == 0
    assert auroc_error_percent(-labels, labels) == 100
    assert auroc_error_percent(0 * labels, labels) == 50


def test_labels_without_a_curve_do_not_count():
    labels = torch.tensor([[0.0, 1.0], [1.0, 1.0]])
    assert auroc_error_percent(labels, labels) == 0
    with pytest.raises(ValueError, match="each of the 1 labels is on all of the 2"):
        auroc_error_percent(labels[:, 1:], labels[:, 1:])


def test_scores_that_are_not_finite_give_nan():
    labels = torch.tensor([[0.0], [1.0]])
    assert math.isnan(auroc_error_percent(torch.tensor([[0.0], [torch.inf]]), labels))


def test_batches_change_nothing():
    rng = generator(1, "images")
    images = torch.randn(11, 1, 2, 2, generator=rng)
    labels = (torch.rand(11, 2, generator=rng) < 0.5).float()
    results = {auroc_error(lambda x: x[:, 0, 0], images, labels, batch) for batch in (1, 4, 11)}
    assert len(results) == 1
