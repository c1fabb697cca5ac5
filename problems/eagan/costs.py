"""Exact numbers of parameters and multiply-adds of generators and discriminators.

Both numbers are computed from the architecture; no network is built.

Multiply-adds are counted as in :mod:`moonas.nets.counting`.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise, product

from .generator_net import latent_parts, latent_sides
from .operations import CONVOLUTIONS
from .space import UP_OPERATIONS, Architecture, DiscriminatorSpace, channel_widths, halve_side

Cost = tuple[int, int]  # (params, macs)


def convolution_cost(c_in: int, c_out: int, kernel: int, side: int, bias: bool = True) -> Cost:
    """Return (params, macs) of a dense convolution.

    Args:
        c_in: number of input channels.
        c_out: number of output channels.
        kernel: side length of the kernel.
        side: side length of the output in pixels.
        bias: whether the convolution has a bias.
    """
    weights = kernel**2 * c_in * c_out
    return weights + (c_out if bias else 0), weights * side**2


def operation_cost(name: str, channels: int, side: int, c_in: int | None = None) -> Cost:
    """Return (params, macs) of a candidate operation.

    Args:
        name: name of the operation, see :mod:`moonas.problems.eagan.space`.
        channels: number of output channels.
        side: side length of the output in pixels.
        c_in: number of input channels of an operation that doubles the side length; by default, as
            many as output channels.
    """
    c_in = c_in or channels
    if name in CONVOLUTIONS:
        return convolution_cost(channels, channels, CONVOLUTIONS[name][0], side)
    if name == "deconv":
        params, macs = convolution_cost(c_in, channels, 1, side, bias=False)
        return params + 9 * c_in, macs + 9 * c_in * (side // 2) ** 2
    if name in UP_OPERATIONS:
        return convolution_cost(c_in, channels, 1, side)
    return 0, 0  # pooling, skip_connect and none


def generator_cost(
    architecture: Architecture,
    *,
    channels: int,
    latent: int,
    side: int,
    in_channels: int,
    channel_schedule: str = "halve",
) -> Cost:
    """Return (params, macs) of a generator.

    Args:
        architecture: Up-Cells of the generator.
        channels: number of channels of the first three cells.
        latent: length of a latent vector.
        side: side length of the images in pixels.
        in_channels: number of channels of the images.
        channel_schedule: number of channels of the further cells, see
            :func:`.space.channel_widths`.
    """
    n_cells = len(architecture.cells)
    widths = channel_widths(channels, n_cells, channel_schedule)
    costs = [
        convolution_cost(widths[-1], in_channels, 3, side),
        (2 * widths[-1], 0),  # batch normalization
    ]
    parts, sides = latent_parts(latent, n_cells), latent_sides(side, n_cells)
    for i, cell in enumerate(architecture.cells):
        c_in, width, side_out = widths[max(0, i - 1)], widths[i], side // 2 ** (n_cells - 1 - i)
        features = c_in * sides[i] ** 2
        costs.append(
            ((parts[i] + 1) * features, parts[i] * features)
        )  # linear layer of one part of the latent vector
        costs += [operation_cost(name, width, side_out, c_in) for name in cell[:2]]
        costs += [operation_cost(name, width, side_out) for name in cell[2:]]
        costs += [
            convolution_cost(earlier, width, 1, side_out) for earlier in widths[:i]
        ]  # skips from earlier cells
    return _sum_costs(costs)


def discriminator_cost(
    architecture: Architecture,
    *,
    channels: int,
    in_channels: int,
    side: int,
    channel_schedule: str = "halve",
) -> Cost:
    """Return (params, macs) of a discriminator.

    Args:
        architecture: Down-Cells of the discriminator.
        channels: number of channels of the last three cells.
        in_channels: number of channels of the images.
        side: side length of the images in pixels.
        channel_schedule: number of channels of the earlier cells, see
            :func:`.space.channel_widths`.
    """
    cell_side = halve_side(side)
    widths = channel_widths(channels, len(architecture.cells), channel_schedule)[::-1]
    costs = [
        convolution_cost(in_channels, widths[0], 3, side),
        convolution_cost(widths[0], widths[0], 3, side),
        convolution_cost(in_channels, widths[0], 1, cell_side),
        (channels, channels),  # the linear layer
    ]
    for (before, width), cell in zip(
        pairwise([widths[0], *widths]), architecture.cells, strict=True
    ):
        if before != width:
            costs.append(convolution_cost(before, width, 1, cell_side))
        costs += [operation_cost(name, width, cell_side) for name in cell[:5]]
        if cell[5] != "none":
            cell_side = halve_side(cell_side)
            costs += [operation_cost(name, width, cell_side) for name in cell[5:]]
    return _sum_costs(costs)


def largest_generators(n_cells: int) -> list[Architecture]:
    """Return the generator with the most parameters and the one with the most multiply-adds.

    Args:
        n_cells: number of cells of a generator.
    """
    cells = [(up, up, *["conv_5x5"] * 5) for up in ("deconv", "bilinear")]
    return [Architecture((cell,) * n_cells) for cell in cells]


def largest_discriminators(space: DiscriminatorSpace) -> list[Architecture]:
    """Return the most expensive discriminator for each subset of cells that downsample."""
    cells = [["conv_5x5"] * 5 + last for last in (["none"] * 2, ["conv_5x5"] * 2)]
    return [Architecture(space.make_legal(a)) for a in product(cells, repeat=space.n_cells)]


def _sum_costs(costs: Iterable[Cost]) -> Cost:
    params, macs = zip(*costs, strict=True)
    return sum(params), sum(macs)
