"""Readers of data sets that are not folders of images: digits, and torchvision's data sets.

Images are uint8 (n, c, h, w). Labels of images without labels have the
shape (n, 0).
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from sklearn.datasets import load_digits

from .splits import split

if TYPE_CHECKING:
    from .images import DataInfo

N_TEST_DIGITS = 360  # number of test images of scikit-learn's digits
DIGIT_LEVELS = 16  # gray value of white in scikit-learn's digits; 255 in other data sets


def read_digits(train: bool) -> tuple[torch.Tensor, torch.Tensor, tuple[str, ...]]:
    """Read the training or the test images of scikit-learn's digits, 8x8 pixels.

    Returns:
        The images, their labels, and the names of the classes.
    """
    digits = load_digits()
    images = torch.tensor(digits.images).to(torch.uint8)[:, None]
    labels = torch.tensor(digits.target, dtype=torch.int64)
    rows = split(labels, len(labels) - N_TEST_DIGITS)[0 if train else 1]
    return images[rows], labels[rows], tuple(map(str, digits.target_names))


def read_torchvision(
    info: DataInfo, root: str | Path, download: bool, train: bool
) -> tuple[torch.Tensor, torch.Tensor, tuple[str, ...]]:
    """Read the training or the test images of a data set of torchvision.

    Without labels, the training images of STL-10 include the 100,000 unlabeled images.

    Args:
        info: a :class:`~moonas.data.images.DataInfo` with a ``source``.
        root: folder of torchvision's files.
        download: whether torchvision downloads a missing data set.
        train: whether to read the training images.

    Returns:
        The images, their labels, and the names of the classes.

    Raises:
        ValueError: if the data set is missing.
    """
    from torchvision import datasets

    cls = getattr(datasets, info.source)
    has_split_argument = info.source in ("STL10", "SVHN")
    split_name = "test" if not train else "train" if info.labeled else "train+unlabeled"
    part = {"split": split_name} if has_split_argument else {"train": train}
    try:
        data = cls(root, download=download, **part)
    except RuntimeError as error:
        raise ValueError(
            f"Data set {info.name} is missing in {Path(root).resolve()}. Set root (--root) to "
            "the folder that contains it, or set download=True (--set download=true). "
            f"torchvision's error: {error}"
        ) from None
    images = torch.as_tensor(np.asarray(data.data))
    if images.ndim == 3:  # grayscale images, (n, h, w)
        images = images[:, None]
    elif images.shape[-1] == 3:  # CIFAR, (n, h, w, c)
        images = images.permute(0, 3, 1, 2)
    if not info.labeled:
        return images, torch.empty(len(images), 0), ()
    labels = data.labels if has_split_argument else data.targets
    classes = getattr(data, "classes", None) or range(info.n_classes)
    label_tensor = torch.as_tensor(np.asarray(labels), dtype=torch.int64)
    return images, label_tensor, tuple(map(str, classes))
