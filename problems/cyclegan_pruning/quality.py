"""Scores of translated images: accuracy or FCN-scores, and FID."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Mapping
from types import ModuleType

import torch
from torch import nn

from moonas.metrics.features import Extractor, classifier_from_pixels, inception
from moonas.metrics.frechet import FrechetDistance, moments
from moonas.nets.devices import repeatable

from .data import DomainsInfo
from .domains import IGNORED, Domain
from .segmentation import count_pixels, segmentation_scores
from .settings import CycleSettings
from .training import TARGET, scale_pixels

Generators = nn.ModuleDict | Mapping[str, nn.Module]  # by source domain, "a" and "b"


def check_quality(settings: CycleSettings) -> None:
    """Raise a ``ValueError`` if the settings name a segmentation network that cannot be built."""
    if settings.segmentation is not None:
        segmentation_network(settings.segmentation)


class Quality:
    """Scores generators on the test set.

    For digits, ``accuracy`` (%) is the share of translated images that a classifier of the target
    domain assigns to the correct digit. ``fid`` is the Frechet distance between the features that
    this classifier computes for translated images and for real test images of the target domain.

    For images from a folder, the FCN-scores ``pixel_accuracy``, ``class_accuracy`` and ``mean_iou``
    (%) require label maps and a segmentation network; ``fid`` requires the weights of Inception.

    Args:
        settings: settings of the stage.
        info: description of the two domains.
        data: images of both domains, "a" and "b".
        device: device of the generators and of the networks that compute scores.

    Raises:
        ValueError: the segmentation network cannot be built.
    """

    def __init__(
        self,
        settings: CycleSettings,
        info: DomainsInfo,
        data: Mapping[str, Domain],
        device: torch.device,
    ) -> None:
        self.settings, self.info, self.data, self.device = settings, info, data, device
        self.extract: dict[str, Extractor] = {}
        self.distance: dict[str, FrechetDistance] = {}
        self.segment: nn.Module | None = None
        if info.n_classes is not None:
            for k, domain in data.items():
                # all domains with classes have labeled images
                assert domain.labeled is not None and domain.labels is not None
                pixels = domain.labeled.float() / 255
                name = f"classifier of {info.name}, domain {k.upper()}"
                self.extract[k] = classifier_from_pixels(
                    pixels, domain.labels, info.n_classes, name, device
                )
        elif settings.inception_weights is not None:
            extract = inception(device, settings.inception_weights)
            self.extract = {k: extract for k in "ab"}
        if settings.segmentation is not None:
            self.segment = segmentation_network(settings.segmentation).to(device).eval()
        for k, extract in self.extract.items():
            with repeatable(settings.threads), torch.inference_mode():
                real = (data[k].test.float() / 255).to(device)
                self.distance[k] = FrechetDistance(moments(extract(real)[0]))

    def translate(self, generator: nn.Module, images: torch.Tensor) -> torch.Tensor:
        """Translate images.

        Args:
            generator: generator on the device.
            images: (n, 3, side, side) uint8 pixels.

        Returns:
            (n, 3, side, side) pixels in [0, 1], on the device.
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
        scores = {}
        with repeatable(self.settings.threads):
            for k, domain in self.data.items():
                translated = self.translate(generators[k].eval(), domain.test)
                for name, value in self._scores(translated, domain, TARGET[k]).items():
                    scores[f"{name}_{k}"] = value
        return scores

    def _scores(self, translated: torch.Tensor, source: Domain, target: str) -> dict[str, float]:
        """Score the translated test images of a domain.

        Args:
            translated: (n, 3, side, side) pixels in [0, 1].
            source: domain of the images before translation.
            target: name of the domain to which the images are translated.
        """
        scores: dict[str, float] = {}
        if not bool(translated.isfinite().all()):
            return scores
        if target in self.extract:
            features, log_probabilities = self.extract[target](translated)
            scores["fid"] = float(self.distance[target](features))
            if source.test_labels is not None:
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


def segmentation_network(function: str) -> nn.Module:
    """Build a segmentation network.

    Args:
        function: location of a function without arguments that returns the network, as
            ``package.module:function`` or ``file.py:function``.

    Returns:
        A network that maps (b, 3, h, w) pixels in [0, 1] to (b, n_classes, h, w) logits.

    Raises:
        ValueError: the function does not exist, fails, or does not return a network.
    """
    location, _, name = function.rpartition(":")
    try:
        network = getattr(_import(location), name)()
    except (ImportError, OSError, AttributeError, TypeError, ValueError) as error:
        raise ValueError(
            f"segmentation={function!r} is invalid: expected package.module:function or "
            f"file.py:function, where the function returns a network ({error})."
        ) from None
    if not isinstance(network, nn.Module):
        raise ValueError(
            f"segmentation={function!r} is invalid: expected a function that returns a network; "
            f"the function returned a {type(network).__name__}."
        )
    return network


def _import(location: str) -> ModuleType:
    """Import a module by name, or from a file whose path ends in ``.py``."""
    if not location.endswith(".py"):
        return importlib.import_module(location)
    spec = importlib.util.spec_from_file_location("segmentation", location)
    assert spec is not None and spec.loader is not None  # a .py file always has a loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
