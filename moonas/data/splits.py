"""Splits of data sets. All runs use the same splits, so their scores are comparable."""

from __future__ import annotations

import numpy as np
import torch
from sklearn.model_selection import GroupShuffleSplit, train_test_split

SPLIT_SEED = 0  # random seed of all splits


def split(
    labels: torch.Tensor | np.ndarray, n_first: int, groups: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Split a data set into two shuffled parts, stratified if each image has one label.

    Args:
        labels: (n,) classes, or (n, n_labels) zeros and ones if images can have several labels.
        n_first: number of images in the first part; approximate if there are groups.
        groups: (n,) ints; images of the same group are in the same part. A split with groups is not
            stratified.

    Returns:
        Two int arrays, the indices of the images in each part.
    """
    rows = np.arange(len(labels))
    if groups is not None:
        fraction = n_first / len(rows)
        splitter = GroupShuffleSplit(1, train_size=fraction, random_state=SPLIT_SEED)
        first, second = next(splitter.split(rows, groups=groups))
        return first, second
    stratify = np.asarray(labels) if labels.ndim == 1 else None
    first, second = train_test_split(
        rows, train_size=n_first, stratify=stratify, random_state=SPLIT_SEED
    )
    return first, second
