"""Parts of EAGAN's networks for latency tables: each operation at each spatial size."""

from __future__ import annotations

from torch import nn

from moonas.nets.parts import Part

from .operations import down_operation, up_operation
from .space import DOWN_OPERATIONS, NORMAL_OPERATIONS, UP_OPERATIONS, halve_side


def generator_parts(channels: int, side: int) -> list[Part]:
    """Return each operation of a generator, once per spatial size at which it can occur.

    Args:
        channels: number of channels of the generator.
        side: side length of the generated images in pixels.
    """
    parts = []
    for side_in in (side // 8, side // 4, side // 2):
        parts += [_part(name, "up", channels, side_in) for name in UP_OPERATIONS]
        parts += [_part(name, "normal", channels, 2 * side_in) for name in NORMAL_OPERATIONS]
    return parts


def discriminator_parts(channels: int, side: int) -> list[Part]:
    """Return each operation of a discriminator, once per spatial size at which it can occur.

    Args:
        channels: number of channels of the discriminator.
        side: side length of the images in pixels.
    """
    sides: list[int] = []
    s = side
    while s > 1 and len(sides) < 4:
        s = halve_side(s)
        sides.append(s)
    parts = [_part(name, "normal", channels, s) for s in sides for name in NORMAL_OPERATIONS]
    return parts + [
        _part(name, "down", channels, s) for s in sides[:3] if s > 1 for name in DOWN_OPERATIONS
    ]


def _part(name: str, kind: str, channels: int, side: int) -> Part:
    """Return one operation at one spatial size.

    Args:
        name: name of the operation.
        kind: whether the operation doubles ("up"), keeps ("normal") or halves ("down") the side
            length.
        channels: number of input and output channels.
        side: side length of the input in pixels.
    """

    def make() -> nn.Module:
        if name in NORMAL_OPERATIONS[:2]:  # none and skip_connect
            return nn.Identity()
        if kind == "up":
            return up_operation(name, channels)
        return down_operation(name, channels, stride=1 if kind == "normal" else 2)

    return Part(f"{name} {kind} {channels} {side}x{side}", (channels, side, side), make)
