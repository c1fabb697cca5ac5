"""Robustness: the attack on a linear model is known in closed form."""

import numpy as np
import pytest
import torch

from moonas.metrics.adversarial import (
    STRENGTHS,
    count_correct_under_attack,
    fgsm_signs,
    robustness_error_percent,
)
from moonas.nets.randomness import generator

N, C, SIDE, CLASSES = 60, 2, 3, 4
MEAN = torch.tensor([0.4, 0.6]).reshape(1, C, 1, 1)
STD = torch.tensor([0.2, 0.5]).reshape(1, C, 1, 1)


def setting():
    rng = generator(0, "linear")
    pixels = torch.rand(N, C, SIDE, SIDE, generator=rng)
    weight = torch.randn(CLASSES, C * SIDE * SIDE, generator=rng)
    images = (pixels - MEAN) / STD
    labels = (images.flatten(1) @ weight.T + torch.randn(N, CLASSES, generator=rng)).argmax(1)
    return pixels, images, labels, weight


def linear(weight):
    return lambda x: x.flatten(1) @ weight.T


def test_the_attack_on_a_linear_model_is_the_sign_of_the_weights_times_the_residual():
    _, images, labels, weight = setting()
    share = (images.flatten(1) @ weight.T).softmax(1)
    residual = share - torch.nn.functional.one_hot(labels, CLASSES)
    expected = (residual @ weight).sign().reshape(images.shape)
    assert torch.equal(fgsm_signs(linear(weight), images, labels), expected)


def test_robust_accuracy_equals_a_plain_loop_over_images_and_strengths():
    pixels, images, labels, weight = setting()
    counts, finite = count_correct_under_attack(linear(weight), images, labels, 16, MEAN, STD)
    assert bool(finite)
    for k, strength in enumerate(STRENGTHS):
        correct = 0
        for i in range(N):
            logits = weight @ images[i].flatten()
            residual = logits.softmax(0)
            residual[labels[i]] -= 1
            # d loss / d pixel has the sign of d loss / d image, as std is positive
            signs = (residual @ weight).sign().reshape(C, SIDE, SIDE)
            attacked = (pixels[i] + strength * signs).clamp(0, 1)
            x = ((attacked - MEAN[0]) / STD[0]).flatten()
            correct += int((weight @ x).argmax() == labels[i])
        assert counts[k] == correct
    assert counts[0] > counts[-1]  # the attack works


def test_the_attack_works_inside_inference_mode():
    _, images, labels, weight = setting()
    outside, _ = count_correct_under_attack(linear(weight), images, labels, 16, MEAN, STD)
    with torch.inference_mode():
        inside, _ = count_correct_under_attack(linear(weight), images, labels, 16, MEAN, STD)
    assert torch.equal(outside, inside)


def test_logits_that_are_not_finite_are_noticed():
    _, images, labels, weight = setting()
    weight[0, 0] = torch.inf
    _, finite = count_correct_under_attack(linear(weight), images, labels, 16, MEAN, STD)
    assert not bool(finite)


def test_robustness_of_straight_curves():
    ones = np.ones(len(STRENGTHS))
    assert robustness_error_percent(ones, 10) == pytest.approx(0)
    assert robustness_error_percent(0.1 * ones, 10) == pytest.approx(100)
    assert robustness_error_percent(0.55 * ones, 10) == pytest.approx(50)
    # a straight fall from 1 to chance leaves half of the rectangle
    fall = 1 - 0.9 * np.array(STRENGTHS) / STRENGTHS[-1]
    assert robustness_error_percent(fall, 10) == pytest.approx(50)


def test_an_accuracy_below_guessing_counts_as_guessing():
    accuracy = np.array([[1.0, 0, 0, 0, 0, 0, 0], [1.0, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1]])
    below, at = robustness_error_percent(accuracy, 10)
    # a triangle from 1 at strength 0 to guessing at 0.01, of the rectangle up to 0.15
    assert below == at == pytest.approx(100 * (1 - 0.01 / 2 / 0.15))
