import math

import numpy as np
import pytest

from moonas.metrics.inception_score import inception_score


def natural_log(probabilities):
    """Return natural logarithms, -inf for probability 0."""
    with np.errstate(divide="ignore"):
        return np.log(np.asarray(probabilities, float))


def random_log_probabilities(n, k, seed=0):
    """Return (n, k) random log probabilities."""
    return natural_log(np.random.default_rng(seed).dirichlet(np.full(k, 0.3), n))


def entropy(p):
    return -(p * np.log(p)).sum(axis=-1)


def test_the_score_is_1_if_all_images_have_equal_predictions():
    assert inception_score(natural_log(np.full((6, 4), 1 / 4))) == pytest.approx((1, 0))
    assert inception_score(natural_log([[0, 1, 0]] * 5)) == pytest.approx((1, 0))
    assert inception_score(natural_log([[0.2, 0.5, 0.3]] * 5)) == pytest.approx((1, 0))


@pytest.mark.parametrize("k", [1, 2, 10])
def test_the_score_is_the_number_of_classes_if_predictions_are_certain_and_balanced(k):
    assert inception_score(natural_log(np.tile(np.eye(k), (3, 1)))) == pytest.approx((k, 0))


def test_the_score_of_two_images_equals_the_score_computed_by_hand():
    # p(y) is (3/4, 1/4); the KL divergences are log(4/3) and, for (1/2, 1/2), log(4/3) / 2
    assert inception_score(natural_log([[1, 0], [1 / 2, 1 / 2]]))[0] == pytest.approx(
        (4 / 3) ** 0.75
    )


def test_the_log_score_is_the_entropy_of_the_mean_minus_the_mean_entropy():
    log_probabilities = random_log_probabilities(50, 7)
    p = np.exp(log_probabilities)
    expected = entropy(p.mean(axis=0)) - entropy(p).mean()
    assert math.log(inception_score(log_probabilities)[0]) == pytest.approx(expected)


def test_the_score_is_between_1_and_the_number_of_classes():
    scores = [inception_score(random_log_probabilities(12, 5, seed))[0] for seed in range(50)]
    assert min(scores) > 1 and max(scores) < 5 and len(set(scores)) == 50


def test_each_split_is_scored_separately_without_shuffling_images():
    log_probabilities = natural_log([[1, 0], [0, 1], [1, 0], [1, 0]])
    score = inception_score(log_probabilities, splits=2)
    assert score == pytest.approx((1.5, 0.5))  # the scores are 2 and 1
    log_probabilities = random_log_probabilities(11, 4)
    parts = log_probabilities[:4], log_probabilities[4:8], log_probabilities[8:]
    scores = [inception_score(part)[0] for part in parts]
    expected = np.mean(scores), np.std(scores)
    assert inception_score(log_probabilities, splits=3) == pytest.approx(expected)


def test_a_class_with_probability_0_does_not_change_the_score():
    log_probabilities = random_log_probabilities(9, 3)
    padded = np.hstack([log_probabilities, np.full((9, 1), -np.inf)])
    assert inception_score(padded) == pytest.approx(inception_score(log_probabilities))


def test_the_score_treats_probabilities_that_underflow_as_0():
    assert inception_score(np.array([[0.0, -800.0], [-800.0, 0.0]]))[0] == pytest.approx(2)


def test_the_error_about_too_few_images_contains_the_required_number():
    with pytest.raises(ValueError, match=r"at least 20 images for splits=10, got shape \(19, 3\)"):
        inception_score(random_log_probabilities(19, 3), splits=10)
    with pytest.raises(ValueError, match=r"at least 2 images for splits=1, got shape \(5,\)"):
        inception_score(np.zeros(5))
    inception_score(random_log_probabilities(20, 3), splits=10)
