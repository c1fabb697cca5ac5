"""How good translations are: FCN-scores, by a classifier or a segmentation network, and FID."""

import importlib
import importlib.util

import torch

from moonas.metrics.features import classifier_from_pixels, inception
from moonas.metrics.frechet import FrechetDistance, moments
from moonas.nets.devices import repeatable

from .domains import IGNORED
from .segmentation import count_pixels, segmentation_scores
from .training import OTHER, pixels


def check_quality(settings):
    """Raise a ``ValueError`` where a segmentation network is named that cannot be made."""
    if settings.segmentation is not None:
        segmentation_network(settings.segmentation)


class Quality:
    """Judges generators by the images for the final test.

    For digits, ``accuracy`` (%) is the share of translated images that a classifier of the target
    domain reads as the right digit, and ``fid`` the Frechet distance of its features to the target
    domain's own. For images of a folder, ``pixel_accuracy``, ``class_accuracy`` and ``mean_iou``
    (%) are those of the network that the settings name, where there are label maps; and ``fid`` is
    that of Inception, where the settings name its weights.

    Args:
        settings: a :class:`~moonas.problems.cyclegan_pruning.settings.CycleSettings`.
        info: of the data.
        data: {"a": Domain, "b": Domain}.
        device: a ``torch.device``.

    Raises:
        ValueError: the segmentation network cannot be made.
    """

    def __init__(self, settings, info, data, device):
        self.settings, self.info, self.data, self.device = settings, info, data, device
        self.extract, self.distance, self.segment = {}, {}, None
        if info.n_classes is not None:
            for k, domain in data.items():
                own = domain.known.float() / 255
                name = f"classifier of {info.name}, domain {k.upper()}"
                self.extract[k] = classifier_from_pixels(
                    own, domain.labels, info.n_classes, name, device
                )
        elif settings.inception_weights is not None:
            self.extract = dict.fromkeys("ab", inception(device, settings.inception_weights))
        if settings.segmentation is not None:
            self.segment = segmentation_network(settings.segmentation).to(device).eval()
        for k, extract in self.extract.items():
            with repeatable(settings.threads), torch.inference_mode():
                real = (data[k].test.float() / 255).to(device)
                self.distance[k] = FrechetDistance(moments(extract(real)[0]))

    @torch.inference_mode()
    def translate(self, generator, images):
        """Translations of uint8 images as pixels from 0 to 1, on the device."""
        parts = images.split(self.settings.score_batch)
        made = [generator(pixels(part.to(self.device))) for part in parts]
        return (torch.cat(made) + 1) / 2

    def evaluate(self, generators):
        """Scores of both generators.

        Args:
            generators: {"a": module, "b": module}.

        Returns:
            A dict of numbers by score and the domain that was translated, as ``accuracy_a``.
        """
        found = {}
        with repeatable(self.settings.threads):
            for k, domain in self.data.items():
                made = self.translate(generators[k].eval(), domain.test)
                for name, value in self._of(made, domain, OTHER[k]).items():
                    found[f"{name}_{k}"] = value
        return found

    def _of(self, made, domain, target):
        scores = {}
        if not bool(made.isfinite().all()):
            return scores
        if target in self.extract:
            features, logs = self.extract[target](made)
            scores["fid"] = float(self.distance[target](features))
            if domain.test_labels is not None:
                right = logs.argmax(1) == domain.test_labels.numpy()
                scores["accuracy"] = 100 * float(right.mean())
        if self.segment is not None and domain.test_maps is not None:
            counts = 0
            n = self.settings.score_batch
            for part, maps in zip(made.split(n), domain.test_maps.split(n), strict=True):
                with torch.inference_mode():
                    logits = self.segment(part)
                counts = counts + count_pixels(logits, maps.to(self.device), IGNORED)
            scores |= segmentation_scores(counts)
        return scores


def segmentation_network(words):
    """What a function makes: a network of images (b, 3, h, w), pixels from 0 to 1, whose logits are
    (b, n_classes, h, w).

    Args:
        words: ``package.module:function`` or ``file.py:function``.

    Raises:
        ValueError: there is no such function, or it returns something else.
    """
    where, _, name = words.rpartition(":")
    try:
        network = getattr(_module(where), name)()
    except (ImportError, OSError, AttributeError, TypeError, ValueError) as error:
        raise ValueError(
            f"segmentation={words!r} will not do: package.module:function or file.py:function, "
            f"which returns a network ({error})."
        ) from None
    if not isinstance(network, torch.nn.Module):
        raise ValueError(
            f"segmentation={words!r} will not do: it returns a {type(network).__name__}, and a "
            "network is wanted."
        )
    return network


def _module(where):
    """A module by name, or that of a file."""
    if not where.endswith(".py"):
        return importlib.import_module(where)
    spec = importlib.util.spec_from_file_location("segmentation", where)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
