"""Splits of a data set, the same for all runs, so that their scores compare."""

import numpy as np
import torch
from sklearn.model_selection import GroupShuffleSplit, train_test_split

SPLIT_SEED = 0  # of every split


def split(
    labels: torch.Tensor | np.ndarray, n_first: int, groups: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Split a data set into two shuffled index arrays, stratified if each image has one label.

    Args:
        labels: (n,) ints or (n, n_labels), a tensor or an array.
        n_first: length of the first part; about that where there are groups.
        groups: (n,) ints; equal ones go into the same part.
    """
    rows = np.arange(len(labels))
    if groups is not None:
        share = n_first / len(rows)
        (parts,) = GroupShuffleSplit(1, train_size=share, random_state=SPLIT_SEED).split(
            rows, groups=groups
        )
        return parts
    stratify = np.asarray(labels) if labels.ndim == 1 else None
    first, second = train_test_split(
        rows, train_size=n_first, stratify=stratify, random_state=SPLIT_SEED
    )
    return first, second
