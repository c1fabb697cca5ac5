"""Rank correlation of paired values. This module imports NumPy and SciPy only."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import spearmanr

MIN_PAIRS = 3  # the correlation of two pairs is always 1 or -1


def rank_correlation(x: ArrayLike, y: ArrayLike) -> float | None:
    """Compute Spearman's rank correlation; tied values share their mean rank.

    Args:
        x: (n,) values.
        y: (n,) values.

    Returns:
        A number in [-1, 1]; None if there are fewer than three pairs, or if x or y is constant.
    """
    x, y = np.asarray(x, float), np.asarray(y, float)
    if len(x) < MIN_PAIRS or np.ptp(x) == 0 or np.ptp(y) == 0:
        return None
    return float(spearmanr(x, y).statistic)
