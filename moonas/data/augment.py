"""Augmentations of batches of images, on the device that they are on."""

import torch
from torch.nn import functional as F


def shift_and_flip(
    images: torch.Tensor, rng: torch.Generator, padding: int, flip: bool
) -> torch.Tensor:
    """Shift each image by up to ``padding`` pixels, filled with zeros; mirror half of them.

    Args:
        images: (b, c, h, w).
        rng: ``torch.Generator`` of the CPU.
        padding: pixels.
        flip: whether to mirror left and right.

    Returns:
        A new tensor, (b, c, h, w).
    """
    return crop_and_flip(F.pad(images, [padding] * 4), rng, images.shape[2:], flip)


def crop_and_flip(
    images: torch.Tensor, rng: torch.Generator, size: tuple[int, int], flip: bool
) -> torch.Tensor:
    """Crop a random part of each image; mirror half of them.

    Args:
        images: (b, c, h, w).
        rng: ``torch.Generator`` of the CPU.
        size: (rows, columns) of the parts; all places where they fit are equally likely.
        flip: whether to mirror left and right.

    Returns:
        A new tensor, (b, c, *size).
    """
    b, c, h, w = images.shape
    device, (height, width) = images.device, size
    dy = torch.randint(0, h - height + 1, (b, 1), generator=rng).to(device)
    dx = torch.randint(0, w - width + 1, (b, 1), generator=rng).to(device)
    columns = torch.arange(width, device=device).expand(b, width)
    if flip:
        mirrored = torch.randint(0, 2, (b, 1), generator=rng, dtype=torch.bool).to(device)
        columns = torch.where(mirrored, width - 1 - columns, columns)
    rows = (torch.arange(height, device=device) + dy)[:, None, :, None]
    columns = (columns + dx)[:, None, None, :]
    batch = torch.arange(b, device=device)[:, None, None, None]
    channels = torch.arange(c, device=device)[None, :, None, None]
    return images[batch, channels, rows, columns]


def cutout(images: torch.Tensor, rng: torch.Generator, size: int) -> torch.Tensor:
    """Set a square of each image to zero, which is the mean of normalised images.

    After DeVries and Taylor (2017). Its centre is anywhere in the image, so that a part of it may
    lie outside.

    Args:
        images: (b, c, h, w).
        rng: ``torch.Generator`` of the CPU.
        size: pixels a side of the square, even.

    Returns:
        A new tensor, (b, c, h, w).
    """
    b, _, h, w = images.shape
    inside = []
    for side in (h, w):
        centre = torch.randint(0, side, (b, 1), generator=rng).to(images.device)
        place = torch.arange(side, device=images.device)
        inside.append((place >= centre - size // 2) & (place < centre + size // 2))
    hole = inside[0][:, None, :, None] & inside[1][:, None, None, :]
    return images.masked_fill(hole, 0)
