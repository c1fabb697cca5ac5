"""Exact params and macs of generators and discriminators, without building them.

Conventions are those of :mod:`moonas.nets.counting`.
"""

from .generator_net import LATENT_PARTS
from .operations import CONVOLUTIONS
from .space import N_CELLS, UP, halved


def convolution_cost(c_in, c_out, kernel, side, bias=True):
    """(params, macs) of a dense convolution whose output has ``side`` x ``side`` pixels."""
    weights = kernel**2 * c_in * c_out
    return weights + (c_out if bias else 0), weights * side**2


def operation_cost(name, channels, side):
    """(params, macs) of an operation.

    Args:
        name: of the operation, see :mod:`moonas.problems.eagan.space`.
        channels: in and out.
        side: of its output in pixels.
    """
    if name in CONVOLUTIONS:
        return convolution_cost(channels, channels, CONVOLUTIONS[name][0], side)
    if name == "deconv":
        params, macs = convolution_cost(channels, channels, 1, side, bias=False)
        return params + 9 * channels, macs + 9 * channels * (side // 2) ** 2
    if name in UP:
        return convolution_cost(channels, channels, 1, side)
    return 0, 0  # pools, identities, none


def generator_cost(architecture, *, channels, latent, side, in_channels):
    """(params, macs) of a generator, from its architecture and its shape."""
    costs = [convolution_cost(channels, in_channels, 3, side), (2 * channels, 0)]  # and the norm
    part = latent // LATENT_PARTS
    for i, cell in enumerate(architecture.cells):
        above = side // 2 ** (N_CELLS - 1 - i)  # of the cell's output
        features = channels * (above // 2) ** 2
        costs.append(((part + 1) * features, part * features))
        costs += [operation_cost(name, channels, above) for name in cell]
        costs += [convolution_cost(channels, channels, 1, above)] * i  # skips from earlier cells
    return tuple(map(sum, zip(*costs, strict=True)))


def discriminator_cost(architecture, *, channels, in_channels, side):
    """(params, macs) of a discriminator for images of some side."""
    half = halved(side)
    costs = [
        convolution_cost(in_channels, channels, 3, side),
        convolution_cost(channels, channels, 3, side),
        convolution_cost(in_channels, channels, 1, half),
        (channels, channels),  # the linear layer
    ]
    at = half
    for cell in architecture.cells:
        costs += [operation_cost(name, channels, at) for name in cell[:5]]
        if cell[5] != "none":
            at = halved(at)
            costs += [operation_cost(name, channels, at) for name in cell[5:]]
    return tuple(map(sum, zip(*costs, strict=True)))
