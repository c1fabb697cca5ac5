"""Exact numbers of parameters and multiply-adds of generators and discriminators.

Both numbers are computed from the architecture; no network is built.

Multiply-adds are counted as in :mod:`moonas.nets.counting`.
"""

from __future__ import annotations

from collections.abc import Iterable

from .generator_net import LATENT_PARTS
from .operations import CONVOLUTIONS
from .space import N_CELLS, UP_OPERATIONS, Architecture, halve_side

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


def operation_cost(name: str, channels: int, side: int) -> Cost:
    """Return (params, macs) of a candidate operation.

    Args:
        name: name of the operation, see :mod:`moonas.problems.eagan.space`.
        channels: number of input and output channels.
        side: side length of the output in pixels.
    """
    if name in CONVOLUTIONS:
        return convolution_cost(channels, channels, CONVOLUTIONS[name][0], side)
    if name == "deconv":
        params, macs = convolution_cost(channels, channels, 1, side, bias=False)
        return params + 9 * channels, macs + 9 * channels * (side // 2) ** 2
    if name in UP_OPERATIONS:
        return convolution_cost(channels, channels, 1, side)
    return 0, 0  # pooling, skip_connect and none


def generator_cost(
    architecture: Architecture, *, channels: int, latent: int, side: int, in_channels: int
) -> Cost:
    """Return (params, macs) of a generator.

    Args:
        architecture: Up-Cells of the generator.
        channels: number of channels of all cells.
        latent: length of a latent vector.
        side: side length of the images in pixels.
        in_channels: number of channels of the images.
    """
    costs = [
        convolution_cost(channels, in_channels, 3, side),
        (2 * channels, 0),  # batch normalization
    ]
    part = latent // LATENT_PARTS
    for i, cell in enumerate(architecture.cells):
        side_out = side // 2 ** (N_CELLS - 1 - i)
        features = channels * (side_out // 2) ** 2
        costs.append(
            ((part + 1) * features, part * features)
        )  # linear layer of one part of the latent vector
        costs += [operation_cost(name, channels, side_out) for name in cell]
        costs += [convolution_cost(channels, channels, 1, side_out)] * i  # skips from earlier cells
    return _sum_costs(costs)


def discriminator_cost(
    architecture: Architecture, *, channels: int, in_channels: int, side: int
) -> Cost:
    """Return (params, macs) of a discriminator.

    Args:
        architecture: Down-Cells of the discriminator.
        channels: number of channels of the first block and of all cells.
        in_channels: number of channels of the images.
        side: side length of the images in pixels.
    """
    cell_side = halve_side(side)
    costs = [
        convolution_cost(in_channels, channels, 3, side),
        convolution_cost(channels, channels, 3, side),
        convolution_cost(in_channels, channels, 1, cell_side),
        (channels, channels),  # the linear layer
    ]
    for cell in architecture.cells:
        costs += [operation_cost(name, channels, cell_side) for name in cell[:5]]
        if cell[5] != "none":
            cell_side = halve_side(cell_side)
            costs += [operation_cost(name, channels, cell_side) for name in cell[5:]]
    return _sum_costs(costs)


def _sum_costs(costs: Iterable[Cost]) -> Cost:
    params, macs = zip(*costs, strict=True)
    return sum(params), sum(macs)
