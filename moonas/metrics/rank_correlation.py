"""Rank correlation of paired values. This module imports NumPy and SciPy only."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import spearmanr

MIN_PAIRS = 3  # the correlation of two pairs is always 1 or -1
ROUNDING = 1e-12  # by which a correlation of 1 may be below 1
CONFIDENCE = 1.96  # of a normal distribution, for intervals of 95 %


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


def correlation_interval(r: float, n: int) -> tuple[float, float]:
    """Return an approximate interval of 95 % of a rank correlation.

    It is Fisher's transformation with the variance of Bonett and Wright (2000).

    Args:
        r: Spearman's rank correlation.
        n: number of pairs.

    Returns:
        (lowest, highest) value. Both are NaN if r is 1 or -1, where the approximation has no width
        however few the pairs are, and for fewer than four pairs.
    """
    if n < 4 or not abs(r) < 1 - ROUNDING:
        return math.nan, math.nan
    half = CONFIDENCE * math.sqrt((1 + r * r / 2) / (n - 3))
    return math.tanh(math.atanh(r) - half), math.tanh(math.atanh(r) + half)
