"""Statistical tests, compared with enumerations, published tables and SciPy."""

import itertools

import numpy as np
import pytest
from scipy import stats

from moonas.comparison.statistics import (
    a12,
    critical_difference,
    friedman,
    holm,
    pairwise,
    ranks,
    smallest_p,
    wilcoxon,
)


def test_the_signed_rank_p_value_equals_an_enumeration_of_all_sign_patterns():
    x = np.array([0.3, 0.9, 0.4, 0.8, 0.7, 0.65])
    y = np.array([0.1, 0.5, 0.47, 0.2, 0.38, 0.62])
    d = x - y
    rank = stats.rankdata(np.abs(np.round(d, 9)))
    statistic = min(rank[d > 0].sum(), rank[d < 0].sum())
    sums = [rank[list(signs)].sum() for signs in itertools.product([True, False], repeat=6)]
    expected = np.mean([min(s, rank.sum() - s) <= statistic for s in sums])
    assert wilcoxon(x, y) == pytest.approx(expected)
    assert wilcoxon(y, x) == pytest.approx(expected)


def test_the_p_value_of_equal_values_is_1():
    assert wilcoxon([1, 2, 3], [1, 2, 3]) == 1.0
    assert friedman(np.ones((4, 3))) == 1.0
    (pair,) = pairwise({"a": [1, 2], "b": [1, 2]})
    assert (pair.a12, pair.p, pair.p_holm) == (0.5, 1.0, 1.0)


def test_holms_correction_equals_values_computed_by_hand():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.5, 0.9]) == pytest.approx([1.0, 1.0])
    assert holm([0.02]) == pytest.approx([0.02])
    assert len(holm([])) == 0


def test_a12_equals_values_computed_by_hand():
    assert a12([1, 2], [1, 3]) == pytest.approx((0.5 + 0 + 1 + 0) / 4)
    assert a12([2, 3], [0, 1]) == 1.0
    x, y = np.random.default_rng(0).normal(size=(2, 9))
    assert a12(x, y) == pytest.approx(stats.mannwhitneyu(x, y).statistic / 81)
    assert a12(x, y) + a12(y, x) == pytest.approx(1)


def test_tied_values_share_a_mean_rank():
    assert ranks([[0.9, 0.5, 0.9, 0.1]]).tolist() == [[1.5, 3, 1.5, 4]]


def test_friedmans_p_value_equals_scipy_and_two_algorithms_are_rejected():
    values = np.random.default_rng(1).normal(size=(8, 4))
    assert friedman(values) == stats.friedmanchisquare(*values.T).pvalue
    with pytest.raises(ValueError, match="at least two rows and three algorithms"):
        friedman(values[:, :2])


def test_critical_differences_match_the_published_table():
    """Demšar's table 5 (a), level 0.05: q is 1.960, 2.343, 2.569 and 3.164 for k = 2, 3, 4, 10."""
    for k, q in ((2, 1.960), (3, 2.343), (4, 2.569), (10, 3.164)):
        expected = q * np.sqrt(k * (k + 1) / (6 * 14))
        assert critical_difference(k, 14) == pytest.approx(expected, rel=5e-4)


def test_the_smallest_p_value_occurs_if_all_differences_have_the_same_sign():
    x = np.arange(6.0)
    assert smallest_p(6, 1) == pytest.approx(wilcoxon(x + 1 + 0.01 * x, x))
    assert smallest_p(6, 3) == pytest.approx(3 * 2 / 64)
    assert smallest_p(2, 45) == 1.0


def test_holms_correction_includes_all_pairs_of_algorithms():
    rng = np.random.default_rng(2)
    values = {name: rng.normal(shift, 1, size=20) for name, shift in (("a", 0), ("b", 2), ("c", 0))}
    pairs = pairwise(values)
    assert [(p.first, p.second) for p in pairs] == [("a", "b"), ("a", "c"), ("b", "c")]
    assert [p.p_holm for p in pairs] == pytest.approx(holm([p.p for p in pairs]))
    assert pairs[0].p_holm < 0.05 < pairs[1].p_holm
    assert pairs[0].a12 < 0.2


def test_the_signed_rank_test_has_a_false_positive_rate_of_5_percent():
    rng, n = np.random.default_rng(3), 600
    n_significant = sum(wilcoxon(*rng.normal(size=(2, 31))) < 0.05 for _ in range(n))
    assert abs(n_significant / n - 0.05) < 4 * np.sqrt(0.05 * 0.95 / n)  # 4 standard errors
