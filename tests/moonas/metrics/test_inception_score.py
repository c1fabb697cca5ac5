import math

import numpy as np
import pytest

from moonas.metrics.inception_score import inception_score


def logs(probabilities):
    """Their logarithms, -inf for 0."""
    with np.errstate(divide="ignore"):
        return np.log(np.asarray(probabilities, float))


def draw(n, k, seed=0):
    """(n, k) log probabilities."""
    return logs(np.random.default_rng(seed).dirichlet(np.full(k, 0.3), n))


def entropy(p):
    return -(p * np.log(p)).sum(axis=-1)


def test_images_that_look_alike_score_1():
    assert inception_score(logs(np.full((6, 4), 1 / 4))) == pytest.approx((1, 0))
    assert inception_score(logs([[0, 1, 0]] * 5)) == pytest.approx((1, 0))
    assert inception_score(logs([[0.2, 0.5, 0.3]] * 5)) == pytest.approx((1, 0))


@pytest.mark.parametrize("k", [1, 2, 10])
def test_sure_and_even_predictions_score_the_number_of_classes(k):
    assert inception_score(logs(np.tile(np.eye(k), (3, 1)))) == pytest.approx((k, 0))


def test_two_images_of_two_classes_by_hand():
    # p(y) is (3/4, 1/4); the divergences are log 4/3 and, of (1/2, 1/2), half of it
    assert inception_score(logs([[1, 0], [1 / 2, 1 / 2]]))[0] == pytest.approx((4 / 3) ** 0.75)


def test_its_logarithm_is_the_entropy_of_the_mean_less_the_mean_entropy():
    drawn = draw(50, 7)
    p = np.exp(drawn)
    expected = entropy(p.mean(axis=0)) - entropy(p).mean()
    assert math.log(inception_score(drawn)[0]) == pytest.approx(expected)


def test_it_lies_between_1_and_the_number_of_classes():
    scores = [inception_score(draw(12, 5, seed))[0] for seed in range(50)]
    assert min(scores) > 1 and max(scores) < 5 and len(set(scores)) == 50


def test_splits_are_scored_apart_in_the_order_of_the_images():
    drawn = logs([[1, 0], [0, 1], [1, 0], [1, 0]])
    assert inception_score(drawn, splits=2) == pytest.approx((1.5, 0.5))  # of 2 and 1
    drawn = draw(11, 4)
    parts = [inception_score(part)[0] for part in (drawn[:4], drawn[4:8], drawn[8:])]
    assert inception_score(drawn, splits=3) == pytest.approx((np.mean(parts), np.std(parts)))


def test_a_class_that_no_image_may_be_of_changes_nothing():
    drawn = draw(9, 3)
    padded = np.hstack([drawn, np.full((9, 1), -np.inf)])
    assert inception_score(padded) == pytest.approx(inception_score(drawn))


def test_probabilities_too_small_for_a_float_count_as_0():
    assert inception_score(np.array([[0.0, -800.0], [-800.0, 0.0]]))[0] == pytest.approx(2)


def test_too_few_images_are_refused_with_the_number_that_will_do():
    with pytest.raises(ValueError, match=r"in 10 splits wants 20 images .* shape \(19, 3\)"):
        inception_score(draw(19, 3), splits=10)
    with pytest.raises(ValueError, match=r"wants 2 images at least; got shape \(5,\)"):
        inception_score(np.zeros(5))
    inception_score(draw(20, 3), splits=10)
