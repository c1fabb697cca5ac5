"""Two domains made from digits, with a right answer: white on black, outlines on coloured texture.

An outline is where a stroke begins or ends, a few pixels wide, so a translation must look at the
neighbourhood of every pixel, in both directions: nothing pointwise does it, and nothing is moved.
Outline and ground have each their own random colour, and the ground a random texture, which no
translation back can know: what has to come through is the digit.
"""

import torch
from torch.nn import functional as F

from moonas.nets.randomness import generator

SIDE = 16  # pixels


def white_on_black(digits, side=SIDE):
    """Domain A: (n, 1, 8, 8) grey values from 0 to 1 -> (n, 3, side, side) in [-1, 1]."""
    grey = F.interpolate(digits, (side, side), mode="bilinear", antialias=True)
    return (2 * grey.clamp(0, 1) - 1).expand(-1, 3, -1, -1).contiguous()


def outlines(digits, seed, side=SIDE):
    """Domain B: (n, 1, 8, 8) grey values from 0 to 1 -> (n, 3, side, side) in [-1, 1].

    Args:
        digits: grey values.
        seed: of colours and textures.
        side: pixels.
    """
    n, rng = len(digits), generator(seed, "outlines")
    grey = F.interpolate(digits, (side, side), mode="bilinear", antialias=True).clamp(0, 1)
    grown = F.max_pool2d(grey, 3, 1, 1)
    shrunk = -F.max_pool2d(-grey, 3, 1, 1)
    edge = ((grown - shrunk) * 1.5).clamp(0, 1)  # (n, 1, side, side)
    hue = torch.rand(n, 3, 1, 1, generator=rng)
    texture = torch.rand(n, 3, side // 4, side // 4, generator=rng) - 0.5
    texture = F.interpolate(texture, (side, side), mode="bilinear")
    fine = torch.rand(n, 1, side, side, generator=rng) - 0.5
    ground = (0.15 + 0.35 * hue + 0.25 * texture + 0.1 * fine).clamp(0, 1)
    light = 0.75 + 0.25 * torch.rand(n, 3, 1, 1, generator=rng)
    return 2 * (edge * light + (1 - edge) * ground) - 1
