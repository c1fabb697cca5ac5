"""Image features that a network extracts, for Frechet distances and other measures of images.

:func:`feature_network` returns an :class:`.extractor.Extractor` for each network that moonas can
use. Results with pytorch-fid's Inception are comparable with the literature. A classifier that is
trained on the data set is for machines without the Inception weights, and for data on which
Inception features are not informative. Results with different networks are not comparable, so each
extractor has a name, which is the unit of the results, and a fingerprint.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import nn

from .classifiers import (
    CLASSIFIER_RECIPE,
    CLASSIFIER_WIDTHS,
    SMALL_SIDE,
    Classifier,
    Progress,
    ResidualClassifier,
    classifier,
    classifier_from_pixels,
    classifier_name,
    require_one_label_per_image,
)
from .extractor import Extractor, denormalize
from .feature_spec import EXTRACTORS, parse_features
from .inception import Inception, inception
from .pretrained import (
    file_extractor,
    function_extractor,
    library_name,
    module_extractor,
    timm_extractor,
    timm_has_logits,
    torchvision_extractor,
)

if TYPE_CHECKING:
    from ..data.images import DataInfo, ImageData

__all__ = [
    "CLASSIFIER_RECIPE",
    "CLASSIFIER_WIDTHS",
    "EXTRACTORS",
    "SMALL_SIDE",
    "Classifier",
    "Extractor",
    "Inception",
    "ResidualClassifier",
    "classifier",
    "classifier_from_pixels",
    "classifier_name",
    "denormalize",
    "describe_features",
    "feature_network",
    "inception",
    "parse_features",
    "require_one_label_per_image",
]


def feature_network(
    features: str | nn.Module,
    image_shape: Sequence[int],
    device: torch.device | str,
    *,
    data: ImageData | None = None,
    inception_weights: str | Path | None = None,
    name: str | None = None,
    on_progress: Progress | None = None,
) -> Extractor:
    """Return the extractor of a feature network.

    ===================================  ======================================================
    ``features``                         network
    ===================================  ======================================================
    ``classifier``                       classifier of ``data``, trained on the first call
    ``inception``                        pytorch-fid's Inception; ``inception_weights`` or download
    ``torchvision:NAME``                 network of torchvision; its default weights, or
    ``torchvision:NAME=FILE``            weights from a file
    ``timm:NAME``, ``timm:NAME=FILE``    network of timm, likewise
    path of a file or folder             TorchScript, or a classifier that ``moonas train`` wrote
    ``package.module:function``,         module that a function without arguments returns
    ``file.py:function``
    a ``torch.nn.Module``                the module
    ===================================  ======================================================

    Modules of your own, and TorchScript files, map images (b, c, h, w) with pixels in [0, 1] to
    features (b, d), or to a tuple of features and logits (b, n_classes). They resize and normalize
    images themselves. For all other networks, images are resized and normalized as each of them
    requires; see :mod:`.pretrained`. The channel of grayscale images is repeated three times for
    networks that require three channels.

    Args:
        features: the network, see the table.
        image_shape: shape (c, h, w) of the images.
        device: device to extract features on.
        data: data set of ``classifier``.
        inception_weights: file with the weights of ``inception``; by default, they are downloaded
            if they are missing.
        name: name of a ``torch.nn.Module``; by default, that of its class.
        on_progress: called with (phase, done, total, unit) while ``classifier`` is trained.

    Raises:
        ValueError: if the network is unknown, cannot be loaded, or does not fit the images.
    """
    if isinstance(features, nn.Module):
        return module_extractor(features, name or type(features).__name__, image_shape, device)
    spec = parse_features(features)
    if spec.kind == "inception":
        return inception(device, inception_weights)
    if spec.kind == "classifier":
        if data is None or not data.info.labeled:
            raise ValueError(
                "features='classifier' is invalid: it requires labeled images to train on. Choose "
                "a network that is already trained, such as features=inception."
            )
        return classifier(data, device, on_progress=on_progress)
    if spec.kind == "torchvision":
        return torchvision_extractor(spec.name, spec.location, image_shape, device)
    if spec.kind == "timm":
        return timm_extractor(spec.name, spec.location, image_shape, device)
    assert spec.location is not None  # the two remaining kinds have one
    if spec.kind == "function":
        return function_extractor(spec.location, spec.name, image_shape, device)
    return file_extractor(spec.location, image_shape, device)


def describe_features(features: str, info: DataInfo) -> tuple[str, bool]:
    """Return the name of a feature network, and whether it has logits.

    Nothing is trained or downloaded. Networks from files and functions are loaded.

    Args:
        features: text for :func:`feature_network`.
        info: description of the data set.

    Raises:
        ValueError: if the text is invalid, or the network cannot be loaded or does not fit the
            images.
    """
    spec = parse_features(features)
    if spec.kind == "classifier":
        require_one_label_per_image(info)
        return classifier_name(info), True
    if spec.kind == "inception":
        return "inception", True
    if spec.kind == "torchvision":
        return library_name("torchvision", spec.name, spec.location), True
    if spec.kind == "timm" and spec.location is None:
        return library_name("timm", spec.name, None), timm_has_logits(spec.name)
    extract = feature_network(features, (info.channels, info.side, info.side), "cpu")
    return extract.name, extract.has_logits
