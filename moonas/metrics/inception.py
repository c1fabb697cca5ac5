"""The Inception network of pytorch-fid, with which published FIDs are computed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from torch import nn
from torch.nn import functional as F

from moonas.errors import reason

from .extractor import Extractor, frozen, weights_digest


class Inception(nn.Module):
    """The Inception network of pytorch-fid, with 2,048 features and logits without bias.

    The logits have no bias because the original implementation of the Inception Score, which the
    literature uses, omits it. The channel of grayscale images is repeated three times, and images
    are resized to 299x299 pixels.

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
        ValueError: if the weights cannot be read or downloaded, or belong to another network, such
            as torchvision's Inception, whose features differ.
    """
    from pytorch_fid import inception as pytorch_fid

    def read(*args: Any, **kwargs: Any) -> Mapping[str, torch.Tensor]:
        assert weights is not None
        state: Mapping[str, torch.Tensor] = torch.load(
            weights, map_location="cpu", weights_only=True
        )
        if "AuxLogits.fc.weight" in state:
            raise ValueError(
                "it contains torchvision's Inception, which was trained separately on 1,000 "
                "classes, so its features and its FIDs are different ones. To use it under its own "
                f"name, set features='torchvision:inception_v3={weights}'."
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
            f"{weights or 'The download'} does not contain the Inception weights of pytorch-fid: "
            f"{reason(error)} {advice}"
        ) from None
    net = Inception(net)
    return Extractor("inception", weights_digest(net), frozen(net, device), device)
