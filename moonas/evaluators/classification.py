"""Data, loss and quality metrics of image classification."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from copy import copy
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from ..data import Augmentation, ImageData, load, split
from ..data.augment import CHANGES
from ..data.batches import Images
from ..data.holding import fits_into_memory, in_memory
from ..data.images import DataInfo
from ..data.stores import SKIP_ADVICE, FileStore, Progress
from ..metrics.adversarial import (
    ATTACK_STRENGTHS,
    count_correct_under_attack,
    robustness_error_percent,
)
from ..metrics.auroc import auroc_error
from ..metrics.error import (
    TOP,
    balanced_error_percent,
    count_by_class,
    count_wrong,
    error_percent,
)
from ..problem import Column
from .settings import COSTS, QUALITIES, TrainingSettings

OPTIONAL = ("robustness_error", "balanced_error", "top5_error")  # columns for one label per image


def quality_columns(used: Sequence[str], info: DataInfo) -> list[Column]:
    """Return the columns that measure the quality of classifiers on a data set.

    For images with several labels, the column is ``auroc_error``. Otherwise the columns are
    ``error`` and, of ``robustness_error``, ``balanced_error`` (the mean error of the classes) and
    ``top5_error``, those that are used. All values are in percent, in [0, 100]; lower is better.

    Args:
        used: names of the objectives and the limited columns; names of other columns are ignored.
        info: description of the data set.

    Raises:
        ValueError: a column is not defined for this data set.
    """
    names = ["auroc_error"] if info.multi_label else ["error"]
    if not info.multi_label:
        names += [name for name in OPTIONAL if name in used]
    if "top5_error" in names and info.n_classes <= TOP:
        raise ValueError(
            f"The column 'top5_error' is invalid for {info.name}: expected more than {TOP} "
            f"classes, got {info.n_classes}."
        )
    for name in used:
        if name in QUALITIES and name not in names:
            expected = "one label" if info.multi_label else "several labels"
            actual = "several labels" if info.multi_label else "one label"
            raise ValueError(
                f"The column {name!r} is invalid for {info.name}: expected {expected} per image, "
                f"got {actual}. Choose objectives and limits from {[*names, *COSTS]}."
            )
    return [Column(name, "%", worst=100.0, bounds=(0, 100)) for name in names]


def augmentation_for(settings: TrainingSettings, data: ImageData) -> Augmentation:
    """Return the augmentation of training images that settings select for a data set."""
    s, info = settings, data.info
    return Augmentation(
        data.mean,
        data.std,
        padding=info.padding if s.padding is None else s.padding,
        mirror=info.flip if s.mirror == "auto" else s.mirror == "yes",
        edges=s.edges,
        crop_scale=s.crop_scale,
        rotation=s.rotation,
        jitter=s.jitter,
        side=info.side,
    )


class Classification:
    """The training and validation images of a data set, with the loss and the quality metrics.

    A search splits the training set of the data set into training and validation images, and never
    uses the test set. Validation images are evaluated in batches of at most
    ``settings.score_batch`` images; the batches are the same in every evaluation.

    Args:
        settings: settings of the training.
        info: description of the data set.
        device: device on which the images are stored.
        used: names of the columns that determine the metrics; see :func:`quality_columns`.
        final: whether to train on the whole training set and to validate on the test set.
        holds_out: with ``final``, whether to hold out the images on which a search would validate.

    Attributes:
        names: names of the quality columns; the first column is always present.
        train: (images, labels) for training, on the device; available after :meth:`load`.
        validation: (images, labels) for validation, on the device; available after :meth:`load`.
        data: the whole data set, on the CPU; available after :meth:`load`.
        held_out: these images and metrics, with the held-out images for validation; None unless
            ``holds_out``.
        is_streamed: whether validation images are decoded whenever a network is evaluated, so that
            only one evaluation can take place at a time.
        augment: function (images, rng) -> augmented images; None if the images are not augmented;
            available after :meth:`load`.
    """

    train: tuple[Images, Tensor]
    validation: tuple[Images, Tensor]
    data: ImageData

    def __init__(
        self,
        settings: TrainingSettings,
        info: DataInfo,
        device: torch.device,
        used: Sequence[str] = (),
        final: bool = False,
        holds_out: bool = False,
    ) -> None:
        self.settings, self.info, self.device, self.final = settings, info, device, final
        self.holds_out = holds_out
        self.held_out: Classification | None = None
        self.names = [column.name for column in quality_columns(used, info)]
        self.augment: Callable[[Tensor, torch.Generator], Tensor] | None = None
        self.is_streamed = False
        self._class_weights: Tensor | None = None
        self._is_loaded = False

    def load(
        self, on_progress: Progress | None = None, on_log: Callable[[str], object] | None = None
    ) -> None:
        """Load the images, unless they are already loaded.

        Args:
            on_progress: called with (phase, done, total, unit) while image files are read.
            on_log: called with a sentence that says where the images of a folder are kept.
        """
        if self._is_loaded:
            return
        s = self.settings
        data = load(**s.reading, on_progress=on_progress)
        if on_log is not None and data.place:
            on_log(data.place)
        self.data = data
        test = data.test_images, data.test_labels
        if self.final and not self.holds_out:
            train, held_out = (data.images, data.labels), test
        else:
            rows = (torch.from_numpy(rows) for rows in self._split(data))
            train, held_out = ((data.images.subset(r), data.labels[r]) for r in rows)
            held_out = self._kept(held_out[0], on_log), held_out[1]
        augmentation = augmentation_for(s, data)
        stored = data.info.form.whole.side
        self.augment = augmentation if augmentation.changes_images(stored) else None
        change = CHANGES[s.auto_augment]
        self.train = self._on_device(train[0].changed_by(change), train[1])
        self.validation = self._as_seen(*(test if self.final else held_out))
        if s.class_weights == "balanced":
            self._class_weights = class_weights(self.train[1], self.info.n_classes)
        if self.holds_out:
            self.held_out = copy(self)
            self.held_out.validation = self._as_seen(*held_out)
        self._is_loaded = True

    def _split(self, data: ImageData) -> tuple[np.ndarray, np.ndarray]:
        """Return the indices of the images for training and for validation in a search."""
        if data.is_validation is not None:
            train, validation = (
                np.flatnonzero(x) for x in (~data.is_validation, data.is_validation)
            )
        else:
            n_train = max(1, round(self.settings.train_share * len(data.labels)))
            train, validation = split(data.labels, n_train, data.groups)
        n = self.settings.validation_images
        if n is not None:
            validation = _limit(validation, data.labels, n)
        return train, validation

    def _kept(self, images: Images, on_log: Callable[[str], object] | None) -> Images:
        """Return validation images of a search, in memory if possible.

        Every candidate is scored on them, so decoding them each time would take long.
        """
        if not isinstance(images.store, FileStore):
            return images
        if fits_into_memory(images.store):
            return images.kept_in(in_memory(images.store, SKIP_ADVICE))
        if on_log is not None:
            on_log(
                f"The {len(images):,} validation images do not fit into memory, so they are "
                "decoded for every candidate; validation_images=10000 takes less time."
            )
        self.is_streamed = True
        return images

    def _as_seen(self, images: Images, labels: Tensor) -> tuple[Images, Tensor]:
        """Return images as a network sees them that is not trained on them, on the device."""
        if self.data.info.stored:
            images = images.map(self.data.info.form.center)
        return self._on_device(images, labels)

    def _on_device(self, images: Images, labels: Tensor) -> tuple[Images, Tensor]:
        return images.to(self.device, channels_last=True), labels.to(self.device)

    @property
    def n_per_epoch(self) -> int | None:
        """Number of training images of an epoch; None for all."""
        subset, n = self.settings.subset, len(self.train[1])
        if subset is None:
            return None
        return max(1, round(subset * n)) if subset <= 1 else min(n, round(subset))

    @property
    def training_options(self) -> dict[str, Any]:
        """Keyword arguments of :func:`moonas.training.sgd.train_epoch` for these images."""
        return {"loss_function": self.loss, "augment": self.augment, "n_images": self.n_per_epoch}

    def loss(self, logits: Tensor, labels: Tensor, label_smoothing: float = 0.0) -> Tensor:
        """Return the cross-entropy or, for several labels per image, the mean binary cross-entropy.

        With the setting ``class_weights``, it is weighted by :func:`class_weights`.

        Args:
            logits: (b, n_classes) logits.
            labels: (b,) class indices or, for several labels per image, (b, n_classes) zeros and
                ones.
            label_smoothing: probability mass of the label that is spread evenly over all classes;
                it applies to one label per image.
        """
        weights = self._class_weights
        if self.info.multi_label:
            return F.binary_cross_entropy_with_logits(logits, labels, pos_weight=weights)
        return F.cross_entropy(logits, labels, weights, label_smoothing=label_smoothing)

    @torch.inference_mode()
    def evaluate(self, predict: Callable[[Tensor], Tensor]) -> Tensor:
        """Evaluate a network on the validation images.

        Args:
            predict: (b, c, h, w) images -> (b, n_classes) logits.

        Returns:
            (k,) statistics, from which :meth:`columns` computes the quality columns; NaN if a logit
            is not finite.
        """
        images, labels = self.validation
        batch = self.settings.score_batch
        if self.info.multi_label:
            return torch.tensor([auroc_error(predict, images, labels, batch)], dtype=torch.float64)
        by_class: list[Tensor] = []
        if "balanced_error" in self.names or "top5_error" in self.names:
            found = count_by_class(predict, images, labels, batch, self.info.n_classes)
            by_class = [found.top_correct[None], found.confusion.diagonal()]
            counts, finite = found.confusion.trace()[None], found.finite
        elif "robustness_error" not in self.names:
            wrong, finite = count_wrong(predict, images, labels, batch)
            counts = (len(labels) - wrong)[None]
        if "robustness_error" in self.names:  # without an attack, its counts are those above
            mean, std = self.data.mean.to(self.device), self.data.std.to(self.device)
            counts, finite = count_correct_under_attack(predict, images, labels, batch, mean, std)
        counts = torch.cat([counts, *by_class])
        return torch.where(finite, counts.double(), math.nan)

    def columns(self, results: Sequence[Tensor]) -> dict[str, np.ndarray]:
        """Compute the quality columns of n networks.

        Args:
            results: n results of :meth:`evaluate`, one per network.

        Returns:
            Name -> (n,) values of each quality column, in percent.
        """
        values = torch.stack(list(results)).cpu().numpy()  # (n, k)
        if self.info.multi_label:
            return {"auroc_error": values[:, 0]}
        n = len(self.validation[1])
        k = self.info.n_classes
        columns = {"error": error_percent(n - values[:, 0], n)}
        if "robustness_error" in self.names:
            accuracies = values[:, : len(ATTACK_STRENGTHS)] / n
            columns["robustness_error"] = robustness_error_percent(accuracies, k)
        if "balanced_error" in self.names:
            n_of_class = torch.bincount(self.validation[1], minlength=k).cpu().numpy()
            columns["balanced_error"] = balanced_error_percent(values[:, -k:], n_of_class)
        if "top5_error" in self.names:
            columns["top5_error"] = error_percent(n - values[:, -k - 1], n)
        return columns


def _limit(rows: np.ndarray, labels: Tensor, n: int) -> np.ndarray:
    """Return n of the given rows of a data set; the classes keep their shares.

    All rows are returned if fewer than n or hardly more than n are given.
    """
    chosen = labels[rows].numpy()
    n_classes = len(np.unique(chosen)) if chosen.ndim == 1 else 1
    if n < n_classes:
        raise ValueError(
            f"validation_images={n} is invalid: expected at least {n_classes}, one of each class."
        )
    if n + n_classes > len(rows):  # the rest would not have an image of each class
        return rows
    limited: np.ndarray = rows[split(chosen, n)[0]]
    return limited


def class_weights(labels: Tensor, n_classes: int) -> Tensor:
    """Return the weights of classes or labels in a balanced loss, (n_classes,).

    The weight of a class is n / (n_classes * number of its images), so that the mean weight of the
    images is 1; the weight of a class without images is 0. If images can have several labels, it is
    the weight of the images that have the label relative to those that do not: their numbers'
    inverse ratio, or 1 if one of them is zero.

    Args:
        labels: (n,) classes, or (n, n_classes) zeros and ones.
        n_classes: number of classes or labels.
    """
    if labels.ndim == 1:
        counts = torch.bincount(labels, minlength=n_classes)
        weights = len(labels) / (n_classes * counts.clamp_min(1))
        return torch.where(counts > 0, weights, 0.0).float()
    with_label = labels.sum(0)
    without = len(labels) - with_label
    defined = (with_label > 0) & (without > 0)
    return torch.where(defined, without / with_label.clamp_min(1), 1.0).float()
