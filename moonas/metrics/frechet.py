"""Frechet distance between feature distributions (FID; Heusel et al., 2017), fast in a search.

The squared distance between two normal distributions with means m1, m2 and covariances S1, S2 is
|m1 - m2|^2 + tr S1 + tr S2 - 2 tr (S1 S2)^(1/2). The square root R of the covariance S1 of
the real images is computed once. Then tr (S1 S2)^(1/2) is the sum of the square roots of the
eigenvalues of the symmetric matrix R S2 R. If a candidate generates n images and n is less than the
number of features d, the smaller n x n matrix X S1 X' / (n - 1) has the same nonzero eigenvalues,
where X are the centered features of these images.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike


@dataclass(frozen=True)
class Moments:
    """Sample mean and covariance of feature vectors.

    Args:
        mean: (d,) mean.
        covariance: (d, d) covariance, with divisor n - 1.
        n: number of feature vectors; 0 if it is unknown.
    """

    mean: np.ndarray
    covariance: np.ndarray
    n: int


def check_features(features: ArrayLike) -> np.ndarray:
    """Return features as a float64 array (n, d).

    Args:
        features: array or tensor of any numeric type, on any device.

    Raises:
        ValueError: if the array is not two-dimensional, there are fewer than two feature vectors,
            or a feature is NaN or infinite.
    """
    if hasattr(features, "detach"):  # a tensor, which may require gradients or be bfloat16
        features = features.detach().cpu().double().numpy()
    features = np.asarray(features, np.float64)
    if features.ndim != 2:
        raise ValueError(f"features are invalid: expected shape (n, d), got {features.shape}.")
    if len(features) < 2:
        raise ValueError(
            f"features are invalid: a covariance requires at least 2 images, got {len(features)}."
        )
    if not np.isfinite(features).all():
        raise ValueError("features are invalid: expected finite numbers, got NaN or infinity.")
    return features


def moments(features: ArrayLike) -> Moments:
    """Compute the :class:`Moments` of features, (n, d)."""
    features = check_features(features)
    centered = features - features.mean(axis=0)
    covariance = centered.T @ centered / (len(features) - 1)
    return Moments(features.mean(axis=0), covariance, len(features))


def read_statistics(path: str | Path, n_features: int) -> Moments:
    """Read the mean and the covariance of real images from a file.

    Args:
        path: NumPy archive (.npz) with ``mu``, (d,), and ``sigma``, (d, d), as written by
            pytorch-fid and by the original implementation of FID (TTUR).
        n_features: number of features d of the feature network.

    Returns:
        The moments; ``n`` is 0, because the file does not contain the number of images.

    Raises:
        ValueError: if the file is missing, is not such an archive, or its arrays have the wrong
            shape, are not finite, or ``sigma`` is not symmetric.
    """
    try:
        with np.load(path, allow_pickle=False) as arrays:
            mean = np.asarray(arrays["mu"], np.float64)
            covariance = np.asarray(arrays["sigma"], np.float64)
    except FileNotFoundError:
        raise ValueError(
            f"real_statistics={str(path)!r} is invalid: the file is missing."
        ) from None
    except Exception as error:  # NumPy and zipfile raise many exceptions for other kinds of files
        raise ValueError(
            f"{path} does not contain statistics of images: expected an .npz file with mu and "
            f"sigma ({type(error).__name__}: {error})."
        ) from None
    if mean.shape != (n_features,) or covariance.shape != (n_features, n_features):
        raise ValueError(
            f"{path} does not belong to this feature network: expected mu of shape ({n_features},) "
            f"and sigma of shape ({n_features}, {n_features}), got {mean.shape} and "
            f"{covariance.shape}."
        )
    if not (np.isfinite(mean).all() and np.isfinite(covariance).all()):
        raise ValueError(f"{path} is invalid: expected finite numbers, got NaN or infinity.")
    if not np.allclose(covariance, covariance.T, rtol=1e-5, atol=1e-8):
        raise ValueError(f"{path} is invalid: sigma is not symmetric, so it is no covariance.")
    return Moments(mean, covariance, 0)


class FrechetDistance:
    """Computes the Frechet distances between sets of generated images and one set of real images.

    Args:
        real: :class:`Moments` of the features of the real images.
    """

    def __init__(self, real: Moments) -> None:
        self.real = real
        values, vectors = np.linalg.eigh(real.covariance)
        # rounding errors can make eigenvalues of a rank-deficient covariance slightly negative
        self._root = (vectors * np.sqrt(values.clip(0))) @ vectors.T
        self._trace = np.trace(real.covariance)

    def __call__(self, features: ArrayLike) -> float:
        """Compute the squared Frechet distance (FID) between generated and real images.

        Args:
            features: (n, d) features of the generated images, n >= 2.

        Returns:
            A number >= 0; lower is better.

        Raises:
            ValueError: if the features are invalid, see :func:`check_features`, or do not have the
                length d of the features of the real images.
        """
        features = check_features(features)
        if features.shape[1] != len(self.real.mean):
            raise ValueError(
                f"features are invalid: expected {len(self.real.mean)} per image, as for the real "
                f"images, got {features.shape[1]}."
            )
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
