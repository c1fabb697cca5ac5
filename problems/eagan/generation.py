"""Quality of generated images: FID relative to a data set, and Inception Score."""

from __future__ import annotations

import hashlib
import io
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from moonas.data import load
from moonas.data.images import DataInfo
from moonas.files import cached
from moonas.files.tensors import tensor_bytes
from moonas.metrics.features import (
    Extractor,
    classifier,
    classifier_name,
    denormalize,
    inception,
    require_one_label_per_image,
)
from moonas.metrics.frechet import FrechetDistance, Moments, moments
from moonas.metrics.inception_score import inception_score
from moonas.nets.devices import repeatable
from moonas.nets.randomness import generator as seeded_generator
from moonas.problem import Column

from .settings import ImageQualitySettings

Generate = Callable[[torch.Tensor], torch.Tensor]  # (b, latent) -> (b, c, h, w) in [-1, 1]

N_HELD_OUT = 500  # real images that tell whether a discriminator learns
MIN_PIXEL_STD = 1 / 255  # images are identical if the standard deviation of every pixel is smaller
MAX_FIDS = {"classifier": 200.0, "inception": 1000.0}  # larger FIDs are not informative


def quality_columns(settings: ImageQualitySettings, info: DataInfo) -> list[Column]:
    """Return the columns ``fid`` and ``inverse_is``, whose unit is the name of the feature network.

    Args:
        settings: settings that select the feature network.
        info: description of the data set.

    Raises:
        ValueError: the feature network is a classifier, but images have several labels each.
    """
    unit = "inception"
    if settings.features == "classifier":
        require_one_label_per_image(info)
        unit = classifier_name(info)
    ceiling = MAX_FIDS[settings.features]
    return [
        Column("fid", unit, worst=ceiling, bounds=(0, ceiling)),
        Column("inverse_is", unit, worst=1.0, bounds=(0, 1)),
    ]


class ImageQuality:
    """Evaluates generated images by FID and Inception Score, and loads the images of a data set.

    FID is relative to the whole training set, or to the test set if ``use_test_set`` is true;
    covariances are divided by n - 1. The Inception Score depends only on the generated
    images.

    Args:
        settings: settings of the data set and of both scores.
        info: description of the data set.
        device: device that computes the features.
        use_test_set: whether FID is relative to the test set instead of the training set.

    Attributes:
        images: (n, c, h, w) training images in [-1, 1], on the device; None before :meth:`load`.
        held_out: up to 500 test images in [-1, 1], on the device; None before :meth:`load`.
            Discriminators never train on them.
        classes: names of the classes; empty before :meth:`load`.
        extract: :class:`~moonas.metrics.features.Extractor` that computes features.
        distance: function that maps features of generated images to their FID.
    """

    extract: Extractor
    distance: FrechetDistance

    def __init__(
        self,
        settings: ImageQualitySettings,
        info: DataInfo,
        device: torch.device,
        use_test_set: bool = False,
    ) -> None:
        self.settings, self.info, self.device, self.use_test_set = (
            settings,
            info,
            device,
            use_test_set,
        )
        self.images: torch.Tensor | None = None
        self.held_out: torch.Tensor | None = None
        self.classes: tuple[str, ...] = ()

    def load(self) -> None:
        """Load the data set and compute the features of its images; later calls do nothing."""
        if self.images is not None:
            return
        s = self.settings
        data = load(
            s.data, root=s.root, download=s.download, image_size=s.image_size, labels_required=False
        )
        self.classes = data.classes
        if s.features == "inception":
            self.extract = inception(self.device, s.inception_weights)
        else:
            self.extract = classifier(data, self.device)
        real = denormalize(data, data.test_images if self.use_test_set else data.images)
        if len(real) < 2:
            raise ValueError(f"FID requires at least 2 real images; {s.data} contains {len(real)}.")
        self.distance = FrechetDistance(self._moments(real))
        order = torch.randperm(len(data.test_images), generator=seeded_generator(0, "held out"))
        test_images = data.test_images[order[:N_HELD_OUT]]
        self.held_out = (2 * denormalize(data, test_images) - 1).to(self.device)
        images = (2 * denormalize(data, data.images) - 1).to(self.device)
        self.images = images.contiguous(memory_format=torch.channels_last)

    def _moments(self, real: torch.Tensor) -> Moments:
        """Return mean and covariance of the features of real images; both are cached on disk.

        Args:
            real: (n, c, h, w) pixels in [0, 1].
        """
        key = hashlib.sha256(self.extract.fingerprint.encode())
        key.update(tensor_bytes(real))
        key.update(self.device.type.encode())  # rounding errors depend on the device

        def compute() -> bytes:
            with repeatable(1):
                result = moments(self.extract(real.to(self.device))[0])
            buffer = io.BytesIO()
            np.savez(buffer, mean=result.mean, covariance=result.covariance, n=result.n)
            return buffer.getvalue()

        stored = cached(f"moments-{key.hexdigest()[:32]}.npz", compute)
        with np.load(io.BytesIO(stored), allow_pickle=False) as arrays:
            return Moments(arrays["mean"], arrays["covariance"], int(arrays["n"]))

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
            A dict with ``fid``, limited to the entry of ``MAX_FIDS``; ``inverse_is``; and
            ``shares``, (n_classes,), the share of images that the feature network assigns to each
            class. If a pixel or a feature is not finite, or if all images are identical, both
            scores are NaN and ``shares`` is empty.
        """
        pixels = self.generate(generator, latents)
        failed = {"fid": math.nan, "inverse_is": math.nan, "shares": np.empty(0)}
        if not bool(pixels.isfinite().all()) or float(pixels.std(dim=0).max()) < MIN_PIXEL_STD:
            return failed
        features, log_probabilities = self.extract(pixels, self.settings.score_batch)
        if not (np.isfinite(features).all() and np.isfinite(log_probabilities).all()):
            return failed
        score, _ = inception_score(log_probabilities, self.settings.is_splits)
        classes = log_probabilities.argmax(axis=1)
        return {
            "fid": min(self.distance(features), MAX_FIDS[self.settings.features]),
            "inverse_is": 1 / score,
            "shares": np.bincount(classes, minlength=log_probabilities.shape[1])
            / len(log_probabilities),
        }

    @property
    def fingerprint(self) -> torch.Tensor:
        """Fingerprint of the feature network, (32,) uint8, which a checkpoint stores."""
        return torch.tensor(list(bytes.fromhex(self.extract.fingerprint)), dtype=torch.uint8)

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
                "comparable with new scores. A library, the data set or the weights of the "
                "feature network have changed since then; start a new run in another folder."
            )
