"""Images that classifiers are trained on, and those that they are judged by."""

import math
from functools import partial

import torch
from torch.nn import functional as F

from ..data import load, shift_and_flip, split
from ..metrics.adversarial import count_correct_under_attack, robustness_error_percent
from ..metrics.auroc import auroc_error
from ..metrics.error import count_wrong, error_percent
from ..problem import Column
from .settings import QUALITIES


def quality_columns(objectives, info):
    """The columns of quality that a data set has, the first of them the one to train for.

    With one label an image: error and, if it is an objective, robustness_error. With several:
    auroc_error. All in percent, 0 to 100.

    Raises:
        ValueError: an objective that the data set does not have.
    """
    names = ["auroc_error"] if info.multi_label else ["error"]
    if "robustness_error" in objectives and not info.multi_label:
        names.append("robustness_error")
    for name in objectives:
        if name in QUALITIES and name not in names:
            wanted = "one label" if info.multi_label else "several labels"
            raise ValueError(
                f"Objective {name!r} wants data with {wanted} an image, and {info.name} is not "
                f"such data; take {names} and columns of size (objectives=, --objectives)."
            )
    return [Column(name, "%", worst=100.0, bounds=(0, 100)) for name in names]


class Classification:
    """The images to search with, on a device, parted into training and validation images.

    Validation images are taken in batches of at most ``score_batch``, always the same ones. The
    images for the final test are not touched, unless this is it.

    Args:
        settings: a :class:`~moonas.evaluators.settings.TrainingSettings`.
        info: of the data set.
        device: a ``torch.device``.
        objectives: what else than the first column of quality is judged, see
            :func:`quality_columns`.
        final: train on all images to search with, and judge by those for the final test.
    """

    def __init__(self, settings, info, device, objectives=(), final=False):
        self.settings, self.info, self.device, self.final = settings, info, device, final
        self.names = [column.name for column in quality_columns(objectives, info)]
        self.train = self.validation = None  # (images, labels) on the device, once loaded
        self.data = None  # all of it, an ImageData, once loaded
        self._scale = None
        self.augment = None
        if info.padding or info.flip:
            self.augment = partial(shift_and_flip, padding=info.padding, flip=info.flip)

    def load(self):
        """Read the images, unless they are there already."""
        if self.train is not None:
            return
        s = self.settings
        data = load(s.data, root=s.root, download=s.download, image_size=s.image_size)
        if self.final:
            parts = (data.images, data.labels), (data.test_images, data.test_labels)
        else:
            n_train = max(1, round(s.train_share * len(data.labels)))
            rows = split(data.labels, n_train, data.groups)
            parts = [(data.images[r], data.labels[r]) for r in rows]
        self.data = data
        self._scale = data.mean.to(self.device), data.std.to(self.device)
        self.train, self.validation = (
            (
                images.to(self.device, memory_format=torch.channels_last),
                labels.to(self.device),
            )
            for images, labels in parts
        )

    def loss(self, logits, labels):
        """Cross-entropy; the mean of the labels' binary cross-entropies where there are several."""
        if self.info.multi_label:
            return F.binary_cross_entropy_with_logits(logits, labels)
        return F.cross_entropy(logits, labels)

    @torch.inference_mode()
    def evaluate(self, predict):
        """How a network does on the validation images, as a tensor for :meth:`columns`.

        Args:
            predict: images (b, c, h, w) -> logits (b, n_classes).
        """
        images, labels = self.validation
        batch = self.settings.score_batch
        if self.info.multi_label:
            return torch.tensor([auroc_error(predict, images, labels, batch)], dtype=torch.float64)
        if "robustness_error" in self.names:
            counts, finite = count_correct_under_attack(
                predict, images, labels, batch, *self._scale
            )
        else:
            wrong, finite = count_wrong(predict, images, labels, batch)
            counts = (len(labels) - wrong)[None]
        return torch.where(finite, counts.double(), math.nan)

    def columns(self, judged):
        """Columns of quality, a dict of (n,) arrays, from a list of n results of :meth:`judge`."""
        values = torch.stack(judged).cpu().numpy()  # (n, k)
        if self.info.multi_label:
            return {"auroc_error": values[:, 0]}
        n = len(self.validation[1])
        columns = {"error": error_percent(n - values[:, 0], n)}
        if "robustness_error" in self.names:
            columns["robustness_error"] = robustness_error_percent(values / n, self.info.n_classes)
        return columns
