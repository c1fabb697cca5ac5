"""Scores of translated images: KID, FID, accuracy, FCN-scores, and reconstruction."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property, partial

import numpy as np
import torch
from torch import nn

from moonas.data.batches import Images
from moonas.data.form import center_crop
from moonas.data.stores import FileStore
from moonas.metrics.features import Extractor, classifier_from_pixels, feature_network
from moonas.metrics.frechet import FrechetDistance, moments
from moonas.metrics.kernel import kernel_distance
from moonas.nets.devices import repeatable
from moonas.nets.from_function import network_from_function
from moonas.run.callbacks import Callbacks

from .data import DomainsInfo
from .domains import IGNORED, Domain, join
from .segmentation import count_pixels, segmentation_scores
from .settings import CycleSettings
from .training import TARGET, scale_pixels

MAX_PSNR = 100.0  # in dB; of images that are translated back without any error
Generators = nn.ModuleDict | Mapping[str, nn.Module]  # by source domain, "a" and "b"


def check_quality(settings: CycleSettings, info: DomainsInfo) -> None:
    """Raise a ``ValueError`` if a network that the settings name for scoring cannot be loaded."""
    if settings.segmentation is not None:
        network_from_function("segmentation", settings.segmentation)
    if settings.features != "classifier":
        feature_network(
            settings.features,
            info.shape,
            "cpu",
            inception_weights=settings.inception_weights,
        )


class Quality:
    """Scores generators on the test set.

    Scores of translated images, by the name that precedes the source domain (``kid_a``):

    - ``kid``: kernel distance between the features of translated images and of real test images of
      the target domain, a mean over random halves of the images, and ``kid_std``, its standard
      deviation over the halves. It needs few images, since its mean does not depend on their
      number;
    - ``fid``: the Frechet distance. For folders, it is left out if there are not more images than
      features, unless these are Inception's, with which the literature reports it nevertheless;
    - ``accuracy`` (%), for digits: share of translated images that a classifier of the target
      domain assigns to the correct digit;
    - ``recognized`` (%), for a folder and its classifier: share of translated images that the
      classifier assigns to the target domain;
    - ``pixel_accuracy``, ``class_accuracy`` and ``mean_iou`` (%): FCN-scores, which require label
      maps and a segmentation network;
    - ``cycle_error`` (%): mean absolute difference between test images and their translations back,
      relative to the range of pixels; and ``cycle_psnr`` (dB): their peak signal-to-noise ratio.

    The features of digits are those of a classifier of the target domain. For images from a folder,
    they are those of a classifier that tells the two domains apart, which is trained on the images
    that are not in the test set. It needs no download and no labels, but it has seen few images;
    distances with a large network (setting ``features``) are closer to the judgment of people, and
    those with Inception are comparable with the literature.

    Args:
        settings: settings of the stage.
        info: description of the two domains.
        data: images of both domains, "a" and "b".
        device: device of the generators and of the networks that compute scores.
        callbacks: callbacks that receive the progress of the training of a classifier.

    Raises:
        ValueError: the segmentation network cannot be built.
    """

    def __init__(
        self,
        settings: CycleSettings,
        info: DomainsInfo,
        data: Mapping[str, Domain],
        device: torch.device,
        callbacks: Callbacks | None = None,
    ) -> None:
        self.settings, self.info, self.data, self.device = settings, info, data, device
        self.callbacks = callbacks
        self.segment: nn.Module | None = None
        if settings.segmentation is not None:
            segment = network_from_function("segmentation", settings.segmentation)
            self.segment = segment.to(device).eval()

    @cached_property
    def classifiers(self) -> dict[str, Extractor]:
        """Classifier of the digits of each domain; empty for images without classes."""
        if self.info.n_classes is None:
            return {}
        classifiers = {}
        for k, domain in self.data.items():
            # all domains with classes have labeled images
            assert domain.labeled is not None and domain.labels is not None
            pixels = domain.labeled.float() / 255
            name = f"classifier of {self.info.name}, domain {k.upper()}"
            classifiers[k] = classifier_from_pixels(
                pixels, domain.labels, self.info.n_classes, name, self.device
            )
        return classifiers

    @property
    def uses_domain_classifier(self) -> bool:
        """Whether the features are those of a classifier that tells the two domains apart."""
        s = self.settings
        return (
            self.info.n_classes is None
            and s.features == "classifier"
            and s.inception_weights is None
        )

    @cached_property
    def extract(self) -> dict[str, Extractor]:
        """Network that computes the features of images of each domain."""
        s = self.settings
        if s.features == "classifier" and self.classifiers:
            return self.classifiers
        if self.uses_domain_classifier:
            extract = self._domain_classifier()
        else:
            features = "inception" if s.features == "classifier" else s.features
            extract = feature_network(
                features,
                self.info.shape,
                self.device,
                inception_weights=s.inception_weights,
            )
        return {k: extract for k in "ab"}

    def _domain_classifier(self) -> Extractor:
        """Return a classifier of the two domains, trained on all images but the test set."""

        def labeled(
            a: torch.Tensor | FileStore, b: torch.Tensor | FileStore
        ) -> tuple[Images, torch.Tensor]:
            """Return images with pixels in [0, 1], and their domains, 0 for A, 1 for B."""
            labels = torch.tensor([0] * len(a) + [1] * len(b))
            store = join(a, b)
            return Images(store, partial(center_crop, size=self.info.size)), labels

        pixels, labels = labeled(self.data["a"].known, self.data["b"].known)
        return classifier_from_pixels(
            pixels,
            labels,
            2,
            f"classifier of the domains of {self.info.name}",
            self.device,
            test=labeled(self.data["a"].test, self.data["b"].test),
            flip=self.settings.flip,
            on_progress=None if self.callbacks is None else self.callbacks.on_progress,
        )

    @cached_property
    def real(self) -> dict[str, np.ndarray]:
        """Features of the test images of each domain, (n, d)."""
        with repeatable(self.settings.threads):
            return {
                k: extract((self.data[k].test.float() / 255).to(self.device))[0]
                for k, extract in self.extract.items()
            }

    @cached_property
    def distance(self) -> dict[str, FrechetDistance]:
        """Function from features to their Frechet distance from the test images of each domain."""
        return {k: FrechetDistance(moments(features)) for k, features in self.real.items()}

    def translate(self, generator: nn.Module, images: torch.Tensor) -> torch.Tensor:
        """Translate images.

        Args:
            generator: generator on the device.
            images: (n, 3, h, w) uint8 pixels.

        Returns:
            (n, 3, h, w) pixels in [0, 1], on the device.
        """
        batches = torch.split(images, self.settings.score_batch)
        with torch.inference_mode():
            translated = [generator(scale_pixels(batch.to(self.device))) for batch in batches]
            return (torch.cat(translated) + 1) / 2

    def evaluate(self, generators: Generators) -> dict[str, float]:
        """Score both generators on the test set.

        Args:
            generators: generators by source domain.

        Returns:
            Scores by name and source domain, such as ``accuracy_a``. There are no scores for a
            generator that returns non-finite pixels.
        """
        scores: dict[str, float] = {}
        with repeatable(self.settings.threads):
            for k, domain in self.data.items():
                translated = self.translate(generators[k].eval(), domain.test)
                of_direction = self._scores(translated, domain, TARGET[k])
                if bool(translated.isfinite().all()):
                    back = generators[TARGET[k]].eval()
                    of_direction |= self._cycle_scores(translated, domain.test, back)
                scores |= {f"{name}_{k}": value for name, value in of_direction.items()}
        return scores

    def evaluate_untranslated(self) -> dict[str, float]:
        """Score the test images of each domain as if they were translations, for comparison."""
        scores = {}
        with repeatable(self.settings.threads):
            for k, domain in self.data.items():
                pixels = (domain.test.float() / 255).to(self.device)
                for name, value in self._scores(pixels, domain, TARGET[k]).items():
                    scores[f"{name}_{k}"] = value
        return scores

    def describe_features(self) -> str:
        """Return the name of the network behind FID and KID, and what would be better, as text."""
        a, b = self.extract["a"], self.extract["b"]
        if a is not b:
            return f"Feature networks: {a.name} for B to A, and {b.name} for A to B."
        if not self.uses_domain_classifier:
            return a.describe()
        return (
            f"{a.describe()} It has seen few images: features=torchvision:NAME or timm:NAME "
            "agree better with the judgment of people, and features=inception is comparable with "
            "the literature."
        )

    def _scores(self, translated: torch.Tensor, source: Domain, target: str) -> dict[str, float]:
        """Score the translated test images of a domain.

        Args:
            translated: (n, 3, h, w) pixels in [0, 1].
            source: domain of the images before translation.
            target: name of the domain to which the images are translated.
        """
        scores: dict[str, float] = {}
        if not bool(translated.isfinite().all()):
            return scores
        features, log_probabilities = self.extract[target](translated)
        scores |= self._distances(features, target)
        if self.uses_domain_classifier:
            is_target = log_probabilities.argmax(1) == "ab".index(target)
            scores["recognized"] = 100 * float(is_target.mean())
        if target in self.classifiers and source.test_labels is not None:
            classifier = self.classifiers[target]
            if classifier is not self.extract[target]:
                log_probabilities = classifier(translated)[1]
            correct = log_probabilities.argmax(1) == source.test_labels.numpy()
            scores["accuracy"] = 100 * float(correct.mean())
        if self.segment is not None and source.test_maps is not None:
            counts = []
            size = self.settings.score_batch
            for batch, maps in zip(
                torch.split(translated, size), torch.split(source.test_maps, size), strict=True
            ):
                with torch.inference_mode():
                    logits = self.segment(batch)
                counts.append(count_pixels(logits, maps.to(self.device), IGNORED))
            scores |= segmentation_scores(torch.stack(counts).sum(0))
        return scores

    def _distances(self, features: np.ndarray, target: str) -> dict[str, float]:
        """Return FID, if there are enough images, and KID, if there are two of each kind.

        Args:
            features: (n, d) features of translated images.
            target: name of the domain to which the images are translated.
        """
        scores: dict[str, float] = {}
        real = self.real[target]
        n = min(len(real), len(features))
        if n < 2:
            return scores
        is_comparable = self.classifiers or self.extract[target].name == "inception"
        if n > real.shape[1] or is_comparable:
            scores["fid"] = float(self.distance[target](features))
        half = max(2, n // 2)
        scores["kid"], scores["kid_std"] = kernel_distance(real, features, subset_size=half)
        return scores

    def _cycle_scores(
        self, translated: torch.Tensor, images: torch.Tensor, back: nn.Module
    ) -> dict[str, float]:
        """Compare images with their translations back.

        Args:
            translated: (n, 3, h, w) translations, pixels in [0, 1], on the device.
            images: (n, 3, h, w) uint8 images that were translated.
            back: generator from the target domain to the source domain.
        """
        absolute = squared = 0.0
        size = self.settings.score_batch
        with torch.inference_mode():
            for batch, x in zip(
                torch.split(translated, size), torch.split(images, size), strict=True
            ):
                returned = (back(2 * batch - 1) + 1) / 2
                difference = (returned - x.to(self.device).float() / 255).double()
                absolute += float(difference.abs().sum())
                squared += float(difference.square().sum())
        n = images.numel()
        if not np.isfinite(squared):
            return {}
        psnr = -10 * np.log10(max(squared / n, 10 ** (-MAX_PSNR / 10)))
        return {"cycle_error": 100 * absolute / n, "cycle_psnr": float(psnr)}
