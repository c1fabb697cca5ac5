"""Statistics for comparing algorithms over seeds and problems: NumPy and SciPy alone.

Values are hypervolumes or whatever else is higher for the better. Seeds are paired: the i-th value
of every algorithm belongs to the same seed. After Demšar (JMLR 2006), and Vargha and Delaney (2000)
for effect sizes.
"""

from dataclasses import dataclass

import numpy as np
from scipy import stats


@dataclass(frozen=True)
class Pair:
    """One algorithm against another.

    Args:
        first: name.
        second: name.
        a12: chance that a run of the first is better than one of the second, ties counting half.
        p: of the two-sided Wilcoxon signed-rank test; 1 where no seed differs.
        p_holm: the same after Holm's correction for all pairs.
    """

    first: str
    second: str
    a12: float
    p: float
    p_holm: float


def wilcoxon(x, y):
    """Two-sided p of the signed-rank test of paired values (n,); 1 where no pair differs.

    Exact up to 50 pairs without ties; else SciPy's approximation. Pairs that are equal are left
    out, as Wilcoxon did.
    """
    difference = np.asarray(x, float) - np.asarray(y, float)
    if not difference.any():
        return 1.0
    return float(stats.wilcoxon(difference, zero_method="wilcox").pvalue)


def holm(p):
    """p values, (m,), corrected by Holm's step-down method; each at most 1."""
    p = np.asarray(p, float)
    order = np.argsort(p, kind="stable")
    steps = (len(p) - np.arange(len(p))) * p[order]
    corrected = np.empty_like(p)
    corrected[order] = np.minimum(np.maximum.accumulate(steps), 1)
    return corrected


def a12(x, y):
    """Vargha and Delaney's A12: the chance that a value of x exceeds one of y, ties counting half.

    Args:
        x: (n,).
        y: (m,).
    """
    x, y = np.asarray(x, float)[:, None], np.asarray(y, float)
    return float(((x > y) + 0.5 * (x == y)).mean())


def pairwise(values):
    """Every pair of algorithms, in their order.

    Args:
        values: name -> (n_seeds,), paired.

    Returns:
        A list of :class:`Pair`.
    """
    names = list(values)
    pairs = [(a, b) for i, a in enumerate(names) for b in names[i + 1 :]]
    p = [wilcoxon(values[a], values[b]) for a, b in pairs]
    corrected = holm(p).tolist()
    return [
        Pair(a, b, a12(values[a], values[b]), *ps)
        for (a, b), *ps in zip(pairs, p, corrected, strict=True)
    ]


def least_p(n_seeds, n_pairs):
    """The smallest p that any pair can have after Holm's correction, with so many seeds.

    All differences of one sign have the exact p 2 / 2^n.
    """
    return min(1.0, n_pairs * 2.0 ** (1 - n_seeds))


def ranks(values):
    """Ranks of algorithms by row, 1 for the highest value; equal ones share their mean rank.

    Args:
        values: (n_rows, n_algorithms).

    Returns:
        (n_rows, n_algorithms).
    """
    return stats.rankdata(-np.asarray(values, float), axis=1)


def friedman(values):
    """p of Friedman's test that all algorithms are alike; 1 where no row tells them apart.

    Args:
        values: (n_rows, n_algorithms), rows being problems or paired seeds.

    Raises:
        ValueError: there are fewer than three algorithms, or less than two rows.
    """
    values = np.asarray(values, float)
    if values.ndim != 2 or values.shape[1] < 3 or len(values) < 2:
        raise ValueError(
            f"Friedman's test wants three algorithms and two rows at least; got {values.shape}."
        )
    if (values == values[:, :1]).all():
        return 1.0
    return float(stats.friedmanchisquare(*values.T).pvalue)


def critical_difference(n_algorithms, n_rows, alpha=0.05):
    """Mean ranks that differ by less do not differ significantly (Nemenyi's test).

    Args:
        n_algorithms: k, two at least.
        n_rows: N that ranks are means of.
        alpha: level.
    """
    q = stats.studentized_range.ppf(1 - alpha, n_algorithms, np.inf) / np.sqrt(2)
    return float(q * np.sqrt(n_algorithms * (n_algorithms + 1) / (6 * n_rows)))
