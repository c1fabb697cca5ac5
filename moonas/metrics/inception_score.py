"""Inception Score of generated images (Salimans et al., 2016)."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike


def inception_score(log_probabilities: ArrayLike, splits: int = 1) -> tuple[float, float]:
    """Compute the Inception Score: exp of the mean KL divergence of p(y | image) from p(y).

    Args:
        log_probabilities: (n, n_classes) natural logarithms of class probabilities, one row per
            image, in the order of generation.
        splits: number of parts of the images, for each of which a score is computed; 10 in the
            literature. The sizes of the parts differ by at most one.

    Returns:
        Mean and standard deviation (with divisor ``splits``) of the scores of the parts. Each score
        is in [1, n_classes]. Both are NaN if n_classes is 0, which is the number of classes of a
        feature network without logits.

    Raises:
        ValueError: if there are fewer than two images per part.
    """
    logs = np.asarray(log_probabilities, np.float64)
    if logs.ndim != 2 or len(logs) < 2 * splits:
        raise ValueError(
            f"log_probabilities are invalid: expected shape (n, n_classes) with at least "
            f"{2 * splits} images for splits={splits}, got shape {logs.shape}."
        )
    if logs.shape[1] == 0:
        return math.nan, math.nan
    scores = []
    for part in np.array_split(logs, splits):
        p = np.exp(part)
        marginal = p.mean(axis=0)
        log_marginal = np.log(np.where(marginal > 0, marginal, 1))  # p is 0 where its mean is 0
        finite = np.where(p > 0, part, 0)
        score = np.exp((p * (finite - log_marginal)).sum(axis=1).mean())
        scores.append(np.maximum(1, score))  # undo rounding below 1; NaN remains NaN
    return float(np.mean(scores)), float(np.std(scores))
