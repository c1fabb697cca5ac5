"""Parts of EAGAN's networks for tables of latencies: the operations of a supernet at its places."""

from torch import nn

from moonas.nets.parts import Part

from .operations import down_operation, up_operation
from .space import DOWN, NORMAL, UP, halved


def generator_parts(channels: int, side: int) -> list[Part]:
    """Every operation at every side that it can have in a generator for images of some side."""
    parts = []
    for below in (side // 8, side // 4, side // 2):
        parts += [_part(name, "up", channels, below) for name in UP]
        parts += [_part(name, "normal", channels, 2 * below) for name in NORMAL]
    return parts


def discriminator_parts(channels: int, side: int) -> list[Part]:
    """Every operation at every side that it can have in a discriminator."""
    sides, s = [], side
    while s > 1 and len(sides) < 4:
        s = halved(s)
        sides.append(s)
    parts = [_part(name, "normal", channels, s) for s in sides for name in NORMAL]
    return parts + [_part(name, "down", channels, s) for s in sides[:3] if s > 1 for name in DOWN]


def _part(name, kind, channels, side):
    """An operation at one place.

    Args:
        name: of the operation.
        kind: "up", "normal" or "down".
        channels: in and out.
        side: of the input in pixels.
    """

    def make():
        if name in NORMAL[:2]:  # none and the identity
            return nn.Identity()
        if kind == "up":
            return up_operation(name, channels)
        return down_operation(name, channels, stride=1 if kind == "normal" else 2)

    return Part(f"{name} {kind} {channels} {side}x{side}", (channels, side, side), make)
