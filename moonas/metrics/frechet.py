"""Frechet distance of feature distributions (FID; Heusel et al., 2017), fast for many candidates.

The distance of two normal distributions is |m1 - m2|^2 + tr S1 + tr S2 - 2 tr (S1 S2)^(1/2). With
the root R of the real covariance S1, taken once, the last trace is the sum of the roots of the
eigenvalues of the symmetric R S2 R. With n centred features X of a candidate and n smaller than
their length d, these are, but for zeros, those of X S1 X' / (n - 1), which is only n x n.
"""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Moments:
    """Mean (d,) and covariance (d, d), divided by n - 1, of ``n`` feature vectors."""

    mean: np.ndarray
    covariance: np.ndarray
    n: int


def check_features(features):
    """Features as float64 (n, d).

    Raises:
        ValueError: the shape is another, there are fewer than two, or one is not finite.
    """
    features = np.asarray(features, np.float64)
    if features.ndim != 2:
        raise ValueError(f"Expected features (n, d); got shape {features.shape}.")
    if len(features) < 2:
        raise ValueError(f"A covariance wants 2 images at least; got {len(features)}.")
    if not np.isfinite(features).all():
        raise ValueError("Some features are not finite.")
    return features


def moments(features):
    """The :class:`Moments` of features, (n, d)."""
    features = check_features(features)
    centred = features - features.mean(axis=0)
    covariance = centred.T @ centred / (len(features) - 1)
    return Moments(features.mean(axis=0), covariance, len(features))


class FrechetDistance:
    """Distances to one set of real images.

    Args:
        real: :class:`Moments` of their features.
    """

    def __init__(self, real):
        self.real = real
        values, vectors = np.linalg.eigh(real.covariance)
        # rounding makes eigenvalues of a rank-deficient covariance slightly negative
        self._root = (vectors * np.sqrt(values.clip(0))) @ vectors.T
        self._trace = np.trace(real.covariance)

    def __call__(self, features):
        """The distance of the features of generated images, (n, d); 0 for the best, never less."""
        features = check_features(features)
        mean = features.mean(axis=0)
        X = features - mean
        n, d = X.shape
        if n < d:
            half = X @ self._root
            product = half @ half.T / (n - 1)
        else:
            product = self._root @ (X.T @ X / (n - 1)) @ self._root
        roots = np.sqrt(np.linalg.eigvalsh(product).clip(0)).sum()
        trace = (X**2).sum() / (n - 1)
        offset = self.real.mean - mean
        return max(0.0, float(offset @ offset + self._trace + trace - 2 * roots))
