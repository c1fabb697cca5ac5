"""The form in which images reach a network: size, channels, and how they are fitted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import torch
from torch.nn import functional as F

LUMA = (0.299, 0.587, 0.114)  # weights of red, green and blue in gray (ITU-R BT.601), as in Pillow


@dataclass(frozen=True)
class ImageForm:
    """Size and channels of images, and how images of other proportions are fitted.

    Args:
        side: side length in pixels, or the height if there is a ``width``.
        channels: 1 for gray images, 3 for color images.
        resize: "crop" resizes images until they cover the size and keeps the center, "pad" resizes
            them until they fit into it and adds black edges, and "squash" changes the proportions.
        stored: side length in pixels to which images are fitted; a network sees the center with
            the side length ``side`` or, in training, random crops. None for ``side``. If there is a
            ``width``, it grows by as many pixels as the height.
        width: width in pixels of images that are not square; None for ``side``.
    """

    side: int
    channels: int = 3
    resize: str = "crop"
    stored: int | None = None
    # not in the text of a form, from which caches of earlier versions derive their names; these
    # names contain the height and the width as well
    width: int | None = field(default=None, repr=False)

    @classmethod
    def of_size(
        cls, size: tuple[int, int], channels: int, resize: str, stored: int | None = None
    ) -> ImageForm:
        """Return the form of images of a height and a width, which may be equal, in pixels."""
        height, width = size
        return cls(height, channels, resize, stored, None if width == height else width)

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.side, self.width or self.side

    @property
    def whole(self) -> ImageForm:
        """The form of fitted images before the center is cropped."""
        return self if self.stored is None else self.larger(self.stored - self.side)

    def larger(self, margin: int) -> ImageForm:
        """Return the form of images that have more pixels in height and width.

        Args:
            margin: number of pixels, half of which are on each of two opposite sides.
        """
        width = None if self.width is None else self.width + margin
        return replace(self, side=self.side + margin, width=width, stored=None)

    def fit(self, images: torch.Tensor) -> torch.Tensor:
        """Convert images to this form, resized by antialiased bilinear interpolation.

        Args:
            images: (n, c, h, w) pixels in [0, 1], with 1 or 3 channels.

        Returns:
            (n, channels, *size).
        """
        whole = self.whole
        return self.center(whole._fit_size(to_channels(images, self.channels), _interpolate))

    def center(self, images: torch.Tensor) -> torch.Tensor:
        """Crop fitted images, (n, c, h, w), to the center that is seen."""
        return center_crop(images, self.size)

    def fit_map(self, labels: torch.Tensor, outside: int) -> torch.Tensor:
        """Fit maps of labels as :meth:`fit` fits the images, by nearest-neighbor interpolation.

        Args:
            labels: (n, h, w) uint8 label of each pixel.
            outside: label of the edges that "pad" adds.

        Returns:
            (n, *size) uint8.
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
        height, width = self.size
        if (h, w) == self.size:
            return images
        if h * width == w * height or self.resize == "squash":
            return interpolate(images, self.size)
        is_wider = w * height > h * width
        scaled, original = (height, h) if is_wider == (self.resize == "crop") else (width, w)
        h, w = (max(1, round(scaled * length / original)) for length in (h, w))
        images = interpolate(images, (h, w))
        if self.resize == "crop":
            return center_crop(images, self.size)
        top, left = (height - h) // 2, (width - w) // 2
        edges = left, width - w - left, top, height - h - top
        return F.pad(images, edges, value=float(outside))


def center_crop(images: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """Crop images, (n, c, h, w), to the central (n, c, height, width) pixels.

    Args:
        images: the images.
        size: (height, width) in pixels, at most (h, w).
    """
    (h, w), (height, width) = images.shape[2:], size
    top, left = (h - height) // 2, (w - width) // 2
    return images[..., top : top + height, left : left + width]


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
