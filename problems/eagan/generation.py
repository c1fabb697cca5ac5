"""Real images that generators are trained on and compared with."""

import hashlib
import io
import math

import numpy as np
import torch

from moonas.data import load
from moonas.files import cached
from moonas.files.tensors import tensor_bytes
from moonas.metrics.features import (
    check_labels,
    classifier,
    classifier_name,
    inception,
    pixels_of,
)
from moonas.metrics.frechet import FrechetDistance, Moments, moments
from moonas.metrics.inception_score import inception_score
from moonas.nets.devices import repeatable
from moonas.problem import Column

ALIKE = 1 / 255  # standard deviation of every pixel below which all images are one
CEILINGS = {"classifier": 200.0, "inception": 1000.0}  # FIDs beyond say nothing more


def generation_columns(settings, info):
    """The columns fid and inverse_is, which name the features that they are made from."""
    of = "inception"
    if settings.features == "classifier":
        check_labels(info)
        of = classifier_name(info)
    ceiling = CEILINGS[settings.features]
    return [
        Column("fid", of, worst=ceiling, bounds=(0, ceiling)),
        Column("inverse_is", of, worst=1.0, bounds=(0, 1)),
    ]


class Generation:
    """Real images on a device, and how near generated ones come to them.

    FID is to all real images that are there, with covariances divided by n - 1; the Inception Score
    is that of the generated ones. The images for the final test are not touched, unless this is it.

    Args:
        settings: a :class:`~moonas.problems.eagan.settings.GenerationSettings`.
        info: of the data set.
        device: a ``torch.device``.
        final: train on all images to search with, as ever, but compare with those for the test.
    """

    def __init__(self, settings, info, device, final=False):
        self.settings, self.info, self.device, self.final = settings, info, device, final
        self.images = None  # real ones to train on, (n, c, h, w) in [-1, 1], once loaded
        self.classes = ()

    def load(self):
        """Read the images and prepare the features, unless that is done."""
        if self.images is not None:
            return
        s = self.settings
        data = load(s.data, root=s.root, download=s.download, image_size=s.image_size)
        self.classes = data.classes
        if s.features == "inception":
            self.extract = inception(self.device, s.inception_weights)
        else:
            self.extract = classifier(data, self.device)
        real = pixels_of(data, data.test_images if self.final else data.images)
        if len(real) < 2:
            raise ValueError(f"FID wants 2 real images at least; {s.data} has {len(real)}.")
        self.distance = FrechetDistance(self._moments(real))
        images = (2 * pixels_of(data, data.images) - 1).to(self.device)
        self.images = images.contiguous(memory_format=torch.channels_last)

    def _moments(self, real):
        asked = hashlib.sha256(self.extract.fingerprint.encode())
        asked.update(tensor_bytes(real))
        asked.update(self.device.type.encode())  # whose last bits differ

        def compute():
            with repeatable(1):
                found = moments(self.extract(real.to(self.device))[0])
            buffer = io.BytesIO()
            np.savez(buffer, mean=found.mean, covariance=found.covariance, n=found.n)
            return buffer.getvalue()

        stored = cached(f"moments-{asked.hexdigest()[:32]}.npz", compute)
        with np.load(io.BytesIO(stored), allow_pickle=False) as found:
            return Moments(found["mean"], found["covariance"], int(found["n"]))

    @torch.inference_mode()
    def generate(self, generator, latents):
        """Images of a generator as pixels from 0 to 1, (n, c, h, w).

        Args:
            generator: (b, latent) -> (b, c, h, w) in [-1, 1].
            latents: (n, latent) on the device.
        """
        parts = [generator(part) for part in latents.split(self.settings.score_batch)]
        return (torch.cat(parts) + 1) / 2

    def evaluate(self, generator, latents):
        """FID, 1 / Inception Score and the share of each class among generated images.

        Args:
            generator: (b, latent) -> (b, c, h, w) in [-1, 1].
            latents: (n, latent) on the device.

        Returns:
            A dict: fid (at most its ceiling) and inverse_is, both NaN where an image or a feature
            is not finite, or all images are one; and shares, (n_classes,), of the images that the
            network of the features takes for each class.
        """
        pixels = self.generate(generator, latents)
        failed = {"fid": math.nan, "inverse_is": math.nan, "shares": np.empty(0)}
        if not bool(pixels.isfinite().all()) or float(pixels.std(dim=0).max()) < ALIKE:
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
    def fingerprint(self):
        """What tells the features from any others, as a tensor that a state can hold."""
        return torch.tensor(list(bytes.fromhex(self.extract.fingerprint)), dtype=torch.uint8)

    def check_fingerprint(self, mark):
        """Refuse weights of a run that was scored by other features.

        Raises:
            ValueError: the mark is another.
        """
        if not torch.equal(mark.cpu(), self.fingerprint):
            raise ValueError(
                f"This run was scored with another {self.extract.name} than the one at hand, and "
                "their scores do not compare. The library, the data or the file of weights have "
                "changed since; start the run again in another folder."
            )
