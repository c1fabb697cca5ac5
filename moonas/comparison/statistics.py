"""Statistics for comparing algorithms over seeds and problems, with NumPy and SciPy only.

Values are hypervolumes, or other numbers for which higher is better. Seeds are paired: the i-th
value of every algorithm belongs to the same seed. The tests follow Demšar (JMLR 2006), and the
effect size A12 follows Vargha and Delaney (2000).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats


@dataclass(frozen=True)
class Pair:
    """Comparison of two algorithms.

    Args:
        first: name of the first algorithm.
        second: name of the second algorithm.
        a12: probability that a run of the first algorithm is better than a run of the second;
            ties count half.
        p: p-value of the two-sided Wilcoxon signed-rank test; 1 if both values of every pair are
            equal.
        p_holm: p-value after Holm's correction for all pairs of algorithms.
    """

    first: str
    second: str
    a12: float
    p: float
    p_holm: float


def wilcoxon(x: ArrayLike, y: ArrayLike) -> float:
    """Return the p-value of the two-sided Wilcoxon signed-rank test.

    The p-value is exact for up to 50 pairs without ties, and SciPy's approximation otherwise.
    Pairs of equal values are discarded, as in Wilcoxon's original test.

    Args:
        x: (n,) values.
        y: (n,) values paired with x.

    Returns:
        The p-value; 1 if both values of every pair are equal.
    """
    difference = np.asarray(x, float) - np.asarray(y, float)
    if not difference.any():
        return 1.0
    return float(stats.wilcoxon(difference, zero_method="wilcox").pvalue)


def holm(p: ArrayLike) -> np.ndarray:
    """Correct p-values by Holm's step-down method.

    Args:
        p: (m,) p-values.

    Returns:
        (m,) corrected p-values, each at most 1.
    """
    p = np.asarray(p, float)
    order = np.argsort(p, kind="stable")
    steps = (len(p) - np.arange(len(p))) * p[order]
    corrected = np.empty_like(p)
    corrected[order] = np.minimum(np.maximum.accumulate(steps), 1)
    return corrected


def a12(x: ArrayLike, y: ArrayLike) -> float:
    """Return Vargha and Delaney's A12, the probability that a value of x exceeds a value of y.

    Args:
        x: (n,) values.
        y: (m,) values.

    Returns:
        The probability; ties count half.
    """
    x, y = np.asarray(x, float)[:, None], np.asarray(y, float)
    return float(((x > y) + 0.5 * (x == y)).mean())


def pairwise(values: Mapping[str, ArrayLike]) -> list[Pair]:
    """Compare every pair of algorithms.

    Args:
        values: algorithm -> (n_seeds,) values, paired by seed.

    Returns:
        One :class:`Pair` per pair, in the order of the algorithms.
    """
    names = list(values)
    pairs = [(a, b) for i, a in enumerate(names) for b in names[i + 1 :]]
    p = [wilcoxon(values[a], values[b]) for a, b in pairs]
    corrected = holm(p).tolist()
    return [
        Pair(a, b, a12(values[a], values[b]), *ps)
        for (a, b), *ps in zip(pairs, p, corrected, strict=True)
    ]


def smallest_p(n_seeds: int, n_pairs: int) -> float:
    """Return the smallest p-value that a pair can have after Holm's correction.

    If all differences have the same sign, the exact p-value of the signed-rank test is 2 / 2^n.

    Args:
        n_seeds: n, the number of paired runs.
        n_pairs: number of pairs of algorithms.
    """
    return min(1.0, n_pairs * 2.0 ** (1 - n_seeds))


def ranks(values: ArrayLike) -> np.ndarray:
    """Rank algorithms per row; rank 1 is the highest value, and tied values share a mean rank.

    Args:
        values: (n_rows, n_algorithms) values.

    Returns:
        (n_rows, n_algorithms) ranks.
    """
    ranked: np.ndarray = stats.rankdata(-np.asarray(values, float), axis=1)
    return ranked


def friedman(values: ArrayLike) -> float:
    """Return the p-value of Friedman's test that all algorithms perform equally.

    Args:
        values: (n_rows, n_algorithms) values; rows are problems or paired seeds.

    Returns:
        The p-value; 1 if all algorithms are equal in every row.

    Raises:
        ValueError: there are fewer than three algorithms or fewer than two rows.
    """
    values = np.asarray(values, float)
    if values.ndim != 2 or values.shape[1] < 3 or len(values) < 2:
        raise ValueError(
            f"values of shape {values.shape} are invalid: Friedman's test requires at least two "
            "rows and three algorithms."
        )
    if (values == values[:, :1]).all():
        return 1.0
    return float(stats.friedmanchisquare(*values.T).pvalue)


def critical_difference(n_algorithms: int, n_rows: int, alpha: float = 0.05) -> float:
    """Return the smallest significant difference between mean ranks (Nemenyi's test).

    Args:
        n_algorithms: number of algorithms, at least two.
        n_rows: number of rows over which the ranks are averaged.
        alpha: significance level.
    """
    q = stats.studentized_range.ppf(1 - alpha, n_algorithms, np.inf) / np.sqrt(2)
    return float(q * np.sqrt(n_algorithms * (n_algorithms + 1) / (6 * n_rows)))
