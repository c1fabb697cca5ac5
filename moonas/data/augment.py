"""Augmentation of batches of images, on the device of the images."""

from __future__ import annotations

import torch
from torch.nn import functional as F


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
