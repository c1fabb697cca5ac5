"""Area under the receiver operating characteristic, for images with several labels."""

import math

import numpy as np
import torch
from sklearn.metrics import roc_auc_score


def auroc_error_percent(logits, labels):
    """100 less the mean area (%) under the ROC curves of the labels; 0 is perfect, 50 is chance.

    Each label counts alike, as in the tables on ChestX-ray14. Labels that no image has, or that all
    have, have no curve and do not count.

    Args:
        logits: (n, n_labels), higher means likelier.
        labels: (n, n_labels) zeros and ones.

    Returns:
        0 to 100, or NaN if a logit is not finite.

    Raises:
        ValueError: no label has a curve.
    """
    logits, labels = logits.double().cpu().numpy(), labels.cpu().numpy()
    if not np.isfinite(logits).all():
        return math.nan
    share = labels.mean(axis=0)
    curved = np.flatnonzero((share > 0) & (share < 1))
    if len(curved) == 0:
        raise ValueError(
            f"AUROC wants images with and without a label; each of the {len(share)} labels is on "
            f"all of the {len(labels)} validation images or on none."
        )
    return 100 * (1 - float(roc_auc_score(labels[:, curved], logits[:, curved], average="macro")))


@torch.no_grad()
def auroc_error(predict, images, labels, batch):
    """:func:`auroc_error_percent` of a network's logits on images (n, c, h, w).

    Args:
        predict: images (b, c, h, w) -> logits (b, n_labels).
        images: (n, c, h, w), taken in their order and in equal parts of at most ``batch``.
        labels: (n, n_labels) zeros and ones.
        batch: images a part, at most.
    """
    parts = images.tensor_split(-(-len(images) // batch))
    return auroc_error_percent(torch.cat([predict(x) for x in parts]), labels)
