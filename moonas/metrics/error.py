"""Classification error, in total and by class."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import torch

if TYPE_CHECKING:
    from ..data.batches import Images

Numbers = TypeVar("Numbers", float, np.ndarray)
TOP = 5  # an image is correct by top-5 error if its class is among those of the highest logits


@torch.no_grad()
def count_wrong(
    predict: Callable[[torch.Tensor], torch.Tensor],
    images: torch.Tensor | Images,
    labels: torch.Tensor,
    batch: int,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Count the images that a network misclassifies, and check that its logits are finite.

    Images are not shuffled, so a network that uses batch statistics is evaluated on the same
    batches every time. The sizes of batches differ by at most one.

    Args:
        predict: images (b, c, h, w) -> logits (b, n_classes).
        images: n images (c, h, w).
        labels: (n,) ints.
        batch: maximum number of images per batch.

    Returns:
        Two 0-dimensional tensors on the device of the images: the number of wrong predictions, and
        whether all logits are finite.
    """
    n_batches = -(-len(images) // batch)
    wrong = torch.zeros((), dtype=torch.int64, device=images.device)
    finite = torch.ones((), dtype=torch.bool, device=images.device)
    for x, y in zip(images.tensor_split(n_batches), labels.tensor_split(n_batches), strict=True):
        logits = predict(x)
        wrong += (logits.argmax(1) != y).sum()
        finite &= logits.isfinite().all()
    return wrong, finite


def error_percent(wrong: Numbers, n: int) -> Numbers:
    """Return the classification error in percent, in [0, 100].

    Args:
        wrong: number of wrong predictions, or an array of such numbers.
        n: number of images.
    """
    return 100.0 * wrong / n


@dataclass(frozen=True)
class ClassCounts:
    """Numbers of predictions by class, as tensors on the device of the images.

    Args:
        confusion: (n_classes, n_classes) ints: images of the class of the row for which the class
            of the column was predicted.
        top_correct: 0-dimensional: images whose class has one of the ``TOP`` highest logits.
        finite: 0-dimensional bool: whether all logits are finite.
    """

    confusion: torch.Tensor
    top_correct: torch.Tensor
    finite: torch.Tensor


@torch.no_grad()
def count_by_class(
    predict: Callable[[torch.Tensor], torch.Tensor],
    images: torch.Tensor | Images,
    labels: torch.Tensor,
    batch: int,
    n_classes: int,
) -> ClassCounts:
    """Count the predictions of a network by class, on the same batches as :func:`count_wrong`.

    Args:
        predict: images (b, c, h, w) -> logits (b, n_classes).
        images: n images (c, h, w).
        labels: (n,) ints.
        batch: maximum number of images per batch.
        n_classes: number of classes.
    """
    n_batches, device = -(-len(images) // batch), images.device
    confusion = torch.zeros(n_classes**2, dtype=torch.int64, device=device)
    top_correct = torch.zeros((), dtype=torch.int64, device=device)
    finite = torch.ones((), dtype=torch.bool, device=device)
    for x, y in zip(images.tensor_split(n_batches), labels.tensor_split(n_batches), strict=True):
        logits = predict(x)
        confusion += torch.bincount(y * n_classes + logits.argmax(1), minlength=n_classes**2)
        highest = logits.topk(min(TOP, n_classes), dim=1).indices
        top_correct += (highest == y[:, None]).sum()
        finite &= logits.isfinite().all()
    return ClassCounts(confusion.view(n_classes, n_classes), top_correct, finite)


def balanced_error_percent(correct: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Return the mean over all classes of the error in percent, in [0, 100].

    It is as high for a network that always predicts the most frequent class as for random guessing.

    Args:
        correct: (..., n_classes) correctly classified images of each class.
        counts: (n_classes,) images of each class; classes without images are ignored.
    """
    present = counts > 0
    error: np.ndarray = 100 * (1 - (correct[..., present] / counts[present]).mean(-1))
    return error
