"""Mean and standard deviation of the pixels of training images."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

MOST_MEASURED = 60_000  # training images that are all measured; of larger sets
N_MEASURED = 10_000  # this many, evenly spaced


def measured_rows(n: int) -> Tensor:
    """Return the positions of the training images that determine mean and standard deviation.

    Args:
        n: number of training images.
    """
    if n <= MOST_MEASURED:
        return torch.arange(n)
    return torch.arange(N_MEASURED) * n // N_MEASURED


def sum_pixels(batches: Iterable[Tensor], channels: int) -> Tensor:
    """Return the sums of pixel values and of their squares, exact int64 (channels, 2).

    Args:
        batches: uint8 (b, channels, h, w) pixels.
        channels: number of channels.
    """
    sums = torch.zeros(channels, 2, dtype=torch.int64)
    for pixels in batches:
        values = pixels.transpose(0, 1).flatten(1)
        for sums_of_channel, of_channel in zip(sums, values, strict=True):
            counts = torch.bincount(of_channel, minlength=256)
            levels = torch.arange(256)
            sums_of_channel += torch.stack([(counts * levels).sum(), (counts * levels**2).sum()])
    return sums


def mean_and_std(sums: Tensor, n_pixels: int, levels: int) -> tuple[Tensor, Tensor]:
    """Return mean and standard deviation of pixels in [0, 1], each (1, channels, 1, 1).

    Args:
        sums: (channels, 2) sums of pixel values and of their squares.
        n_pixels: number of pixels of a channel.
        levels: pixel value of white.
    """
    total, squares = sums.double().unbind(1)
    mean = total / n_pixels
    variance = (squares - n_pixels * mean**2) / max(1, n_pixels - 1)
    std = variance.clamp_min(0).sqrt() / levels
    return (
        (mean / levels).float()[None, :, None, None],
        std.float().clamp_min(1e-6)[None, :, None, None],
    )
