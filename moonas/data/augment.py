"""Augmentation of batches of images, on the device of the images."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn import functional as F

from ..nets.randomness import seeded
from .form import to_channels


@dataclass(frozen=True, eq=False)
class Augmentation:
    """Random changes of training images; a call changes a batch.

    Each image is cropped and rotated, mirrored and shifted, and then changed in color. Each step is
    left out if its strength is zero. Random numbers come from a generator on the CPU, so they do
    not depend on the device.

    Args:
        mean: (1, c, 1, 1) mean by which images are normalized.
        std: (1, c, 1, 1) standard deviation by which images are normalized.
        padding: largest shift in pixels.
        mirror: whether half of the images are flipped horizontally.
        edges: color of pixels from outside an image: "black", or "mean" of the training images.
        crop_scale: smallest and largest share of the area that a crop keeps, in (0, 1]; the crop,
            with an aspect ratio from 3/4 to 4/3, is resized to the whole image (Szegedy et al.,
            2015). Empty for no crop.
        rotation: largest angle of a rotation in degrees.
        jitter: largest relative change of brightness, contrast and saturation, in [0, 1].
        side: side length of augmented images in pixels; a crop is resized to it, and of larger
            images a random square is kept. None for the side length of the images.
    """

    mean: torch.Tensor
    std: torch.Tensor
    padding: int = 0
    mirror: bool = False
    edges: str = "mean"
    crop_scale: tuple[float, ...] = ()
    rotation: float = 0.0
    jitter: float = 0.0
    side: int | None = None

    def changes_images(self, side: int) -> bool:
        """Return whether any step has an effect on images of a side length."""
        steps = self.padding, self.mirror, self.crop_scale, self.rotation, self.jitter
        return any(steps) or self.side not in (None, side)

    def __call__(self, images: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
        """Return augmented copies of images.

        Args:
            images: (b, c, h, w), normalized.
            rng: ``torch.Generator`` on the CPU.

        Returns:
            (b, c, side, side).
        """
        side = self.side or images.shape[-1]
        mean, std = self.mean.to(images.device), self.std.to(images.device)
        edge = -mean / std if self.edges == "black" else torch.zeros_like(mean)
        if self.crop_scale or self.rotation:
            scale, size = self.crop_scale or (1.0, 1.0), side if self.crop_scale else None
            images = crop_and_rotate(images - edge, rng, scale, self.rotation, size) + edge
        if self.padding or self.mirror or images.shape[-1] != side:
            padded = F.pad(images - edge, [self.padding] * 4)
            images = crop_and_flip(padded, rng, (side, side), self.mirror) + edge
        if self.jitter:
            pixels = color_jitter(images * std + mean, rng, self.jitter)
            images = (pixels - mean) / std
        return images


def crop_and_rotate(
    images: torch.Tensor,
    rng: torch.Generator,
    scale: tuple[float, ...],
    rotation: float,
    side: int | None = None,
) -> torch.Tensor:
    """Crop a random rectangle of each image, resize it to a square, and rotate it.

    Pixels from outside an image are zero. The interpolation is bilinear.

    Args:
        images: (b, c, h, w).
        rng: ``torch.Generator`` on the CPU.
        scale: smallest and largest share of the area that a crop keeps. The aspect ratio is from
            3/4 to 4/3, uniform on a logarithmic scale, unless the whole image is kept.
        rotation: largest angle in degrees; angles are uniform between its negative and itself.
        side: side length of the result in pixels; None for the size of the images.

    Returns:
        A new tensor, (b, c, side, side).
    """
    b, c, h, w = images.shape
    area, log_ratio, x, y, turn = torch.rand(5, b, generator=rng)
    area = scale[0] + (scale[1] - scale[0]) * area
    log_ratio = (2 * log_ratio - 1) * math.log(4 / 3) * (area < 1)
    width = (area * log_ratio.exp()).sqrt().clamp(max=1)  # as a share of the image
    height = (area / log_ratio.exp()).sqrt().clamp(max=1)
    x, y = (2 * x - 1) * (1 - width), (2 * y - 1) * (1 - height)  # center of the crop in [-1, 1]
    angle = (2 * turn - 1) * math.radians(rotation)
    cos, sin, aspect = angle.cos(), angle.sin(), h / w
    row_x = torch.stack([width * cos, -width * sin * aspect, x], 1)
    row_y = torch.stack([height * sin / aspect, height * cos, y], 1)
    theta = torch.stack([row_x, row_y], 1).to(images.device)
    size = [b, c, side or h, side or w]
    grid = F.affine_grid(theta, size, align_corners=False)
    sampled: torch.Tensor = F.grid_sample(images, grid.to(images.dtype), align_corners=False)
    return sampled


def color_jitter(pixels: torch.Tensor, rng: torch.Generator, strength: float) -> torch.Tensor:
    """Change the brightness, the contrast and, of color images, the saturation of each image.

    Brightness blends an image with black, contrast with its mean gray, and saturation with its gray
    image. The factors are uniform between 1 - strength and 1 + strength.

    Args:
        pixels: (b, c, h, w) in [0, 1], c = 1 or 3.
        rng: ``torch.Generator`` on the CPU.
        strength: in [0, 1].

    Returns:
        A new tensor, (b, c, h, w) in [0, 1].
    """

    factors = 1 + strength * (2 * torch.rand(3, len(pixels), 1, 1, 1, generator=rng) - 1)
    brightness, contrast, saturation = factors.to(pixels.device)
    pixels = (brightness * pixels).clamp(0, 1)
    level = to_channels(pixels, 1).mean((1, 2, 3), keepdim=True)
    pixels = (level + contrast * (pixels - level)).clamp(0, 1)
    of_image = to_channels(pixels, 1)
    saturated: torch.Tensor = of_image + saturation * (pixels - of_image)
    return saturated.clamp(0, 1)


def shift_and_flip(
    images: torch.Tensor, rng: torch.Generator, padding: int, flip: bool
) -> torch.Tensor:
    """Shift each image randomly, and flip it horizontally with probability 1/2.

    Each image is padded with zeros and cropped at a random position to its original size.

    Args:
        images: (b, c, h, w).
        rng: ``torch.Generator`` on the CPU.
        padding: maximum shift in pixels.
        flip: whether to flip images with probability 1/2.

    Returns:
        A new tensor, (b, c, h, w).
    """
    _, _, h, w = images.shape
    return crop_and_flip(F.pad(images, [padding] * 4), rng, (h, w), flip)


def crop_and_flip(
    images: torch.Tensor, rng: torch.Generator, size: tuple[int, int], flip: bool
) -> torch.Tensor:
    """Crop each image at a random position and flip it horizontally with probability 1/2.

    Args:
        images: (b, c, h, w).
        rng: ``torch.Generator`` on the CPU.
        size: (height, width) of the crop in pixels; its position is uniform.
        flip: whether to flip images with probability 1/2.

    Returns:
        A new tensor, (b, c, *size).
    """
    b, c, h, w = images.shape
    device, (height, width) = images.device, size
    dy = torch.randint(0, h - height + 1, (b, 1), generator=rng).to(device)
    dx = torch.randint(0, w - width + 1, (b, 1), generator=rng).to(device)
    columns = torch.arange(width, device=device).expand(b, width)
    if flip:
        flipped = torch.randint(0, 2, (b, 1), generator=rng, dtype=torch.bool).to(device)
        columns = torch.where(flipped, width - 1 - columns, columns)
    rows = (torch.arange(height, device=device) + dy)[:, None, :, None]
    columns = (columns + dx)[:, None, None, :]
    batch = torch.arange(b, device=device)[:, None, None, None]
    channels = torch.arange(c, device=device)[None, :, None, None]
    return images[batch, channels, rows, columns]


def cutout(images: torch.Tensor, rng: torch.Generator, size: int) -> torch.Tensor:
    """Set the pixels in a random square of each image to zero, the mean of normalized images.

    The center of the square is sampled uniformly from the pixels, so the square may extend beyond
    the image
    (DeVries and Taylor, 2017).

    Args:
        images: (b, c, h, w).
        rng: ``torch.Generator`` on the CPU.
        size: side length of the square in pixels, even.

    Returns:
        A new tensor, (b, c, h, w).
    """
    b, _, h, w = images.shape
    inside = []
    for side in (h, w):
        center = torch.randint(0, side, (b, 1), generator=rng).to(images.device)
        position = torch.arange(side, device=images.device)
        inside.append((position >= center - size // 2) & (position < center + size // 2))
    square = inside[0][:, None, :, None] & inside[1][:, None, None, :]
    return images.masked_fill(square, 0)


class AutoAugment:
    """A random change of an image by a transform of torchvision.

    Args:
        name: name of a class in ``torchvision.transforms.v2``: RandAugment (Cubuk et al., 2020),
            with two changes of strength 9, or TrivialAugmentWide (Mueller and Hutter, 2021).
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._transform: Any = None

    def __call__(self, pixels: torch.Tensor, seed: int) -> torch.Tensor:
        """Change an image.

        Args:
            pixels: (c, h, w) uint8, from 0 to 255.
            seed: seed of the change.

        Returns:
            (c, h, w) uint8.
        """
        if self._transform is None:
            from torchvision.transforms import v2

            self._transform = getattr(v2, self.name)()
        with seeded(seed):
            changed: torch.Tensor = self._transform(pixels)
        return changed

    def __reduce__(self) -> tuple[Any, ...]:
        return AutoAugment, (self.name,)


