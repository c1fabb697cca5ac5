"""How well a segmentation network reads images: the scores of Long et al. (CVPR 2015)."""

import numpy as np
import torch

SCORES = ("pixel_accuracy", "class_accuracy", "mean_iou")


@torch.no_grad()
def count_pixels(logits, maps, ignored):
    """How often each class is taken for each.

    Args:
        logits: (n, n_classes, h, w).
        maps: (n, h, w) ints, the class of each pixel.
        ignored: class of pixels that do not count.

    Returns:
        (n_classes, n_classes) int64 on the CPU: rows are classes of the maps, columns predictions.

    Raises:
        ValueError: a map has another shape, or a class that the network does not know.
    """
    n_classes = logits.shape[1]
    if maps.shape != (len(logits), *logits.shape[2:]):
        raise ValueError(
            f"Expected label maps of shape {(len(logits), *logits.shape[2:])}, that of the "
            f"network's output; got {tuple(maps.shape)}."
        )
    counted = maps != ignored
    real, guessed = maps[counted].long(), logits.argmax(1)[counted]
    for wrong in real[(real < 0) | (real >= n_classes)][:1].tolist():
        raise ValueError(
            f"A label map has class {wrong}, and the network knows {n_classes} classes; {ignored} "
            "is the class of pixels that do not count."
        )
    counts = torch.bincount(n_classes * real + guessed, minlength=n_classes**2)
    return counts.reshape(n_classes, n_classes).cpu()


def segmentation_scores(counts):
    """FCN-scores in percent, 0 to 100, from a matrix of :func:`count_pixels`.

    Classes that no map has do not count in the means; a class that is only predicted does count
    in the union of those that it is mistaken for.

    Returns:
        A dict: pixel_accuracy, class_accuracy and mean_iou; NaN without any pixel.
    """
    counts = np.asarray(counts, dtype=float)
    hits, real, guessed = np.diag(counts), counts.sum(1), counts.sum(0)
    there = real > 0
    if not there.any():
        return dict.fromkeys(SCORES, float("nan"))
    of_class = hits[there] / real[there]
    iou = hits[there] / (real + guessed - hits)[there]
    return {
        "pixel_accuracy": 100 * float(hits.sum() / real.sum()),
        "class_accuracy": 100 * float(of_class.mean()),
        "mean_iou": 100 * float(iou.mean()),
    }
