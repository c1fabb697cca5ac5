"""Quality of generated images: FID and Inception Score against the images of a data set."""

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
from moonas.problem import Column

from .settings import ImageQualitySettings

Generate = Callable[[torch.Tensor], torch.Tensor]  # (b, latent) -> (b, c, h, w) in [-1, 1]

MIN_STD = 1 / 255  # images whose pixels all have a smaller standard deviation count as identical
CEILINGS = {"classifier": 200.0, "inception": 1000.0}  # larger FIDs are not informative


def quality_columns(settings: ImageQualitySettings, info: DataInfo) -> list[Column]:
    """Return the columns ``fid`` and ``inverse_is``; their unit names the feature network.

    Args:
        settings: choice of the feature network.
        info: description of the data set.

    Raises:
        ValueError: a classifier is chosen, but the images have several labels each.
    """
    unit = "inception"
    if settings.features == "classifier":
        require_one_label_per_image(info)
        unit = classifier_name(info)
    ceiling = CEILINGS[settings.features]
    return [
        Column("fid", unit, worst=ceiling, bounds=(0, ceiling)),
        Column("inverse_is", unit, worst=1.0, bounds=(0, 1)),
    ]


class ImageQuality:
    """The images of a data set, and the quality of generated images compared with them.

    FID compares generated images with the whole training set; covariances are divided by n - 1.
    The Inception Score depends on the generated images alone. The test set is used only if
    ``final`` is true.

    Args:
        settings: settings of the images and of both scores.
        info: description of the data set.
        device: device that features are computed on.
        final: whether FID compares with the test set instead of the training set.

    Attributes:
        images: (n, c, h, w) training images in [-1, 1] on the device, for adversarial training;
            None before :meth:`load`.
        classes: names of the classes; empty before :meth:`load`.
        extract: the :class:`~moonas.metrics.features.Extractor` of the features.
        distance: FID of features to the real images.
    """

    extract: Extractor
    distance: FrechetDistance

    def __init__(
        self,
        settings: ImageQualitySettings,
        info: DataInfo,
        device: torch.device,
        final: bool = False,
    ) -> None:
        self.settings, self.info, self.device, self.final = settings, info, device, final
        self.images: torch.Tensor | None = None
        self.classes: tuple[str, ...] = ()

    def load(self) -> None:
        """Read the images and compute the features of real ones; later calls do nothing."""
        if self.images is not None:
            return
        s = self.settings
        data = load(s.data, root=s.root, download=s.download, image_size=s.image_size)
        self.classes = data.classes
        if s.features == "inception":
            self.extract = inception(self.device, s.inception_weights)
        else:
            self.extract = classifier(data, self.device)
        real = denormalize(data, data.test_images if self.final else data.images)
        if len(real) < 2:
            raise ValueError(f"FID requires at least 2 real images; {s.data} has {len(real)}.")
        self.distance = FrechetDistance(self._moments(real))
        images = (2 * denormalize(data, data.images) - 1).to(self.device)
        self.images = images.contiguous(memory_format=torch.channels_last)

    def _moments(self, real: torch.Tensor) -> Moments:
        """Return mean and covariance of the features of real images, which are cached.

        Args:
            real: (n, c, h, w) pixels in [0, 1].
        """
        key = hashlib.sha256(self.extract.fingerprint.encode())
        key.update(tensor_bytes(real))
        key.update(self.device.type.encode())  # devices differ in the last bits

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
        """Generate images as pixels in [0, 1], (n, c, h, w).

        Args:
            generator: function from latent vectors (b, latent) to images (b, c, h, w) in [-1, 1].
            latents: (n, latent) latent vectors on the device.
        """
        parts = [generator(part) for part in torch.split(latents, self.settings.score_batch)]
        return (torch.cat(parts) + 1) / 2

    def evaluate(self, generator: Generate, latents: torch.Tensor) -> dict[str, Any]:
        """Evaluate a generator by FID, 1 / Inception Score and the shares of the classes.

        Args:
            generator: function from latent vectors (b, latent) to images (b, c, h, w) in [-1, 1].
            latents: (n, latent) latent vectors on the device.

        Returns:
            A dict with ``fid``, at most its ceiling; ``inverse_is``; and ``shares``, (n_classes,),
            the share of images that the feature network assigns to each class. Both scores are NaN
            and ``shares`` is empty if an image or a feature is not finite, or if all images are
            identical.
        """
        pixels = self.generate(generator, latents)
        failed = {"fid": math.nan, "inverse_is": math.nan, "shares": np.empty(0)}
        if not bool(pixels.isfinite().all()) or float(pixels.std(dim=0).max()) < MIN_STD:
            return failed
        features, logs = self.extract(pixels, self.settings.score_batch)
        if not (np.isfinite(features).all() and np.isfinite(logs).all()):
            return failed
        score, _ = inception_score(logs, self.settings.is_splits)
        classes = logs.argmax(axis=1)
        return {
            "fid": min(self.distance(features), CEILINGS[self.settings.features]),
            "inverse_is": 1 / score,
            "shares": np.bincount(classes, minlength=logs.shape[1]) / len(logs),
        }

    @property
    def fingerprint(self) -> torch.Tensor:
        """Fingerprint of the feature network, (32,) uint8, to be stored in a checkpoint."""
        return torch.tensor(list(bytes.fromhex(self.extract.fingerprint)), dtype=torch.uint8)

    def check_fingerprint(self, fingerprint: torch.Tensor) -> None:
        """Raise an error if a run was evaluated with a different feature network.

        Args:
            fingerprint: fingerprint in a checkpoint of the run.

        Raises:
            ValueError: the fingerprint differs.
        """
        if not torch.equal(fingerprint.cpu(), self.fingerprint):
            raise ValueError(
                f"This run was evaluated with another {self.extract.name}, so its scores are not "
                "comparable with new ones. The library, the data or the weights file have changed "
                "since; start a new run in another folder."
            )
