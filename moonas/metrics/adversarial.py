"""Robustness to adversarial images (NSGANetV1, Lu et al., 2020, section G.3 and figure 21)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch.nn import functional as F

if TYPE_CHECKING:
    from ..data.batches import Images

ATTACK_STRENGTHS = (0.0, 0.01, 0.03, 0.05, 0.07, 0.1, 0.15)  # of the attack, for pixels in [0, 1]


def fgsm_signs(
    predict: Callable[[torch.Tensor], torch.Tensor], images: torch.Tensor, labels: torch.Tensor
) -> torch.Tensor:
    """Compute the sign of the gradient of the cross-entropy with respect to the images.

    This also works inside ``torch.inference_mode`` if the images and the weights were created
    outside of it.

    Args:
        predict: images (b, c, h, w) -> logits (b, n_classes), differentiable.
        images: (b, c, h, w).
        labels: (b,) ints.

    Returns:
        (b, c, h, w), each element -1, 0 or 1.
    """
    with torch.inference_mode(False), torch.enable_grad():
        x = images.detach().clone().requires_grad_()
        loss = F.cross_entropy(predict(x), labels, reduction="sum")
        if not loss.requires_grad:  # the network is a constant, such as without any operation
            return torch.zeros_like(images)
        (gradient,) = torch.autograd.grad(loss, x, materialize_grads=True)
    return gradient.sign()


def count_correct_under_attack(
    predict: Callable[[torch.Tensor], torch.Tensor],
    images: torch.Tensor | Images,
    labels: torch.Tensor,
    batch: int,
    mean: torch.Tensor,
    std: torch.Tensor,
    strengths: Sequence[float] = ATTACK_STRENGTHS,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Count the correct predictions after fast gradient sign attacks of several strengths.

    An image x becomes x + strength * sign(gradient of the cross-entropy at x), with pixels in
    [0, 1]. The result is clamped to [0, 1]; the paper does not mention clamping.

    Args:
        predict: images (b, c, h, w) -> logits (b, n_classes), differentiable.
        images: n images (c, h, w), normalized as (pixels - mean) / std, not shuffled; the sizes of
            batches differ by at most one.
        labels: (n,) ints.
        batch: maximum number of images per batch.
        mean: (1, c, 1, 1) mean of the pixels.
        std: (1, c, 1, 1) standard deviation of the pixels.
        strengths: (k,) strengths of the attack; strength 0 leaves the images unchanged.

    Returns:
        Two tensors on the device of the images: the (k,) numbers of correct predictions, and a
        0-dimensional bool, whether all logits are finite.
    """
    n_batches = -(-len(images) // batch)
    correct = torch.zeros(len(strengths), dtype=torch.int64, device=images.device)
    finite = torch.ones((), dtype=torch.bool, device=images.device)
    low, high = -mean / std, (1 - mean) / std
    for x, y in zip(images.tensor_split(n_batches), labels.tensor_split(n_batches), strict=True):
        signs = fgsm_signs(predict, x, y)
        for k, strength in enumerate(strengths):
            adversarial = x
            if strength:
                adversarial = torch.minimum(torch.maximum(x + strength / std * signs, low), high)
            with torch.no_grad():
                logits = predict(adversarial)
            correct[k] += (logits.argmax(1) == y).sum()
            finite &= logits.isfinite().all()
    return correct, finite


def robustness_error_percent(
    accuracy: ArrayLike, n_classes: int, strengths: Sequence[float] = ATTACK_STRENGTHS
) -> np.ndarray:
    """Return 100 minus the area (%) under the curve of accuracy over attack strength.

    The area is a percentage of the rectangle in figure 21, from the nadir point (the accuracy of
    random guessing at strength 0) to the ideal point (accuracy 1 at the largest strength). It is
    computed by the trapezoidal rule. An accuracy below the accuracy of random guessing is replaced
    by the latter, so the area is inside the rectangle.

    Args:
        accuracy: (..., k) accuracy at each strength, in [0, 1].
        n_classes: number of classes, at least 2.
        strengths: (k,) ascending strengths.

    Returns:
        (...) floats in [0, 100]: 0 if no attack succeeds, 100 if the accuracy is never higher
        than the accuracy of random guessing.
    """
    chance_level = 1 / n_classes
    above = np.maximum(np.asarray(accuracy, float) - chance_level, 0) / (1 - chance_level)
    steps = np.diff(strengths)
    area = ((above[..., 1:] + above[..., :-1]) / 2 * steps).sum(axis=-1)
    error: np.ndarray = 100 * (1 - area / steps.sum())
    return error
