"""The class of feature networks, and the digest of their weights."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, overload

import numpy as np
import torch
from torch import nn

from ..files.tensors import tensor_bytes

if TYPE_CHECKING:
    from ..data.batches import Images
    from ..data.images import ImageData


@dataclass(frozen=True)
class Extractor:
    """A network that extracts features.

    Args:
        name: description of the network, such as ``digits classifier``. It is the unit of scores.
        fingerprint: SHA-256 of the weights, in hexadecimal digits.
        net: images (b, c, h, w), pixels in [0, 1] -> features (b, d), or features and logits
            (b, n_classes).
        device: device of the network, to which batches of images are moved; None if images are
            already on that device.
        has_logits: whether the network returns logits, without which there is no Inception Score.
        accuracy: accuracy (%) of the network on test images; None if it is unknown.
        n_test: number of these test images.
    """

    name: str
    fingerprint: str
    net: nn.Module
    device: torch.device | str | None = None
    has_logits: bool = True
    accuracy: float | None = None
    n_test: int = 0

    @torch.inference_mode()
    def __call__(
        self, images: torch.Tensor | Images, batch: int = 250
    ) -> tuple[np.ndarray, np.ndarray]:
        """Extract features and log probabilities.

        Args:
            images: n images, whose batches are (b, c, h, w) pixels in [0, 1].
            batch: number of images per forward pass; it affects rounding errors only.

        Returns:
            float64 features (n, d) and log probabilities (n, n_classes); n_classes is 0 if the
            network has no logits.
        """
        features, logs = [], []
        for part in images.split(batch):
            outputs = self.net(part if self.device is None else part.to(self.device))
            part_features, logits = (
                outputs if isinstance(outputs, list | tuple) else (outputs, None)
            )
            features.append(part_features)
            if self.has_logits:
                logs.append(logits.double().log_softmax(1))
        array = torch.cat(features).double().cpu().numpy()
        return array, torch.cat(logs).cpu().numpy() if logs else np.empty((len(array), 0))

    def describe(self) -> str:
        """Return the name of the network and its accuracy, as a sentence."""
        if self.accuracy is None:
            return f"Feature network: {self.name}."
        return (
            f"Feature network: {self.name}, {self.accuracy:.1f} % accurate on {self.n_test:,} test "
            "images."
        )


def frozen(net: nn.Module, device: torch.device | str) -> nn.Module:
    """Move a network to a device, in evaluation mode and without gradients."""
    for parameter in net.parameters():  # TorchScript modules lack requires_grad_
        parameter.requires_grad_(False)
    return net.to(device).eval()


def weights_digest(net: nn.Module, description: str = "") -> str:
    """Return the SHA-256 of the weights, after that of a description, in hexadecimal digits.

    The result differs from :func:`moonas.files.tensors.fingerprint`; without a description it must
    not change, because run folders contain it.
    """
    digest = hashlib.sha256(description.encode())
    for name, tensor in net.state_dict().items():
        digest.update(name.encode())
        digest.update(tensor_bytes(tensor))
    return digest.hexdigest()


@overload
def denormalize(data: ImageData, images: torch.Tensor) -> torch.Tensor: ...
@overload
def denormalize(data: ImageData, images: Images) -> Images: ...
def denormalize(data: ImageData, images: torch.Tensor | Images) -> torch.Tensor | Images:
    """Convert normalized images of a data set, (n, c, h, w), to pixels in [0, 1]."""
    function = Denormalization(data.mean, data.std)
    return function(images) if isinstance(images, torch.Tensor) else images.map(function)


class Denormalization:
    """Inverts a normalization, and clamps the pixels to [0, 1].

    Args:
        mean: (1, channels, 1, 1) mean.
        std: (1, channels, 1, 1) standard deviation.
    """

    def __init__(self, mean: torch.Tensor, std: torch.Tensor) -> None:
        self.mean, self.std = mean, std

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        """Convert normalized images (b, channels, h, w) to pixels."""
        return (images * self.std.to(images.device) + self.mean.to(images.device)).clamp(0, 1)
