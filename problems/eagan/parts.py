"""Parts of EAGAN's networks for latency tables: each operation at each spatial size."""

from __future__ import annotations

from torch import nn

from moonas.nets.parts import Part

from .operations import down_operation, up_operation
from .space import (
    DOWN_OPERATIONS,
    N_CELLS,
    NORMAL_OPERATIONS,
    UP_OPERATIONS,
    channel_widths,
    halve_side,
)


def generator_parts(
    channels: int, side: int, n_cells: int = N_CELLS, channel_schedule: str = "halve"
) -> list[Part]:
    """Return each operation of a generator, once per spatial size at which it can occur.

    Args:
        channels: number of channels of the first three cells.
        side: side length of the generated images in pixels.
        n_cells: number of cells.
        channel_schedule: number of channels of the further cells, see
            :func:`.space.channel_widths`.
    """
    parts = []
    widths = channel_widths(channels, n_cells, channel_schedule)
    for i, width in enumerate(widths):
        c_in, side_in = widths[max(0, i - 1)], side // 2 ** (n_cells - i)
        parts += [_part(name, "up", width, side_in, c_in) for name in UP_OPERATIONS]
        parts += [_part(name, "normal", width, 2 * side_in) for name in NORMAL_OPERATIONS]
    return parts


def discriminator_parts(
    channels: int, side: int, n_cells: int = N_CELLS, channel_schedule: str = "halve"
) -> list[Part]:
    """Return each operation of a discriminator, once per spatial size at which it can occur.

    Args:
        channels: number of channels of the last three cells.
        side: side length of the images in pixels.
        n_cells: number of cells.
        channel_schedule: number of channels of the earlier cells, see
            :func:`.space.channel_widths`.
    """
    widths = channel_widths(channels, n_cells, channel_schedule)[::-1]
    sides = [halve_side(side)]  # of the possible inputs of a cell
    normal: dict[tuple[int, int], None] = {}  # (channels, side) of an operation; an ordered set
    down: dict[tuple[int, int], None] = {}
    for width in widths:
        halved = [halve_side(s) for s in sides if s > 1]
        normal |= dict.fromkeys((width, s) for s in sides)
        down |= dict.fromkeys((width, s) for s in sides if s > 1)
        sides = list(dict.fromkeys(sides + halved))
    normal |= dict.fromkeys((widths[-1], s) for s in sides)  # tables of earlier versions have them
    parts = [_part(name, "normal", c, s) for c, s in normal for name in NORMAL_OPERATIONS]
    return parts + [_part(name, "down", c, s) for c, s in down for name in DOWN_OPERATIONS]


def _part(name: str, kind: str, channels: int, side: int, c_in: int | None = None) -> Part:
    """Return one operation at one spatial size.

    Args:
        name: name of the operation.
        kind: whether the operation doubles ("up"), keeps ("normal") or halves ("down") the side
            length.
        channels: number of output channels.
        side: side length of the input in pixels.
        c_in: number of input channels; by default, as many as output channels.
    """
    c_in = c_in or channels

    def make() -> nn.Module:
        if name in NORMAL_OPERATIONS[:2]:  # none and skip_connect
            return nn.Identity()
        if kind == "up":
            return up_operation(name, channels, c_in)
        return down_operation(name, channels, stride=1 if kind == "normal" else 2)

    widths = f"{channels}" if c_in == channels else f"{c_in}-{channels}"
    return Part(f"{name} {kind} {widths} {side}x{side}", (c_in, side, side), make)