CHANGES = {
    "none": None,
    "randaugment": AutoAugment("RandAugment"),
    "trivialaugment": AutoAugment("TrivialAugmentWide"),
}


@dataclass(frozen=True)
class Mixing:
    """Mixes the images of a batch and their labels: mixup or CutMix of torchvision.

    Args:
        n_classes: number of classes.
        mixup: parameter of the beta distribution of mixup (Zhang et al., 2018); 0 for no mixup.
        cutmix: parameter of the beta distribution of CutMix (Yun et al., 2019); 0 for no CutMix. If
            both are positive, each batch has one of them at random.
    """

    n_classes: int
    mixup: float = 0.0
    cutmix: float = 0.0

    def __call__(
        self, images: torch.Tensor, labels: torch.Tensor, rng: torch.Generator
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Mix a batch with itself in another order.

        Args:
            images: (b, c, h, w).
            labels: (b,) classes.
            rng: ``torch.Generator`` on the CPU.

        Returns:
            Images (b, c, h, w), and probabilities of the classes (b, n_classes).
        """
        from torchvision.transforms import v2

        kinds = [
            kind(alpha=alpha, num_classes=self.n_classes)
            for kind, alpha in ((v2.MixUp, self.mixup), (v2.CutMix, self.cutmix))
            if alpha
        ]
        seed, choice = torch.randint(2**62, (2,), generator=rng).tolist()
        with seeded(seed):
            mixed, probabilities = kinds[choice % len(kinds)](images, labels)
        return mixed, probabilities
