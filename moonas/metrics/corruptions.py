"""Common corruptions of images, at five strengths each (Hendrycks and Dietterich, ICLR 2019).

Of their nineteen, the twelve that torch and torchvision compute by themselves; weather, motion,
zoom, glass and spatter want textures or kernels that no maintained package brings. Parameters are
those of CIFAR-10-C, for images of 32 pixels, but for elastic, which has its own.
"""

import io
import math

import torch
from PIL import Image
from torchvision.transforms.v2 import functional as V

STRENGTHS = (1, 2, 3, 4, 5)


def _noise(images, rng, scale):
    return images + scale * torch.randn(images.shape, generator=rng)


def _shot(images, rng, photons):
    return torch.poisson(images * photons, generator=rng) / photons


def _impulse(images, rng, share):
    coin = torch.rand(images.shape, generator=rng)
    salted = torch.where(coin < share / 2, torch.zeros_like(images), images)
    return torch.where(coin > 1 - share / 2, torch.ones_like(images), salted)


def _speckle(images, rng, scale):
    return images + images * scale * torch.randn(images.shape, generator=rng)


def _blur(images, rng, sigma):
    radius = math.ceil(4 * sigma)
    size = min(2 * radius + 1, 2 * (min(images.shape[2:]) // 2) - 1)
    return V.gaussian_blur(images, [size, size], [sigma, sigma])


def _defocus(images, rng, radius):
    """The mean over a disc, as far as it is inside the image."""
    reach = math.ceil(radius)
    y, x = torch.meshgrid(*[torch.arange(-reach, reach + 1.0)] * 2, indexing="ij")
    disc = (x**2 + y**2 <= radius**2 + 0.25).float()[None, None]
    flat = images.flatten(0, 1)[:, None]
    total = torch.nn.functional.conv2d(flat, disc, padding=reach)
    weight = torch.nn.functional.conv2d(torch.ones_like(flat), disc, padding=reach)
    return (total / weight).reshape(images.shape)


def _brightness(images, rng, more):
    return images + more


def _contrast(images, rng, share):
    mean = images.mean((2, 3), keepdim=True)
    return (images - mean) * share + mean


def _saturate(images, rng, factor):
    grey = images.mean(1, keepdim=True)
    return grey + factor * (images - grey)


def _jpeg(images, rng, quality):
    return torch.stack([_one_jpeg(one, quality) for one in images])


def _one_jpeg(image, quality):
    """An image, (c, h, w), as a file of that quality has it."""
    file = io.BytesIO()
    V.to_pil_image(image.clamp(0, 1)).save(file, "JPEG", quality=quality)
    with Image.open(file) as read:
        return V.pil_to_tensor(read).float() / 255


def _pixelate(images, rng, share):
    side = images.shape[2:]
    small = [max(1, round(n * share)) for n in side]
    low = V.resize(images, small, V.InterpolationMode.NEAREST)
    return V.resize(low, list(side), V.InterpolationMode.NEAREST)


def _elastic(images, rng, reach):
    """Each image moved along a smooth random field, by ``reach`` of its side at most."""
    b, _, h, w = images.shape
    coarse = 2 * torch.rand(b, 2, 4, 4, generator=rng) - 1
    field = torch.nn.functional.interpolate(coarse, (h, w), mode="bicubic", align_corners=True)
    places = torch.nn.functional.affine_grid(
        torch.eye(2, 3).expand(b, 2, 3), images.shape, align_corners=False
    )
    moved = places + 2 * reach * field.permute(0, 2, 3, 1)
    return torch.nn.functional.grid_sample(
        images, moved, padding_mode="border", align_corners=False
    )


CORRUPTIONS = {  # name -> (function, its parameter at each strength)
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


def corrupt(images, name, strength, rng):
    """Images under a corruption.

    Args:
        images: (b, c, h, w) pixels from 0 to 1, on the CPU; c is 1 or 3.
        name: a key of ``CORRUPTIONS``.
        strength: 1 to 5.
        rng: ``torch.Generator`` of the CPU.

    Returns:
        A new tensor, pixels from 0 to 1.

    Raises:
        ValueError: the name or the strength is unknown.
    """
    if name not in CORRUPTIONS or strength not in STRENGTHS:
        raise ValueError(
            f"Unknown corruption {name!r} of strength {strength}; choose from {list(CORRUPTIONS)}, "
            "1 to 5."
        )
    function, parameters = CORRUPTIONS[name]
    return function(images, rng, parameters[strength - 1]).clamp(0, 1)
