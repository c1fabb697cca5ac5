"""Kernel distance between feature distributions (KID; Binkowski et al., ICLR 2018)."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from .frechet import check_features


def kernel_distance(
    real: ArrayLike,
    generated: ArrayLike,
    *,
    subsets: int = 100,
    subset_size: int = 1000,
    degree: int = 3,
    seed: int = 0,
) -> tuple[float, float]:
    """Compute the kernel distance (KID) as a mean over random subsets.

    The distance of a subset is the unbiased estimator of the squared maximum mean discrepancy with
    the polynomial kernel (x . y / d + 1)^degree, where d is the number of features. Since the
    estimator is unbiased, its mean is 0 for samples of the same distribution, and a value can be
    negative. Unlike FID, its mean does not depend on the number of images.

    Args:
        real: (n, d) features of real images, n >= 2.
        generated: (m, d) features of generated images, m >= 2.
        subsets: number of pairs of subsets; the result is the mean of their distances.
        subset_size: number of images per subset, drawn without replacement; at most min(n, m)
            images are drawn.
        degree: degree of the polynomial kernel; 3 in the paper.
        seed: seed of the subsets.

    Returns:
        Mean and standard deviation (with divisor ``subsets``) of the distances. If a pair of
        subsets would contain all images of both kinds, there is only this pair.

    Raises:
        ValueError: if the features are invalid, see :func:`.frechet.check_features`, or both kinds
            have different numbers of features, or an option is less than its minimum.
    """
    X, Y = check_pair(real, generated)
    if subsets < 1 or subset_size < 2 or degree < 1:
        raise ValueError(
            f"subsets={subsets}, subset_size={subset_size} or degree={degree} is invalid: expected "
            "at least 1, 2 and 1."
        )
    size = min(subset_size, len(X), len(Y))
    if size == len(X) == len(Y):
        subsets = 1
    rng = np.random.default_rng(seed)
    distances = []
    for _ in range(subsets):
        x = X[rng.choice(len(X), size, replace=False)]
        y = Y[rng.choice(len(Y), size, replace=False)]
        distances.append(_unbiased_mmd2(x, y, degree))
    return float(np.mean(distances)), float(np.std(distances))


def _unbiased_mmd2(X: np.ndarray, Y: np.ndarray, degree: int) -> float:
    """Return the unbiased estimate of the squared maximum mean discrepancy of two equal samples."""
    n, d = X.shape

    def mean_of_pairs(Z: np.ndarray) -> float:
        kernel = (Z @ Z.T / d + 1) ** degree
        return float((kernel.sum() - np.trace(kernel)) / (n * (n - 1)))

    cross = ((X @ Y.T / d + 1) ** degree).mean()
    return mean_of_pairs(X) + mean_of_pairs(Y) - 2 * float(cross)


def check_pair(real: ArrayLike, generated: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Return the features of real and generated images as float64 arrays.

    Raises:
        ValueError: if the features are invalid, see :func:`.frechet.check_features`, or both kinds
            have different numbers of features.
    """
    X, Y = check_features(real), check_features(generated)
    if X.shape[1] != Y.shape[1]:
        raise ValueError(
            f"features are invalid: real images have {X.shape[1]} features, and generated images "
            f"have {Y.shape[1]}."
        )
    return X, Y
