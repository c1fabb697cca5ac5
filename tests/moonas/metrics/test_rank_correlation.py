import subprocess
import sys

import numpy as np
import pytest

from moonas.metrics.rank_correlation import rank_correlation


def test_it_is_pearsons_correlation_of_the_ranks():
    rng = np.random.default_rng(0)
    x, y = rng.random((2, 20))
    ranks = x.argsort().argsort(), y.argsort().argsort()
    assert rank_correlation(x, y) == pytest.approx(np.corrcoef(*ranks)[0, 1])
    assert rank_correlation(x, np.exp(x)) == pytest.approx(1)
    assert rank_correlation(x, -(x**3)) == pytest.approx(-1)


def test_ties_share_their_mean_rank():
    # ranks (1, 2.5, 2.5) and (1, 2, 3): covariance 1.5, variances 1.5 and 2
    assert rank_correlation([1, 2, 2], [1, 2, 3]) == pytest.approx(1.5 / np.sqrt(1.5 * 2))


@pytest.mark.parametrize(
    ("x", "y"),
    [([], []), ([1], [2]), ([1, 2], [3, 4]), ([5, 5, 5], [1, 2, 3]), ([1, 2, 3], [0] * 3)],
)
def test_too_few_pairs_and_constant_values_have_none(x, y):
    assert rank_correlation(x, y) is None


def test_it_needs_neither_torch_nor_pymoo():
    code = (
        "import sys, moonas.metrics.rank_correlation\nprint({'torch', 'pymoo'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
