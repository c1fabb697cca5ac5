"""Precision, recall, density and coverage of generated images, by nearest neighbors.

Each image is a point in the space of features. The ball of a point is centered at the point, and
the distance to its k-th nearest neighbor of the same kind is its radius. The balls of the real
images cover the region of real images, and likewise for generated images.

- Precision is the share of generated images in a ball of a real image, and recall is the share of
  real images in a ball of a generated image (Kynkaanniemi et al., NeurIPS 2019, eqs. 1 and 2).
- Density is the mean number of balls of real images that contain a generated image, divided by k.
  Coverage is the share of real images whose ball contains a generated image (Naeem et al., ICML
  2020, eqs. 2 and 3).

A ball contains its surface. All values depend on the numbers of images, so compare values only for
equal numbers.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import ArrayLike

from .kernel import check_pair

BLOCK_ELEMENTS = 2**24  # distances that are computed at once, 128 MiB


def precision_recall(real: ArrayLike, generated: ArrayLike, k: int = 3) -> tuple[float, float]:
    """Compute the improved precision and recall of generated images.

    Args:
        real: (n, d) features of real images, n > k.
        generated: (m, d) features of generated images, m > k; the paper has m = n.
        k: index of the neighbor that defines the radius of a ball; 3 in the paper.

    Returns:
        Precision and recall, each in [0, 1]; higher is better.

    Raises:
        ValueError: if there are too few images, or the features are invalid, see
            :func:`.kernel.check_pair`.
    """
    X, Y = _centered(real, generated, k, both=True)
    real_radii, generated_radii = _squared_radii(X, k), _squared_radii(Y, k)
    precise = np.zeros(len(Y), dtype=bool)
    recalled = np.zeros(len(X), dtype=bool)
    for rows, distances in _squared_distances(X, Y):
        precise |= (distances <= real_radii[rows, None]).any(axis=0)
        recalled[rows] = (distances <= generated_radii).any(axis=1)
    return float(precise.mean()), float(recalled.mean())


def density_coverage(real: ArrayLike, generated: ArrayLike, k: int = 5) -> tuple[float, float]:
    """Compute the density and coverage of generated images.

    Args:
        real: (n, d) features of real images, n > k.
        generated: (m, d) features of generated images, m >= 2.
        k: index of the neighbor that defines the radius of a ball; 5 in the paper.

    Returns:
        Density, at least 0 and near 1 for images of the same distribution, and coverage, in [0, 1];
        higher is better.

    Raises:
        ValueError: if there are too few images, or the features are invalid, see
            :func:`.kernel.check_pair`.
    """
    X, Y = _centered(real, generated, k, both=False)
    radii = _squared_radii(X, k)
    n_inside = 0
    covered = np.zeros(len(X), dtype=bool)
    for rows, distances in _squared_distances(X, Y):
        inside = distances <= radii[rows, None]
        n_inside += int(inside.sum())
        covered[rows] = inside.any(axis=1)
    return n_inside / (k * len(Y)), float(covered.mean())


def _centered(
    real: ArrayLike, generated: ArrayLike, k: int, *, both: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Return checked features minus the mean of the real images, which reduces rounding errors."""
    X, Y = check_pair(real, generated)
    if k < 1:
        raise ValueError(f"k={k} is invalid: expected at least 1.")
    fewest = min(len(X), len(Y)) if both else len(X)
    if fewest <= k:
        raise ValueError(
            f"There are {len(X)} real and {len(Y)} generated images; k={k} requires at least "
            f"{k + 1}{' of each kind' if both else ' real images'}."
        )
    mean = X.mean(axis=0)
    return X - mean, Y - mean


def _squared_distances(X: np.ndarray, Y: np.ndarray) -> Iterator[tuple[slice, np.ndarray]]:
    """Yield slices of rows of X, and their (rows, m) squared distances to the m rows of Y."""
    squares = (Y**2).sum(axis=1)
    size = max(1, BLOCK_ELEMENTS // len(Y))
    for start in range(0, len(X), size):
        part = X[start : start + size]
        distances = (part**2).sum(axis=1)[:, None] + squares - 2 * part @ Y.T
        yield slice(start, start + len(part)), distances.clip(0)


def _squared_radii(X: np.ndarray, k: int) -> np.ndarray:
    """Return the squared distance of each point to its k-th nearest other point, (n,)."""
    radii = np.empty(len(X))
    for rows, distances in _squared_distances(X, X):
        own = np.arange(rows.start, rows.stop)
        distances[own - rows.start, own] = np.inf
        radii[rows] = np.partition(distances, k - 1, axis=1)[:, k - 1]
    return radii
