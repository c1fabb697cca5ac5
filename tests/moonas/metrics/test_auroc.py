import math

import pytest
import torch

from moonas.metrics.auroc import auroc_error, auroc_error_percent
from moonas.nets.randomness import generator


def pair_accuracy(scores, labels):
    """Return the fraction of (labeled, unlabeled) pairs in correct order; ties count half."""
    pairs = [
        1.0 if a > b else 0.5 if a == b else 0.0
        for a, x in zip(scores, labels, strict=True)
        for b, y in zip(scores, labels, strict=True)
        if x == 1 and y == 0
    ]
    return sum(pairs) / len(pairs)


def test_auroc_is_the_mean_fraction_of_correctly_ordered_pairs():
    rng = generator(0, "scores")
    logits = torch.randn(40, 3, generator=rng).round(decimals=1)
    labels = (torch.rand(40, 3, generator=rng) < 0.3).float()
    areas = [pair_accuracy(logits[:, k].tolist(), labels[:, k].tolist()) for k in range(3)]
    assert auroc_error_percent(logits, labels) == pytest.approx(100 * (1 - sum(areas) / 3))


def test_perfect_reversed_and_constant_logits_have_errors_0_100_and_50():
    labels = torch.tensor([[0.0], [0.0], [1.0], [1.0]])
    assert auroc_error_percent(labels, labels) == 0
    assert auroc_error_percent(-labels, labels) == 100
    assert auroc_error_percent(0 * labels, labels) == 50


def test_labels_with_an_undefined_roc_curve_are_ignored():
    labels = torch.tensor([[0.0, 1.0, 0.0], [1.0, 1.0, 0.0]])
    assert auroc_error_percent(labels, labels) == 0
    with pytest.raises(ValueError, match="each of the 2 labels belongs to all or none of the 2"):
        auroc_error_percent(labels[:, 1:], labels[:, 1:])


def test_the_auroc_error_is_nan_if_a_logit_is_infinite():
    labels = torch.tensor([[0.0], [1.0]])
    assert math.isnan(auroc_error_percent(torch.tensor([[0.0], [torch.inf]]), labels))


def test_the_auroc_error_does_not_depend_on_the_batch_size():
    rng = generator(1, "images")
    images = torch.randn(11, 1, 2, 2, generator=rng)
    labels = (torch.rand(11, 2, generator=rng) < 0.5).float()
    results = {auroc_error(lambda x: x[:, 0, 0], images, labels, batch) for batch in (1, 4, 11)}
    assert len(results) == 1
