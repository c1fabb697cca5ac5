"""Quality of generated images: FID relative to a data set, Inception Score and further measures."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import nn

from moonas.data import load
from moonas.data.batches import Images
from moonas.data.images import DataInfo
from moonas.metrics.features import Extractor, denormalize, describe_features, feature_network
from moonas.metrics.frechet import FrechetDistance
from moonas.metrics.image_quality import RealImages
from moonas.metrics.inception_score import inception_score
from moonas.nets.randomness import generator as seeded_generator
from moonas.problem import Column
from moonas.run.callbacks import Callbacks

from .settings import ImageQualitySettings

Generate = Callable[[torch.Tensor], torch.Tensor]  # (b, latent) -> (b, c, h, w) in [-1, 1]

N_HELD_OUT = 500  # real images that tell whether a discriminator learns
MIN_PIXEL_STD = 1 / 255  # images are identical if the standard deviation of every pixel is smaller
MAX_FIDS = {"classifier": 200.0, "inception": 1000.0}  # larger FIDs are not informative
MAX_FID = 10_000.0  # of all other networks, whose features have any scale


def max_fid(features: str) -> float:
    """Return the largest value of the column ``fid`` for a value of the setting ``features``."""
    return MAX_FIDS.get(features, MAX_FID)


def quality_columns(settings: ImageQualitySettings, info: DataInfo) -> list[Column]:
    """Return the columns ``fid`` and ``inverse_is``, whose unit is the name of the feature network.

    There is no column ``inverse_is`` if the network has no logits.

    Args:
        settings: settings that select the feature network.
        info: description of the data set.

    Raises:
        ValueError: the feature network is unknown, cannot be loaded or does not fit the data set;
            or it has no logits, and ``inverse_is`` is used.
    """
    unit, has_logits = describe_features(settings.features, info)
    ceiling = max_fid(settings.features)
    fid = Column("fid", unit, worst=ceiling, bounds=(0, ceiling))
    if has_logits:
        return [fid, Column("inverse_is", unit, worst=1.0, bounds=(0, 1))]
    if "inverse_is" in getattr(settings, "used_columns", ()):
        raise ValueError(
            f"features={settings.features!r} is invalid with the column inverse_is: the network "
            "returns no logits, without which there is no Inception Score. Choose other "
            "objectives and limits, such as fid and params."
        )
    return [fid]


class ImageQuality:
    """Evaluates generated images by FID and Inception Score, and loads the images of a data set.

    FID is relative to the whole training set, or to the test set if ``use_test_set`` is true;
    covariances are divided by n - 1. With the setting ``real_statistics``, FID is relative to the
    statistics in that file instead. The Inception Score depends only on the generated images.

    Args:
        settings: settings of the data set and of both scores.
        info: description of the data set.
        device: device that computes the features.
        use_test_set: whether FID is relative to the test set instead of the training set.
        network: feature network that replaces the setting ``features``: a module that maps images
            (b, c, h, w), pixels in [0, 1], to features, or to features and logits.

    Attributes:
        images: training images, whose batches are (b, c, h, w) in [-1, 1], on the device; None
            before :meth:`load`.
        held_out: up to 500 test images in [-1, 1], on the device; None before :meth:`load`.
            Discriminators never train on them.
        classes: names of the classes; empty before :meth:`load`.
        extract: :class:`~moonas.metrics.features.Extractor` that computes features.
        real: :class:`~moonas.metrics.image_quality.RealImages` that images are compared with.
    """

    extract: Extractor
    real: RealImages

    def __init__(
        self,
        settings: ImageQualitySettings,
        info: DataInfo,
        device: torch.device,
        use_test_set: bool = False,
        network: nn.Module | None = None,
    ) -> None:
        self.settings, self.info, self.device, self.use_test_set = (
            settings,
            info,
            device,
            use_test_set,
        )
        self.network = network
        self.images: Images | None = None
        self.held_out: torch.Tensor | None = None
        self.classes: tuple[str, ...] = ()

    def load(self, callbacks: Callbacks | None = None) -> None:
        """Load the data set and compute the features of its images; later calls do nothing.

        Args:
            callbacks: callbacks that receive the progress of the training of the feature network,
                and a log message with its name and accuracy.
        """
        if self.images is not None:
            return
        s = self.settings
        report = None if callbacks is None else callbacks.on_progress
        data = load(**s.reading, labels_required=False, on_progress=report)
        if callbacks is not None and data.place:
            callbacks.on_log(data.place)
        self.classes = data.classes
        self.extract = feature_network(
            s.features if self.network is None else self.network,
            (self.info.channels, self.info.side, self.info.side),
            self.device,
            data=data,
            inception_weights=s.inception_weights,
            on_progress=report,
        )
        if callbacks is not None:
            callbacks.on_log(self.extract.describe())
        real = denormalize(data, data.test_images if self.use_test_set else data.images)
        if len(real) < 2:
            raise ValueError(f"FID requires at least 2 real images; {s.data} contains {len(real)}.")
        self.real = RealImages(self.extract, real, self.device, s.real_statistics)
        order = torch.randperm(len(data.test_images), generator=seeded_generator(0, "held out"))
        held_out = denormalize(data, data.test_images[order[:N_HELD_OUT]])
        self.held_out = (2 * held_out - 1).to(self.device)
        images = denormalize(data, data.images).map(_from_minus_one)
        self.images = images.to(self.device, channels_last=True)

    @property
    def distance(self) -> FrechetDistance:
        """Function that maps features of generated images, (n, d), to their FID."""
        return self.real.distance

    @torch.inference_mode()
    def generate(self, generator: Generate, latents: torch.Tensor) -> torch.Tensor:
        """Return generated images as pixels in [0, 1], (n, c, h, w).

        Args:
            generator: function from latent vectors (b, latent) to images (b, c, h, w) in [-1, 1].
            latents: (n, latent) latent vectors on the device.
        """
        parts = [generator(part) for part in torch.split(latents, self.settings.score_batch)]
        return (torch.cat(parts) + 1) / 2

    def evaluate(self, generator: Generate, latents: torch.Tensor) -> dict[str, Any]:
        """Evaluate a generator: FID, 1 / Inception Score and the share of each class.

        Args:
            generator: function from latent vectors (b, latent) to images (b, c, h, w) in [-1, 1].
            latents: (n, latent) latent vectors on the device.

        Returns:
            A dict with ``fid``, limited to :func:`max_fid`; ``inverse_is``, NaN if the feature
            network has no logits; and ``shares``, see :meth:`shares`. If a pixel or a feature is
            not finite, or if all images are identical, both scores are NaN and ``shares`` is empty.
        """
        features, log_probabilities = self._features(self.generate(generator, latents))
        if features is None:
            return {"fid": math.nan, "inverse_is": math.nan, "shares": np.empty(0)}
        score, _ = inception_score(log_probabilities, self.settings.is_splits)
        ceiling = MAX_FID if self.network is not None else max_fid(self.settings.features)
        return {
            "fid": min(self.distance(features), ceiling),
            "inverse_is": 1 / score,
            "shares": self.shares(log_probabilities),
        }

    def measure(self, generator: Generate, latents: torch.Tensor) -> dict[str, Any]:
        """Evaluate a generator by all measures, which takes longer than :meth:`evaluate`.

        Args:
            generator: function from latent vectors (b, latent) to images (b, c, h, w) in [-1, 1].
            latents: (n, latent) latent vectors on the device.

        Returns:
            The measures of :meth:`moonas.metrics.image_quality.RealImages.measure`, and ``shares``,
            see :meth:`shares`. If a pixel or a feature is not finite, or if all images are
            identical, the dict contains only ``fid``, ``is_mean`` and ``is_std``, which are NaN,
            and ``shares``, which is empty.
        """
        features, log_probabilities = self._features(self.generate(generator, latents))
        if features is None:
            failed = dict.fromkeys(("fid", "is_mean", "is_std"), math.nan)
            return {**failed, "shares": np.empty(0)}
        measures = self.real.measure(features, log_probabilities, self.settings.is_splits)
        return {**measures, "shares": self.shares(log_probabilities)}

    def _features(self, pixels: torch.Tensor) -> tuple[np.ndarray | None, np.ndarray]:
        """Return features and log probabilities; None and (0, 0) if images or features are invalid.

        Args:
            pixels: (n, c, h, w) generated images in [0, 1].
        """
        none = None, np.empty((0, 0))
        if not bool(pixels.isfinite().all()) or float(pixels.std(dim=0).max()) < MIN_PIXEL_STD:
            return none
        features, log_probabilities = self.extract(pixels, self.settings.score_batch)
        if not (np.isfinite(features).all() and np.isfinite(log_probabilities).all()):
            return none
        return features, log_probabilities

    @staticmethod
    def shares(log_probabilities: np.ndarray) -> np.ndarray:
        """Return the share of images that the feature network assigns to each class, (n_classes,).

        Args:
            log_probabilities: (n, n_classes); n_classes is 0 if the network has no logits.
        """
        n, n_classes = log_probabilities.shape
        if n_classes == 0:
            return np.empty(0)
        shares: np.ndarray = np.bincount(log_probabilities.argmax(axis=1), minlength=n_classes) / n
        return shares

    @property
    def fingerprint(self) -> torch.Tensor:
        """Fingerprint of the feature network, (32,) uint8, which a checkpoint stores.

        It includes the statistics of ``real_statistics``.
        """
        return torch.tensor(list(bytes.fromhex(self.real.fingerprint)), dtype=torch.uint8)

    def check_fingerprint(self, fingerprint: torch.Tensor) -> None:
        """Check that a run was evaluated with this feature network.

        Args:
            fingerprint: fingerprint of the feature network in a checkpoint of the run.

        Raises:
            ValueError: the run was evaluated with a different feature network.
        """
        if not torch.equal(fingerprint.cpu(), self.fingerprint):
            raise ValueError(
                f"This run was evaluated with another {self.extract.name}, so its scores are not "
                "comparable with new scores. A library, the data set, the weights of the feature "
                "network or the file of real statistics have changed since then; start a new run "
                "in another folder."
            )


def _from_minus_one(pixels: torch.Tensor) -> torch.Tensor:
    """Convert pixels in [0, 1] to [-1, 1]."""
    return 2 * pixels - 1
