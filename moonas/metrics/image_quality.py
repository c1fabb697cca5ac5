"""All measures of generated images relative to real images, in the space of a feature network."""

from __future__ import annotations

import hashlib
import io
from functools import cached_property
from pathlib import Path

import numpy as np
import torch

from ..data.batches import Images, take
from ..files import cached
from ..files.tensors import tensor_bytes
from ..nets.devices import repeatable
from ..nets.randomness import generator
from .extractor import Extractor
from .frechet import FrechetDistance, Moments, moments, read_statistics
from .inception_score import inception_score
from .kernel import kernel_distance
from .neighbors import density_coverage, precision_recall

MEASURES = ("fid", "is_mean", "is_std", "kid", "precision", "recall", "density", "coverage")
DIGESTED_AT_ONCE = 1000  # images
MAX_IMAGES = 10_000  # of each kind in KID and nearest neighbors, whose time is quadratic
K_PRECISION, K_DENSITY = 3, 5  # neighbors in the papers


class RealImages:
    """Real images that generated images are compared with.

    Args:
        extract: extractor of the feature network.
        pixels: n >= 2 real images, whose batches are (b, c, h, w) pixels in [0, 1]. With
            ``statistics``, only the number of features is determined from them.
        device: device that computes the features.
        statistics: file with mean and covariance of the features of real images, see
            :func:`.frechet.read_statistics`. FID is relative to these statistics, and measures that
            require features of real images are left out.

    Raises:
        ValueError: if there are fewer than two images, or the statistics are invalid.
    """

    def __init__(
        self,
        extract: Extractor,
        pixels: torch.Tensor | Images,
        device: torch.device,
        statistics: str | Path | None = None,
    ) -> None:
        self.extract, self.pixels, self.device = extract, pixels, device
        self.statistics = statistics
        if statistics is not None:
            n_features = extract(pixels[:2].to(device))[0].shape[1]
            real = read_statistics(statistics, n_features)
        elif len(pixels) < 2:
            raise ValueError(f"FID requires at least 2 real images, got {len(pixels)}.")
        else:
            real = self._moments()
        self.distance = FrechetDistance(real)

    def _moments(self) -> Moments:
        """Return mean and covariance of the features of the real images, cached on disk."""
        key = hashlib.sha256(self.extract.fingerprint.encode())
        for part in self.pixels.split(DIGESTED_AT_ONCE):
            key.update(tensor_bytes(part))
        key.update(self.device.type.encode())  # rounding errors depend on the device

        def compute() -> bytes:
            with repeatable(1):
                result = moments(self.extract(self.pixels.to(self.device))[0])
            buffer = io.BytesIO()
            np.savez(buffer, mean=result.mean, covariance=result.covariance, n=result.n)
            return buffer.getvalue()

        stored = cached(f"moments-{key.hexdigest()[:32]}.npz", compute)
        with np.load(io.BytesIO(stored), allow_pickle=False) as arrays:
            return Moments(arrays["mean"], arrays["covariance"], int(arrays["n"]))

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the feature network and, if they are from a file, of the real statistics."""
        if self.statistics is None:
            return self.extract.fingerprint
        real, digest = self.distance.real, hashlib.sha256(self.extract.fingerprint.encode())
        for array in (real.mean, real.covariance):
            digest.update(array.tobytes())
        return digest.hexdigest()

    @cached_property
    def features(self) -> np.ndarray:
        """Features of at most 10,000 real images in random order, (n, d), kept in memory."""
        order = torch.randperm(len(self.pixels), generator=generator("real images", "order"))
        return self.extract(take(self.pixels, order[:MAX_IMAGES]).to(self.device))[0]

    def measure(
        self, features: np.ndarray, log_probabilities: np.ndarray, is_splits: int = 1
    ) -> dict[str, float]:
        """Compute all measures of generated images.

        KID, precision, recall, density and coverage compare equal numbers of real and generated
        images, at most 10,000 of each: a random subset of the real images, and the first generated
        images.

        Args:
            features: (n, d) features of generated images, n >= 2.
            log_probabilities: (n, n_classes) log probabilities that the feature network assigns.
            is_splits: number of splits of the Inception Score.

        Returns:
            ``fid``; ``is_mean`` and ``is_std``, NaN if the network has no logits; ``kid``, and its
            standard deviation over subsets ``kid_std``; ``precision``, ``recall``, ``density`` and
            ``coverage``. KID and the other measures of neighbors are absent if the real statistics
            come from a file. Measures of neighbors are absent, too, if there are not more than 5
            images of each kind.

        Raises:
            ValueError: if the features are invalid, see :func:`.frechet.check_features`.
        """
        mean, std = inception_score(log_probabilities, is_splits)
        result = {"fid": self.distance(features), "is_mean": mean, "is_std": std}
        if self.statistics is not None:
            return result
        n = min(len(features), len(self.features), MAX_IMAGES)
        real, generated = self.features[:n], features[:n]
        result["kid"], result["kid_std"] = kernel_distance(real, generated)
        if n > K_DENSITY:
            result["precision"], result["recall"] = precision_recall(real, generated, K_PRECISION)
            result["density"], result["coverage"] = density_coverage(real, generated, K_DENSITY)
        return result
