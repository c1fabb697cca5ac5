"""Operations of EAGAN's cells, and how a network is a path through the candidates of its edges.

Every network is built from *candidates*: for each edge of each cell the operations that it may
take. With one each it is a network that stands alone, with all of them a supernet; the code of a
forward pass is the same, and so are the names of the weights, which :func:`own_weights` uses.

What the paper leaves out is as in its release: sums at nodes, one latent part a cell, skips between
cells, a first block of the discriminator that is not searched, and a sum over pixels at its end.
"""

from collections.abc import Callable, Iterable

import torch
from torch import nn
from torch.nn import functional as F

from .space import NORMAL, Architecture

INTERPOLATIONS = ("nearest", "bilinear")
CONVOLUTIONS = {  # kernel, dilation
    "conv_1x1": (1, 1),
    "conv_3x3": (3, 1),
    "conv_5x5": (5, 1),
    "dil_conv_3x3": (3, 2),
    "dil_conv_5x5": (5, 2),
}


def convolution(
    c_in: int,
    c_out: int,
    kernel: int,
    *,
    stride: int = 1,
    dilation: int = 1,
    norm: Callable | None = None,
) -> nn.Module:
    """A convolution with bias that keeps the side, or halves it with stride 2.

    Args:
        c_in: channels in.
        c_out: channels out.
        kernel: pixels a side.
        stride: 1 or 2.
        dilation: pixels between the taps of the kernel.
        norm: module -> module, as ``spectral_norm``; None for no normalisation.
    """
    padding = dilation * (kernel - 1) // 2
    layer = nn.Conv2d(c_in, c_out, kernel, stride, padding, dilation)
    nn.init.xavier_uniform_(layer.weight)
    return norm(layer) if norm else layer


class Convolve(nn.Module):
    """ReLU, if ``relu``, and a dense convolution; (b, c, h, w) -> (b, c, h', w')."""

    def __init__(self, channels, name, *, stride=1, relu=True, norm=None):
        super().__init__()
        kernel, dilation = CONVOLUTIONS[name]
        self.relu = relu
        self.conv = convolution(
            channels, channels, kernel, stride=stride, dilation=dilation, norm=norm
        )

    def forward(self, x):
        return self.conv(F.relu(x) if self.relu else x)


class Enlarge(nn.Module):
    """Twice the side by interpolation, ReLU, and a 1x1 convolution there."""

    def __init__(self, channels, mode):
        super().__init__()
        self.mode = mode
        self.conv = convolution(channels, channels, 1)

    def forward(self, x):
        return self.conv(F.relu(F.interpolate(x, scale_factor=2, mode=self.mode)))


class Deconvolve(nn.Module):
    """ReLU, a depthwise transposed 3x3 convolution of stride 2, and a 1x1 one, both unbiased."""

    def __init__(self, channels):
        super().__init__()
        self.depthwise = nn.ConvTranspose2d(
            channels, channels, 3, 2, 1, output_padding=1, groups=channels, bias=False
        )
        self.pointwise = nn.Conv2d(channels, channels, 1, bias=False)
        nn.init.xavier_uniform_(self.pointwise.weight)

    def forward(self, x):
        return self.pointwise(self.depthwise(F.relu(x)))


class Pool(nn.Module):
    """The mean or the largest of 2x2 pixels; odd sides are rounded up."""

    def __init__(self, name):
        super().__init__()
        self.pool = F.avg_pool2d if name == "avg_pool" else F.max_pool2d

    def forward(self, x):
        return self.pool(x, 2, ceil_mode=True)


def up_operation(name: str, channels: int) -> nn.Module:
    """The module of an operation in an Up-Cell that is no identity and not ``none``."""
    if name == "deconv":
        return Deconvolve(channels)
    return Enlarge(channels, name) if name in INTERPOLATIONS else Convolve(channels, name)


def down_operation(name: str, channels: int, **options) -> nn.Module:
    """The module of an operation in a Down-Cell that is no identity and not ``none``.

    Args:
        name: of the operation.
        channels: in and out.
        options: stride, relu and norm of a convolution.
    """
    return Pool(name) if name.endswith("_pool") else Convolve(channels, name, **options)


def edge_operations(names: Iterable[str], make: Callable[[str], nn.Module]) -> nn.ModuleDict:
    """The operations that an edge may take, by name; ``none`` and identities have no module."""
    return nn.ModuleDict({name: make(name) for name in names if name not in NORMAL[:2]})


def apply_edge(operations: nn.ModuleDict, name: str, x: torch.Tensor) -> torch.Tensor | None:
    """x through an operation of an edge; None where there is none."""
    if name == "none":
        return None
    return x if name == "skip_connect" else operations[name](x)


def total(tensors: Iterable[torch.Tensor | None]) -> torch.Tensor | None:
    """The sum of those that are not None, None if there is none; never in place."""
    sum_ = None
    for tensor in tensors:
        if tensor is not None:
            sum_ = tensor if sum_ is None else sum_ + tensor
    return sum_


def alone(architecture: Architecture) -> list[list[tuple[str]]]:
    """The candidates of a network that stands alone: one each."""
    return [[(name,) for name in cell] for cell in architecture.cells]


def own_weights(net: nn.Module, supernet: nn.Module) -> nn.Module:
    """Give a network that stands alone the weights of its path through a supernet.

    Returns:
        The network.

    Running statistics, which no supernet keeps, stay as they are; see
    :func:`~moonas.problems.eagan.generator_net.settle_statistics`.
    """
    shared, own = supernet.state_dict(), net.state_dict()
    net.load_state_dict({name: shared.get(name, own[name]) for name in own})
    return net
