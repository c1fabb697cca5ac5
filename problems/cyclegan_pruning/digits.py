"""Two domains of digits: white strokes on black, and outlines on a colored texture.

A correct translation preserves the digit, so translations can be scored with a classifier. An
outline is a few pixels wide and follows the edge of a stroke. Whether a pixel belongs to an outline
depends on neighboring pixels. Therefore, no generator can translate each pixel independently, in
either direction, even though the strokes keep their positions. The outline and the background have
random colors, and the background has a random texture. The translation from A to B can preserve the
digit, but it cannot predict these colors and textures.
"""

from __future__ import annotations

import torch
from torch.nn import functional as F

from moonas.nets.randomness import generator

from .settings import DIGITS_SIDE as SIDE


def white_on_black(digits: torch.Tensor, side: int = SIDE) -> torch.Tensor:
    """Render images of domain A, white strokes on black.

    Args:
        digits: (n, 1, 8, 8) gray values in [0, 1].
        side: side length of the images in pixels.

    Returns:
        (n, 3, side, side) images in [-1, 1].
    """
    gray = F.interpolate(digits, (side, side), mode="bilinear", antialias=True)
    return (2 * gray.clamp(0, 1) - 1).expand(-1, 3, -1, -1).contiguous()


def outlines(digits: torch.Tensor, seed: int, side: int = SIDE) -> torch.Tensor:
    """Render images of domain B, outlines on a colored texture.

    Args:
        digits: (n, 1, 8, 8) gray values in [0, 1].
        seed: seed of colors and textures.
        side: side length of the images in pixels.

    Returns:
        (n, 3, side, side) images in [-1, 1].
    """
    n, rng = len(digits), generator(seed, "outlines")
    gray = F.interpolate(digits, (side, side), mode="bilinear", antialias=True).clamp(0, 1)
    dilated = F.max_pool2d(gray, 3, 1, 1)
    eroded = -F.max_pool2d(-gray, 3, 1, 1)
    edge = ((dilated - eroded) * 1.5).clamp(0, 1)  # (n, 1, side, side)
    hue = torch.rand(n, 3, 1, 1, generator=rng)
    texture = torch.rand(n, 3, side // 4, side // 4, generator=rng) - 0.5
    texture = F.interpolate(texture, (side, side), mode="bilinear")
    noise = torch.rand(n, 1, side, side, generator=rng) - 0.5
    background = (0.15 + 0.35 * hue + 0.25 * texture + 0.1 * noise).clamp(0, 1)
    color = 0.75 + 0.25 * torch.rand(n, 3, 1, 1, generator=rng)
    return 2 * (edge * color + (1 - edge) * background) - 1
