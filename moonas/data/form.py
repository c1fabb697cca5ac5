"""The form in which images reach a network: size, channels, and how they are fitted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch.nn import functional as F

LUMA = (0.299, 0.587, 0.114)  # weights of red, green and blue in gray (ITU-R BT.601), as in Pillow


@dataclass(frozen=True)
class ImageForm:
    """Size and channels of images, and how images of other proportions are fitted.

    Args:
        side: side length in pixels.
        channels: 1 for gray images, 3 for color images.
        resize: "crop" resizes the shorter side and keeps the center, "pad" resizes the longer side
            and adds black edges, and "squash" changes the proportions.
        stored: side length in pixels to which images are fitted; a network sees the center with
            the side length ``side`` or, in training, random crops. None for ``side``.
    """

    side: int
    channels: int = 3
    resize: str = "crop"
    stored: int | None = None

    @property
    def stored_side(self) -> int:
        """Side length in pixels of fitted images before the center is cropped."""
        return self.stored or self.side

    @property
    def whole(self) -> ImageForm:
        """The form of fitted images before the center is cropped."""
        return replace(self, side=self.stored_side, stored=None)

    def fit(self, images: torch.Tensor) -> torch.Tensor:
        """Convert images to this form, resized by antialiased bilinear interpolation.

        Args:
            images: (n, c, h, w) pixels in [0, 1], with 1 or 3 channels.

        Returns:
            (n, channels, side, side).
        """
        whole = self.whole
        return self.center(whole._fit_size(to_channels(images, self.channels), _interpolate))

    def center(self, images: torch.Tensor) -> torch.Tensor:
        """Crop images of the stored side length, (n, c, h, w), to the center that is seen."""
        offset = (images.shape[-1] - self.side) // 2
        return images[..., offset : offset + self.side, offset : offset + self.side]

    def fit_map(self, labels: torch.Tensor, outside: int) -> torch.Tensor:
        """Fit maps of labels as :meth:`fit` fits the images, by nearest-neighbor interpolation.

        Args:
            labels: (n, h, w) uint8 label of each pixel.
            outside: label of the edges that "pad" adds.

        Returns:
            (n, side, side) uint8.
        """

        def nearest(maps: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
            return F.interpolate(maps, size, mode="nearest-exact")

        fitted = self._fit_size(labels[:, None].float(), nearest, outside)
        return fitted[:, 0].to(torch.uint8)

    def _fit_size(
        self,
        images: torch.Tensor,
        interpolate: Callable[[torch.Tensor, tuple[int, int]], torch.Tensor],
        outside: int = 0,
    ) -> torch.Tensor:
        h, w = images.shape[2:]
        size = self.side, self.side
        if (h, w) == size:
            return images
        if h == w or self.resize == "squash":
            return interpolate(images, size)
        reference = min(h, w) if self.resize == "crop" else max(h, w)
        h, w = (max(1, round(self.side * length / reference)) for length in (h, w))
        images = interpolate(images, (h, w))
        if self.resize == "crop":
            top, left = (h - self.side) // 2, (w - self.side) // 2
            return images[:, :, top : top + self.side, left : left + self.side]
        top, left = (self.side - h) // 2, (self.side - w) // 2
        edges = left, self.side - w - left, top, self.side - h - top
        return F.pad(images, edges, value=float(outside))


def _interpolate(images: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    return F.interpolate(images, size, mode="bilinear", antialias=True)


def to_channels(images: torch.Tensor, channels: int) -> torch.Tensor:
    """Convert images (n, c, h, w) between color and gray: c is 1 or 3, and so is ``channels``."""
    if images.shape[1] == channels:
        return images
    if channels == 3:
        return images.expand(-1, 3, -1, -1).contiguous()
    weights = images.new_tensor(LUMA)[:, None, None]
    return (images * weights).sum(1, keepdim=True)
