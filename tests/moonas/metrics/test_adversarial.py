"""Adversarial attacks on linear models, for which the gradient has a closed form."""

import numpy as np
import pytest
import torch

from moonas.metrics.adversarial import (
    ATTACK_STRENGTHS,
    count_correct_under_attack,
    fgsm_signs,
    robustness_error_percent,
)
from moonas.nets.randomness import generator

N, C, SIDE, CLASSES = 60, 2, 3, 4
MEAN = torch.tensor([0.4, 0.6]).reshape(1, C, 1, 1)
STD = torch.tensor([0.2, 0.5]).reshape(1, C, 1, 1)


def linear_problem():
    """Return pixels, normalized images, labels and the weights of a linear model."""
    rng = generator(0, "linear")
    pixels = torch.rand(N, C, SIDE, SIDE, generator=rng)
    weight = torch.randn(CLASSES, C * SIDE * SIDE, generator=rng)
    images = (pixels - MEAN) / STD
    labels = (images.flatten(1) @ weight.T + torch.randn(N, CLASSES, generator=rng)).argmax(1)
    return pixels, images, labels, weight


def linear_model(weight):
    return lambda x: x.flatten(1) @ weight.T


def test_fgsm_signs_of_a_linear_model_are_the_signs_of_residuals_times_weights():
    _, images, labels, weight = linear_problem()
    probabilities = (images.flatten(1) @ weight.T).softmax(1)
    residual = probabilities - torch.nn.functional.one_hot(labels, CLASSES)
    expected = (residual @ weight).sign().reshape(images.shape)
    assert torch.equal(fgsm_signs(linear_model(weight), images, labels), expected)


def test_images_on_which_a_network_does_not_depend_are_not_changed():
    _, images, labels, weight = linear_problem()
    constant = weight.sum(1).expand(N, CLASSES)
    for model in (lambda x: constant, lambda x: constant.clone().requires_grad_()):
        assert torch.equal(fgsm_signs(model, images, labels), torch.zeros_like(images))


def test_counts_of_correct_predictions_equal_the_result_of_a_loop_over_images():
    pixels, images, labels, weight = linear_problem()
    counts, finite = count_correct_under_attack(linear_model(weight), images, labels, 16, MEAN, STD)
    assert bool(finite)
    for k, strength in enumerate(ATTACK_STRENGTHS):
        correct = 0
        for i in range(N):
            logits = weight @ images[i].flatten()
            residual = logits.softmax(0)
            residual[labels[i]] -= 1
            # d loss / d pixel has the sign of d loss / d image, since std is positive
            signs = (residual @ weight).sign().reshape(C, SIDE, SIDE)
            adversarial = (pixels[i] + strength * signs).clamp(0, 1)
            x = ((adversarial - MEAN[0]) / STD[0]).flatten()
            correct += int((weight @ x).argmax() == labels[i])
        assert counts[k] == correct
    assert counts[0] > counts[-1]  # the attack succeeds


def test_the_attack_works_inside_inference_mode():
    _, images, labels, weight = linear_problem()
    outside, _ = count_correct_under_attack(linear_model(weight), images, labels, 16, MEAN, STD)
    with torch.inference_mode():
        inside, _ = count_correct_under_attack(linear_model(weight), images, labels, 16, MEAN, STD)
    assert torch.equal(outside, inside)


def test_infinite_logits_are_detected_under_attack():
    _, images, labels, weight = linear_problem()
    weight[0, 0] = torch.inf
    _, finite = count_correct_under_attack(linear_model(weight), images, labels, 16, MEAN, STD)
    assert not bool(finite)


def test_the_robustness_error_of_a_linear_accuracy_curve_equals_its_closed_form():
    ones = np.ones(len(ATTACK_STRENGTHS))
    assert robustness_error_percent(ones, 10) == pytest.approx(0)
    assert robustness_error_percent(0.1 * ones, 10) == pytest.approx(100)
    assert robustness_error_percent(0.55 * ones, 10) == pytest.approx(50)
    # a line from accuracy 1 to the accuracy of guessing halves the rectangle
    decreasing_accuracy = 1 - 0.9 * np.array(ATTACK_STRENGTHS) / ATTACK_STRENGTHS[-1]
    assert robustness_error_percent(decreasing_accuracy, 10) == pytest.approx(50)


def test_accuracies_below_random_guessing_are_replaced_by_the_accuracy_of_guessing():
    accuracy = np.array([[1.0, 0, 0, 0, 0, 0, 0], [1.0, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1]])
    below, at = robustness_error_percent(accuracy, 10)
    # the area of a triangle of width 0.01 in the rectangle of width 0.15
    assert below == at == pytest.approx(100 * (1 - 0.01 / 2 / 0.15))
