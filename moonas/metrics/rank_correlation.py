"""Rank correlation of two lists of values: NumPy and SciPy alone."""

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import spearmanr

FEWEST = 3  # pairs; two of them always correlate perfectly


def rank_correlation(x: ArrayLike, y: ArrayLike) -> float | None:
    """Spearman's rank correlation of paired values, ties sharing their mean rank.

    Args:
        x: (n,).
        y: (n,).

    Returns:
        A number in [-1, 1]; None for fewer than three pairs, or if x or y is constant.
    """
    x, y = np.asarray(x, float), np.asarray(y, float)
    if len(x) < FEWEST or np.ptp(x) == 0 or np.ptp(y) == 0:
        return None
    return float(spearmanr(x, y).statistic)
