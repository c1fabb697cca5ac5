"""Image features that a trained network extracts, for Frechet distances and Inception Scores.

Two networks are available. Results with pytorch-fid's Inception are comparable with the literature.
A small classifier that is trained on the data set is for machines without the Inception weights,
and for data on which Inception features are not informative. Results with different networks are
not comparable, so each extractor has a name and a fingerprint.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from ..data.images import DATA_SETS, FOLDER_SIDE
from ..files import cached
from ..files.tensors import first_line, tensor_bytes
from ..nets.devices import repeatable
from ..nets.randomness import generator, initial_weights
from ..training.sgd import Recipe, make_optimizer, train_epochs

if TYPE_CHECKING:
    from ..data.images import DataInfo, ImageData

EXTRACTORS = ("classifier", "inception")
CLASSIFIER_WIDTHS = (
    32,
    64,
    64,
)  # channels per layer; the last is the number of features
CLASSIFIER_RECIPE = Recipe(
    batch=64,
    learning_rate=0.1,
    learning_rate_end=0.0,
    momentum=0.9,
    weight_decay=5e-4,
    clip=5.0,
    horizon=30,
)


@dataclass(frozen=True)
class Extractor:
    """A network that extracts features.

    Args:
        name: description of the network, such as ``digits classifier``.
        fingerprint: SHA-256 of the weights, in hexadecimal digits.
        net: images (b, c, h, w), pixels in [0, 1] -> features (b, d) and logits (b, n_classes).
    """

    name: str
    fingerprint: str
    net: nn.Module

    @torch.inference_mode()
    def __call__(self, images: torch.Tensor, batch: int = 250) -> tuple[np.ndarray, np.ndarray]:
        """Extract features and log probabilities.

        Args:
            images: (n, c, h, w), pixels in [0, 1].
            batch: number of images per forward pass; it affects rounding errors only.

        Returns:
            float64 features (n, d) and log probabilities (n, n_classes).
        """
        outputs = [self.net(part) for part in torch.split(images, batch)]
        features = torch.cat([f for f, _ in outputs])
        logs = torch.cat([logits.double().log_softmax(1) for _, logits in outputs])
        return features.double().cpu().numpy(), logs.cpu().numpy()


class Classifier(nn.Module):
    """A network of three 3x3 convolutions, the last two with stride 2, and a linear classifier.

    Args:
        in_channels: number of channels of the images.
        n_classes: number of classes.
    """

    def __init__(self, in_channels: int, n_classes: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        c_in = in_channels
        for i, width in enumerate(CLASSIFIER_WIDTHS):
            layers += [
                nn.Conv2d(c_in, width, 3, 2 if i else 1, 1, bias=False),
                nn.BatchNorm2d(width),
                nn.ReLU(),
            ]
            c_in = width
        self.body = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.head = nn.Linear(c_in, n_classes)

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Map images (b, c, h, w), pixels in [0, 1], to features and logits."""
        features = self.body(2 * images - 1)
        return features, self.head(features)


def classifier(data: ImageData, device: torch.device | str) -> Extractor:
    """Return an extractor whose network is a classifier trained on a data set.

    Args:
        data: the data set, an :class:`~moonas.data.images.ImageData` with one label per image.
        device: device to extract features on.

    Raises:
        ValueError: if images can have several labels.
    """
    info = data.info
    require_one_label_per_image(info)
    pixels = denormalize(data, data.images)
    name = classifier_name(info)
    return classifier_from_pixels(pixels, data.labels, info.n_classes, name, device)


def classifier_from_pixels(
    pixels: torch.Tensor,
    labels: torch.Tensor,
    n_classes: int,
    name: str,
    device: torch.device | str,
) -> Extractor:
    """Return an extractor whose network is a classifier trained on the given images.

    The classifier is trained once, on one CPU thread, and cached, so all runs use the same weights.

    Args:
        pixels: (n, c, h, w) in [0, 1], on the CPU.
        labels: (n,) ints.
        n_classes: number of classes.
        name: description of the classifier.
        device: device to extract features on.
    """
    with initial_weights("classifier"):
        net = Classifier(pixels.shape[1], n_classes)
    digest = hashlib.sha256(f"{CLASSIFIER_RECIPE} {CLASSIFIER_WIDTHS} {torch.__version__}".encode())
    for tensor in (pixels, labels):
        digest.update(tensor_bytes(tensor))
    train = partial(_train_classifier, pixels, labels, n_classes)
    stored = cached(f"classifier-{digest.hexdigest()[:32]}.pt", train)
    net.load_state_dict(torch.load(io.BytesIO(stored), weights_only=True))
    return Extractor(name, _weights_digest(net), _frozen(net, device))


