"""DiffAugment: differentiable random changes of the images that a discriminator scores.

Zhao et al., *Differentiable Augmentation for Data-Efficient GAN Training* (NeurIPS 2020). Real and
generated images are changed in the same way, in the steps of the discriminator and of the
generator, so a discriminator cannot memorize a small training set and generators do not learn the
changes.
"""

from __future__ import annotations

from collections.abc import Collection

import torch
from torch import Tensor

BRIGHTNESS = 0.5  # largest change of all pixels, which are in [-1, 1]
SATURATION = (0.0, 2.0)  # range of the factor of the distance to the mean of the channels
CONTRAST = (0.5, 1.5)  # range of the factor of the distance to the mean of the image
TRANSLATION = 1 / 8  # largest shift as a share of the side length
CUTOUT = 1 / 2  # side length of the square as a share of the side length of the image


def diff_augment(images: Tensor, names: Collection[str], rng: torch.Generator) -> Tensor:
    """Change each image at random.

    Args:
        images: (b, c, h, w) in [-1, 1].
        names: names of the changes, of ``settings.AUGMENTATIONS``, in any order. ``color`` changes
            brightness, saturation and contrast; ``translation`` shifts an image by up to an eighth
            of its side length; ``cutout`` removes a square of half the side length, which may
            extend beyond the image. New and removed pixels are 0, which is gray.
        rng: random generator on the CPU.

    Returns:
        Images of the same shape, which are differentiable with respect to ``images``.
    """
    if "color" in names:
        images = _change_color(images, rng)
    if "translation" in names:
        images = _translate(images, rng)
    if "cutout" in names:
        images = _cut_out(images, rng)
    return images


def _change_color(images: Tensor, rng: torch.Generator) -> Tensor:
    brightness = _uniform(images, -BRIGHTNESS, BRIGHTNESS, rng)
    saturation, contrast = _uniform(images, *SATURATION, rng), _uniform(images, *CONTRAST, rng)
    images = images + brightness
    mean = images.mean(1, keepdim=True)
    images = mean + saturation * (images - mean)
    mean = images.mean((1, 2, 3), keepdim=True)
    return mean + contrast * (images - mean)


def _translate(images: Tensor, rng: torch.Generator) -> Tensor:
    for dim in (2, 3):
        side = images.shape[dim]
        largest = round(TRANSLATION * side)
        shift = torch.randint(-largest, largest + 1, (len(images), 1), generator=rng)
        source = torch.arange(side) - shift  # (b, side) index of the pixel that moves here
        inside = ((source >= 0) & (source < side)).to(images.device)
        source = source.clamp(0, side - 1).to(images.device)
        shape = [len(images), 1, 1, 1]
        shape[dim] = side
        images = images.gather(dim, source.view(shape).expand_as(images)) * inside.view(shape)
    return images


def _cut_out(images: Tensor, rng: torch.Generator) -> Tensor:
    removed = []
    for dim in (2, 3):
        side = images.shape[dim]
        size = round(CUTOUT * side)
        # all positions at which the square covers between half of its side length and all of it
        end = side - (size + 1) // 2 + 1
        first = torch.randint(-(size // 2), end, (len(images), 1), generator=rng)
        position = torch.arange(side)
        removed.append((position >= first) & (position < first + size))
    kept = ~(removed[0][:, None, :, None] & removed[1][:, None, None, :])
    return images * kept.to(images.device)


def _uniform(images: Tensor, low: float, high: float, rng: torch.Generator) -> Tensor:
    """Return one random number in [low, high) per image, (b, 1, 1, 1)."""
    numbers = torch.rand(len(images), 1, 1, 1, generator=rng)
    return (low + (high - low) * numbers).to(images)
