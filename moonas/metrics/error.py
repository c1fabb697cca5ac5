"""Classification error."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import numpy as np
import torch

Numbers = TypeVar("Numbers", float, np.ndarray)


@torch.no_grad()
def count_wrong(
    predict: Callable[[torch.Tensor], torch.Tensor],
    images: torch.Tensor,
    labels: torch.Tensor,
    batch: int,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Count the images that a network misclassifies, and check that its logits are finite.

    Images are not shuffled, so a network that uses batch statistics is evaluated on the same
    batches every time. The sizes of batches differ by at most one.

    Args:
        predict: images (b, c, h, w) -> logits (b, n_classes).
        images: (n, c, h, w).
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
