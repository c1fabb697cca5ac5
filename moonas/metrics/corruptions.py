"""Common corruptions of images at five strengths (Hendrycks and Dietterich, ICLR 2019).

This module contains the twelve of their nineteen corruptions that torch and torchvision can
compute. Weather, motion blur, zoom blur, glass blur and spatter require textures or kernels that no
maintained package provides. The parameters are taken from CIFAR-10-C, for images with a side length
of 32 pixels; only the elastic transformation has other parameters.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Mapping

import torch
from PIL import Image
from torch import Generator, Tensor
from torchvision.transforms.v2 import functional as V

CORRUPTION_STRENGTHS = (1, 2, 3, 4, 5)


def _noise(images: Tensor, rng: Generator, scale: float) -> Tensor:
    return images + scale * torch.randn(images.shape, generator=rng)


def _shot(images: Tensor, rng: Generator, photons: float) -> Tensor:
    return torch.poisson(images * photons, generator=rng) / photons


def _impulse(images: Tensor, rng: Generator, fraction: float) -> Tensor:
    u = torch.rand(images.shape, generator=rng)
    peppered = torch.where(u < fraction / 2, torch.zeros_like(images), images)
    return torch.where(u > 1 - fraction / 2, torch.ones_like(images), peppered)


def _speckle(images: Tensor, rng: Generator, scale: float) -> Tensor:
    return images + images * scale * torch.randn(images.shape, generator=rng)


def _blur(images: Tensor, rng: Generator, sigma: float) -> Tensor:
    radius = math.ceil(4 * sigma)
    size = min(2 * radius + 1, 2 * (min(images.shape[2:]) // 2) - 1)
    blurred: Tensor = V.gaussian_blur(images, [size, size], [sigma, sigma])
    return blurred


def _defocus(images: Tensor, rng: Generator, radius: float) -> Tensor:
    """Blur with a disk-shaped kernel, averaging only over pixels inside the image."""
    r = math.ceil(radius)
    y, x = torch.meshgrid(*[torch.arange(-r, r + 1.0)] * 2, indexing="ij")
    disc = (x**2 + y**2 <= radius**2 + 0.25).float()[None, None]
    flat = images.flatten(0, 1)[:, None]
    total = torch.nn.functional.conv2d(flat, disc, padding=r)
    weight = torch.nn.functional.conv2d(torch.ones_like(flat), disc, padding=r)
    return (total / weight).reshape(images.shape)


def _brightness(images: Tensor, rng: Generator, shift: float) -> Tensor:
    return images + shift


def _contrast(images: Tensor, rng: Generator, factor: float) -> Tensor:
    mean = images.mean((2, 3), keepdim=True)
    return (images - mean) * factor + mean


def _saturate(images: Tensor, rng: Generator, factor: float) -> Tensor:
    gray = images.mean(1, keepdim=True)
    return gray + factor * (images - gray)


def _jpeg(images: Tensor, rng: Generator, quality: float) -> Tensor:
    return torch.stack([_jpeg_image(image, quality) for image in images])


def _jpeg_image(image: Tensor, quality: float) -> Tensor:
    """Compress and decompress an image, (c, h, w)."""
    file = io.BytesIO()
    V.to_pil_image(image.clamp(0, 1)).save(file, "JPEG", quality=quality)
    with Image.open(file) as decoded:
        pixels: Tensor = V.pil_to_tensor(decoded)
    return pixels.float() / 255


def _pixelate(images: Tensor, rng: Generator, scale: float) -> Tensor:
    size = images.shape[2:]
    reduced_size = [max(1, round(n * scale)) for n in size]
    reduced = V.resize(images, reduced_size, V.InterpolationMode.NEAREST)
    pixelated: Tensor = V.resize(reduced, list(size), V.InterpolationMode.NEAREST)
    return pixelated


def _elastic(images: Tensor, rng: Generator, displacement: float) -> Tensor:
    """Displace pixels by a smooth random field, scaled by a fraction of the side length."""
    b, _, h, w = images.shape
    coarse = 2 * torch.rand(b, 2, 4, 4, generator=rng) - 1
    field = torch.nn.functional.interpolate(coarse, (h, w), mode="bicubic", align_corners=True)
    identity = torch.nn.functional.affine_grid(
        torch.eye(2, 3).expand(b, 2, 3), list(images.shape), align_corners=False
    )
    grid = identity + 2 * displacement * field.permute(0, 2, 3, 1)
    return torch.nn.functional.grid_sample(images, grid, padding_mode="border", align_corners=False)


Corruption = Callable[[Tensor, Generator, float], Tensor]
CORRUPTIONS: Mapping[str, tuple[Corruption, tuple[float, ...]]] = {
    # name -> (function, parameters of the function at strengths 1 to 5)
    "gaussian noise": (_noise, (0.04, 0.06, 0.08, 0.09, 0.10)),
    "shot noise": (_shot, (500, 250, 100, 75, 50)),
    "impulse noise": (_impulse, (0.01, 0.02, 0.03, 0.05, 0.07)),
    "speckle noise": (_speckle, (0.06, 0.1, 0.12, 0.16, 0.2)),
    "gaussian blur": (_blur, (0.4, 0.6, 0.7, 0.8, 1.0)),
    "defocus blur": (_defocus, (0.3, 0.4, 0.5, 1.0, 1.5)),
    "brightness": (_brightness, (0.05, 0.1, 0.15, 0.2, 0.3)),
    "contrast": (_contrast, (0.75, 0.5, 0.4, 0.3, 0.15)),
    "saturate": (_saturate, (0.3, 0.1, 1.5, 2.0, 2.5)),
    "jpeg": (_jpeg, (80, 65, 58, 50, 40)),
    "pixelate": (_pixelate, (0.95, 0.9, 0.85, 0.75, 0.65)),
    "elastic": (_elastic, (0.02, 0.03, 0.04, 0.05, 0.06)),
}


def corrupt(images: Tensor, name: str, strength: int, rng: Generator) -> Tensor:
    """Apply a corruption to images.

    Args:
        images: (b, c, h, w) pixels in [0, 1], on the CPU; c is 1 or 3.
        name: a key of ``CORRUPTIONS``.
        strength: 1 (weakest) to 5 (strongest).
        rng: ``torch.Generator`` on the CPU.

    Returns:
        A new tensor (b, c, h, w), pixels in [0, 1].

    Raises:
        ValueError: if the name or the strength is unknown.
    """
    if name not in CORRUPTIONS or strength not in CORRUPTION_STRENGTHS:
        raise ValueError(
            f"Unknown corruption {name!r} of strength {strength}; choose from {list(CORRUPTIONS)} "
            "and a strength from 1 to 5."
        )
    function, parameters = CORRUPTIONS[name]
    return function(images, rng, parameters[strength - 1]).clamp(0, 1)
