import ast
import inspect

import numpy as np
import pytest

from moonas.metrics import rank_correlation as module
from moonas.metrics.rank_correlation import correlation_interval, rank_correlation


def test_the_rank_correlation_is_pearsons_correlation_of_the_ranks():
    rng = np.random.default_rng(0)
    x, y = rng.random((2, 20))
    ranks = x.argsort().argsort(), y.argsort().argsort()
    assert rank_correlation(x, y) == pytest.approx(np.corrcoef(*ranks)[0, 1])
    assert rank_correlation(x, np.exp(x)) == pytest.approx(1)
    assert rank_correlation(x, -(x**3)) == pytest.approx(-1)


def test_tied_values_share_their_mean_rank():
    # ranks (1, 2.5, 2.5) and (1, 2, 3): covariance 1.5, variances 1.5 and 2
    assert rank_correlation([1, 2, 2], [1, 2, 3]) == pytest.approx(1.5 / np.sqrt(1.5 * 2))


@pytest.mark.parametrize(
    ("x", "y"),
    [([], []), ([1], [2]), ([1, 2], [3, 4]), ([5, 5, 5], [1, 2, 3]), ([1, 2, 3], [0] * 3)],
)
def test_the_correlation_of_too_few_pairs_or_constant_values_is_none(x, y):
    assert rank_correlation(x, y) is None


def test_the_correlation_of_three_pairs_is_defined():
    assert rank_correlation([1, 2, 3], [1, 3, 2]) == pytest.approx(0.5)


@pytest.mark.parametrize("n", [3, 5, 6, 7, 50])
def test_a_correlation_of_1_has_no_interval(n):
    x = np.random.default_rng(n).random(n)
    for y in (np.exp(x), -x):
        assert np.isnan(correlation_interval(rank_correlation(x, y), n)).all()


def test_the_interval_of_few_pairs_is_wide_and_that_of_many_is_narrow():
    low, high = correlation_interval(0.99, 5)
    assert low < 0.75 and 0.999 < high < 1
    low, high = correlation_interval(0.99, 1000)
    assert 0.98 < low < 0.99 < high < 0.995


def test_the_module_imports_no_package_but_numpy_and_scipy():
    tree = ast.parse(inspect.getsource(module))
    modules = []
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            modules.append("." * node.level + node.module)
        elif isinstance(node, ast.Import):
            modules += [alias.name for alias in node.names]
    assert {name.split(".")[0] for name in modules} == {"__future__", "math", "numpy", "scipy"}