def require_one_label_per_image(info: DataInfo) -> None:
    """Raise a ``ValueError`` if images of a data set can have several labels."""
    if info.multi_label:
        raise ValueError(
            f"features='classifier' requires data with one label per image, but images of "
            f"{info.name} have several; use features='inception'."
        )


def classifier_name(info: DataInfo) -> str:
    """Return the name of a data set's classifier, with the side length if images are resized."""
    original = DATA_SETS[info.name].side if info.name in DATA_SETS else FOLDER_SIDE
    size = "" if info.side == original else f"{info.side}x{info.side} "
    return f"{Path(info.name).name} {size}classifier"


def _train_classifier(pixels: torch.Tensor, labels: torch.Tensor, n_classes: int) -> bytes:
    """Train a classifier and return its serialized state dict."""
    with initial_weights("classifier"):
        net = Classifier(pixels.shape[1], n_classes)
    with repeatable(1):
        train_epochs(
            net,
            (pixels, labels),
            lambda: [lambda images: net(images)[1]],
            make_optimizer(net, CLASSIFIER_RECIPE),
            CLASSIFIER_RECIPE,
            generator("classifier", "batches"),
            CLASSIFIER_RECIPE.horizon,
        )
    buffer = io.BytesIO()
    torch.save(net.state_dict(), buffer)
    return buffer.getvalue()


class Inception(nn.Module):
    """The Inception network of pytorch-fid, with 2,048 features and logits without bias.

    The logits have no bias because the original implementation of the Inception Score, which the
    literature uses, omits it. The channel of grayscale images is repeated three times.

    Args:
        inception: network that ``pytorch_fid.inception.fid_inception_v3`` has returned.
    """

    def __init__(self, inception: Any) -> None:
        super().__init__()
        from pytorch_fid import inception as pytorch_fid

        with patch.object(pytorch_fid, "fid_inception_v3", lambda: inception):
            self.body = pytorch_fid.InceptionV3()
        self.weight = nn.Parameter(inception.fc.weight.detach(), requires_grad=False)

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Map images (b, 1 or 3, h, w), pixels in [0, 1], to features and logits."""
        if images.shape[1] == 1:
            images = images.expand(-1, 3, -1, -1)
        features = self.body(images)[0][:, :, 0, 0]
        return features, F.linear(features, self.weight)


def inception(device: torch.device | str, weights: str | Path | None = None) -> Extractor:
    """Return the extractor with pytorch-fid's Inception.

    Args:
        device: device to extract features on.
        weights: file with pytorch-fid's weights; by default, the file in PyTorch's download folder,
            which is downloaded if it is missing.

    Raises:
        ValueError: if the weights cannot be read or downloaded, or belong to another network.
    """
    from pytorch_fid import inception as pytorch_fid

    def read(*args: Any, **kwargs: Any) -> Mapping[str, torch.Tensor]:
        assert weights is not None
        state: Mapping[str, torch.Tensor] = torch.load(
            weights, map_location="cpu", weights_only=True
        )
        return state

    advice = (
        f"Set inception_weights to a file with the weights, available at "
        f"{pytorch_fid.FID_WEIGHTS_URL}, or use features='classifier', which requires none."
    )
    try:
        if weights is None:
            net = pytorch_fid.fid_inception_v3()
        else:
            with patch.object(pytorch_fid, "load_state_dict_from_url", read):
                net = pytorch_fid.fid_inception_v3()
    except OSError as error:  # includes urllib's errors
        raise ValueError(f"The Inception weights cannot be read: {error}. {advice}") from None
    except Exception as error:  # for other kinds of files, torch raises various exceptions
        raise ValueError(
            f"{weights or 'The download'} does not contain the Inception weights: "
            f"{first_line(error)} {advice}"
        ) from None
    net = Inception(net)
    return Extractor("inception", _weights_digest(net), _frozen(net, device))


def denormalize(data: ImageData, images: torch.Tensor) -> torch.Tensor:
    """Convert normalized images of a data set, (n, c, h, w), to pixels in [0, 1]."""
    return (images * data.std.to(images.device) + data.mean.to(images.device)).clamp(0, 1)


def _frozen(net: nn.Module, device: torch.device | str) -> nn.Module:
    return net.to(device).eval().requires_grad_(False)


def _weights_digest(net: nn.Module) -> str:
    """Return the SHA-256 of the weights in hexadecimal digits.

    The result differs from :func:`moonas.files.tensors.fingerprint`; it must not change, because
    run folders contain it.
    """
    digest = hashlib.sha256()
    for name, tensor in net.state_dict().items():
        digest.update(name.encode())
        digest.update(tensor_bytes(tensor))
    return digest.hexdigest()
