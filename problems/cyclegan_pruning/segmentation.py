"""FCN-scores (Long et al., CVPR 2015) from the predictions of a segmentation network."""

from __future__ import annotations

import numpy as np
import torch

SCORES = ("pixel_accuracy", "class_accuracy", "mean_iou")


def count_pixels(logits: torch.Tensor, maps: torch.Tensor, ignored: int) -> torch.Tensor:
    """Return the confusion matrix between label maps and predicted classes.

    Args:
        logits: (n, n_classes, h, w) output of the network.
        maps: (n, h, w) ints, the correct class of each pixel.
        ignored: label of the pixels that are ignored (the ignore index).

    Returns:
        (n_classes, n_classes) int64 on the CPU. Rows are correct classes; columns are predicted
        classes.

    Raises:
        ValueError: the maps do not have the shape (n, h, w), or contain an unknown class.
    """
    n_classes = logits.shape[1]
    if maps.shape != (len(logits), *logits.shape[2:]):
        raise ValueError(
            f"Expected label maps of shape {(len(logits), *logits.shape[2:])} to match the output "
            f"of the network; got {tuple(maps.shape)}."
        )
    counted = maps != ignored
    targets, predictions = maps[counted].long(), logits.detach().argmax(1)[counted]
    unknown = targets[(targets < 0) | (targets >= n_classes)]
    if len(unknown):
        raise ValueError(
            f"A label map contains class {int(unknown[0])}, but the network has {n_classes} "
            f"classes. Use class {ignored} for pixels to ignore."
        )
    counts = torch.bincount(n_classes * targets + predictions, minlength=n_classes**2)
    return counts.reshape(n_classes, n_classes).cpu()


def segmentation_scores(counts: torch.Tensor | np.ndarray) -> dict[str, float]:
    """Compute FCN-scores in percent, in [0, 100].

    Means over classes include only classes that occur in the label maps. A wrongly
    predicted pixel counts in the union of its correct class even if the predicted class does not
    occur in the maps.

    Args:
        counts: (n_classes, n_classes) confusion matrix, see :func:`count_pixels`.

    Returns:
        ``pixel_accuracy``, ``class_accuracy`` and ``mean_iou``; all are NaN if no pixel was
        counted.
    """
    counts = np.asarray(counts, dtype=float)
    correct, actual, predicted = np.diag(counts), counts.sum(1), counts.sum(0)
    present = actual > 0
    if not present.any():
        return dict.fromkeys(SCORES, float("nan"))
    recall = correct[present] / actual[present]
    iou = correct[present] / (actual + predicted - correct)[present]
    return {
        "pixel_accuracy": 100 * float(correct.sum() / actual.sum()),
        "class_accuracy": 100 * float(recall.mean()),
        "mean_iou": 100 * float(iou.mean()),
    }
