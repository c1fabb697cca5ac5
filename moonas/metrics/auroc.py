"""Area under the ROC curve (receiver operating characteristic), for multi-label images."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import torch
from sklearn.metrics import roc_auc_score, roc_curve

if TYPE_CHECKING:
    from ..data.batches import Images


def auroc_by_label(logits: torch.Tensor, labels: torch.Tensor) -> np.ndarray:
    """Return the AUROC of each label, (n_labels,) floats in [0, 1].

    It is NaN if all or none of the images have the label, or a logit is NaN or infinite.

    Args:
        logits: (n, n_labels); a higher logit means that the label is more probable.
        labels: (n, n_labels) zeros and ones.
    """
    scores, truth = logits.double().cpu().numpy(), labels.cpu().numpy()
    values = np.full(truth.shape[1], math.nan)
    if not np.isfinite(scores).all():
        return values
    for i, frequency in enumerate(truth.mean(axis=0)):
        if 0 < frequency < 1:
            values[i] = roc_auc_score(truth[:, i], scores[:, i])
    return values


def roc_by_label(logits: torch.Tensor, labels: torch.Tensor) -> np.ndarray:
    """Return the ROC curve of each label, (n_labels, 101) true positive rates in [0, 1].

    They belong to the false positive rates 0, 0.01, ..., 1, between which curves are linear. Curves
    are NaN where :func:`auroc_by_label` is.

    Args:
        logits: (n, n_labels); a higher logit means that the label is more probable.
        labels: (n, n_labels) zeros and ones.
    """
    defined = ~np.isnan(auroc_by_label(logits, labels))
    scores, truth = logits.double().cpu().numpy(), labels.cpu().numpy()
    curves = np.full((len(defined), 101), math.nan)
    for i in np.flatnonzero(defined):
        false_positive, true_positive, _ = roc_curve(truth[:, i], scores[:, i])
        curves[i] = np.interp(np.linspace(0, 1, 101), false_positive, true_positive)
    return curves


def auroc_error_percent(logits: torch.Tensor, labels: torch.Tensor) -> float:
    """Return 100 minus the macro-averaged AUROC in percent.

    All labels have equal weight, as in the published results on ChestX-ray14. A label that no
    image or every image has is ignored, because its ROC curve is undefined.

    Args:
        logits: (n, n_labels); a higher logit means that the label is more probable.
        labels: (n, n_labels) zeros and ones.

    Returns:
        A number in [0, 100], 0 for a perfect ranking and 50 for random logits; NaN if a logit is
        NaN or infinite.

    Raises:
        ValueError: if the ROC curve of every label is undefined.
    """
    if not logits.isfinite().all():
        return math.nan
    values = auroc_by_label(logits, labels)
    defined = values[~np.isnan(values)]
    if len(defined) == 0:
        raise ValueError(
            "AUROC is undefined: it requires images with and without a label, but each of the "
            f"{len(values)} labels belongs to all or none of the {len(labels)} images."
        )
    return 100 * (1 - float(defined.mean()))


@torch.no_grad()
def auroc_error(
    predict: Callable[[torch.Tensor], torch.Tensor],
    images: torch.Tensor | Images,
    labels: torch.Tensor,
    batch: int,
) -> float:
    """Evaluate a network and return the :func:`auroc_error_percent` of its logits.

    Args:
        predict: images (b, c, h, w) -> logits (b, n_labels).
        images: n images (c, h, w), not shuffled; the sizes of batches differ by at most one.
        labels: (n, n_labels) zeros and ones.
        batch: maximum number of images per batch.
    """
    batches = images.tensor_split(-(-len(images) // batch))
    return auroc_error_percent(torch.cat([predict(x) for x in batches]), labels)
