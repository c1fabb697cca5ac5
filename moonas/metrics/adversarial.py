"""Robustness against adversarial images (NSGANetV1, Lu et al., 2020, section G.3 and figure 21)."""

import numpy as np
import torch
from torch.nn import functional as F

STRENGTHS = (0.0, 0.01, 0.03, 0.05, 0.07, 0.1, 0.15)  # of pixels that go from 0 to 1


def fgsm_signs(predict, images, labels):
    """The signs of the gradient of the cross-entropy by the images, (b, c, h, w), -1, 0 or 1.

    Works inside ``torch.inference_mode`` too, on images and weights that were made outside.
    """
    with torch.inference_mode(False), torch.enable_grad():
        x = images.detach().clone().requires_grad_()
        loss = F.cross_entropy(predict(x), labels, reduction="sum")
        (gradient,) = torch.autograd.grad(loss, x)
    return gradient.sign()


def count_correct_under_attack(predict, images, labels, batch, mean, std, strengths=STRENGTHS):
    """How many labels a network finds after the fast gradient sign attack of each strength.

    An image x becomes x + strength sign(gradient of the cross-entropy at x), in pixels from 0 to 1;
    what leaves that range is cut off (the paper does not say), so that an attack remains an image.

    Args:
        predict: images (b, c, h, w) -> logits (b, n_classes), differentiable.
        images: (n, c, h, w), normalised as (pixels - mean) / std; taken in their order and in equal
            parts of at most ``batch``.
        labels: (n,) ints.
        batch: images a part, at most.
        mean: (1, c, 1, 1).
        std: (1, c, 1, 1).
        strengths: of the attack, k of them; 0 leaves the images as they are.

    Returns:
        Two tensors on the device: (k,) counts, and whether all logits were finite, 0-dimensional.
    """
    parts = -(-len(images) // batch)
    correct = torch.zeros(len(strengths), dtype=torch.int64, device=images.device)
    finite = torch.ones((), dtype=torch.bool, device=images.device)
    low, high = -mean / std, (1 - mean) / std
    for x, y in zip(images.tensor_split(parts), labels.tensor_split(parts), strict=True):
        signs = fgsm_signs(predict, x, y)
        for k, strength in enumerate(strengths):
            attacked = x
            if strength:
                attacked = torch.minimum(torch.maximum(x + strength / std * signs, low), high)
            with torch.no_grad():
                logits = predict(attacked)
            correct[k] += (logits.argmax(1) == y).sum()
            finite &= logits.isfinite().all()
    return correct, finite


def robustness_error_percent(accuracy, n_classes, strengths=STRENGTHS):
    """100 less the share (%) of a rectangle that lies under the curve of accuracy over strength.

    The rectangle of figure 21: from the nadir, guessing at strength 0, to the ideal point, an
    accuracy of 1 at the largest strength. The curve goes straight from one strength to the next, by
    the trapezoidal rule; an accuracy below that of guessing counts as guessing, so that the area
    stays inside the rectangle.

    Args:
        accuracy: (..., k), 0 to 1, at each strength.
        n_classes: two or more.
        strengths: (k,), ascending.

    Returns:
        (...) floats, 0 (no attack succeeds) to 100 (no better than guessing anywhere).
    """
    chance = 1 / n_classes
    above = np.maximum(np.asarray(accuracy, float) - chance, 0) / (1 - chance)
    steps = np.diff(strengths)
    area = ((above[..., 1:] + above[..., :-1]) / 2 * steps).sum(axis=-1)
    return 100 * (1 - area / steps.sum())
