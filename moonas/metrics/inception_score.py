"""Inception Score of generated images (Salimans et al., 2016)."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike


def inception_score(log_probabilities: ArrayLike, splits: int = 1) -> tuple[float, float]:
    """Compute the Inception Score: exp of the mean KL divergence of p(y | image) from p(y).

    Args:
        log_probabilities: (n, n_classes) natural logarithms, rows in the order of generation.
        splits: number of parts, whose sizes differ by at most one; the literature uses 10. The
            score is computed for each part.

    Returns:
        Mean and standard deviation (with divisor n) of the scores of the parts. Each score is in
        [1, n_classes].

    Raises:
        ValueError: if there are fewer than two images per part.
    """
    logs = np.asarray(log_probabilities, np.float64)
    if logs.ndim != 2 or len(logs) < 2 * splits:
        raise ValueError(
            f"log_probabilities are invalid: expected shape (n, n_classes) with at least "
            f"{2 * splits} images for splits={splits}, got shape {logs.shape}."
        )
    scores = []
    for part in np.array_split(logs, splits):
        p = np.exp(part)
        marginal = p.mean(axis=0)
        log_marginal = np.log(np.where(marginal > 0, marginal, 1))  # p is 0 if its mean is 0
        finite = np.where(p > 0, part, 0)
        score = np.exp((p * (finite - log_marginal)).sum(axis=1).mean())
        scores.append(np.maximum(1, score))  # rounding errors; NaN stays NaN
    return float(np.mean(scores)), float(np.std(scores))
