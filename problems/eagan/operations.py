"""Candidate operations on the edges of EAGAN's cells, and functions for building networks.

The *candidates* of an edge are the operations that a network can apply on it: a single one in a
stand-alone network, all of them in a supernet. Both kinds of networks have the same forward pass
and the same names of weights, as :func:`inherit_weights` requires.

Details that the paper omits follow its released code: a node is the sum of its inputs, each cell of
a generator receives one part of the latent vector, skip connections lead to the later cells, the
first block of a discriminator is fixed, and a discriminator sums its last feature map over pixels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

import torch
from torch import nn
from torch.nn import functional as F

from .space import NORMAL_OPERATIONS, Architecture

Module = TypeVar("Module", bound=nn.Module)
Normalization = Callable[[nn.Module], nn.Module]
Candidates = Sequence[Sequence[Sequence[str]]]  # names of operations by cell and edge

INTERPOLATIONS = ("nearest", "bilinear")
CONVOLUTIONS = {  # name of an operation -> side length of the kernel, dilation
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
    norm: Normalization | None = None,
) -> nn.Module:
    """Return a convolution with a bias; it keeps the spatial size, or halves it if the stride is 2.

    Args:
        c_in: number of input channels.
        c_out: number of output channels.
        kernel: side length of the kernel.
        stride: 1 or 2.
        dilation: distance between neighboring elements of the kernel in pixels.
        norm: weight normalization such as ``spectral_norm``; None for no normalization.
    """
    padding = dilation * (kernel - 1) // 2
    layer = nn.Conv2d(c_in, c_out, kernel, stride, padding, dilation)
    nn.init.xavier_uniform_(layer.weight)
    return norm(layer) if norm else layer


class Convolve(nn.Module):
    """Dense convolution, optionally preceded by a ReLU: (b, c, h, w) -> (b, c, h', w').

    Args:
        channels: number of input and output channels.
        name: a key of ``CONVOLUTIONS``.
        stride: 1 or 2.
        relu: whether a ReLU precedes the convolution.
        norm: weight normalization, see :func:`convolution`.
    """

    def __init__(
        self,
        channels: int,
        name: str,
        *,
        stride: int = 1,
        relu: bool = True,
        norm: Normalization | None = None,
    ) -> None:
        super().__init__()
        kernel, dilation = CONVOLUTIONS[name]
        self.relu = relu
        self.conv = convolution(
            channels, channels, kernel, stride=stride, dilation=dilation, norm=norm
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.conv(F.relu(x) if self.relu else x)
        return out


def is_on_gpu(module: nn.Module) -> bool:
    """Return whether the weights of a module are on a GPU.

    torch.fx can trace this function, but not a condition on the device of a feature map.
    """
    return next(module.parameters()).is_cuda


def enlarge_bilinearly(x: torch.Tensor, factor: int) -> torch.Tensor:
    """Return feature maps whose height and width are multiplied by bilinear interpolation.

    Pixels are squares (``align_corners=False``), so the result equals that of ``F.interpolate`` up
    to rounding. On GPUs, the gradient of ``F.interpolate`` sums in a random order, so a repeated
    training has other weights; the gradient of this function is deterministic.

    Args:
        x: (b, c, h, w).
        factor: number that the height and the width are multiplied by, at least 1.
    """
    for axis in (2, 3):
        n = x.shape[axis]
        # the neighbors of each pixel; beyond the border, the pixel itself
        before = torch.cat([x.narrow(axis, 0, 1), x.narrow(axis, 0, n - 1)], axis)
        after = torch.cat([x.narrow(axis, 1, n - 1), x.narrow(axis, n - 1, 1)], axis)
        parts = []
        for i in range(factor):
            shift = (i + 0.5) / factor - 0.5  # distance of an output pixel from the input pixel
            neighbor = before if shift < 0 else after
            parts.append((1 - abs(shift)) * x + abs(shift) * neighbor)
        x = torch.stack(parts, axis + 1).flatten(axis, axis + 1)
    return x


class Enlarge(nn.Module):
    """Interpolation to twice the side length, followed by a ReLU and a 1x1 convolution.

    Args:
        channels: number of output channels.
        mode: interpolation mode, "nearest" or "bilinear".
        c_in: number of input channels; by default, as many as output channels.
    """

    def __init__(self, channels: int, mode: str, c_in: int | None = None) -> None:
        super().__init__()
        self.mode = mode
        self.conv = convolution(c_in or channels, channels, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.mode == "bilinear" and is_on_gpu(self.conv):
            enlarged = enlarge_bilinearly(x, 2)
        else:
            enlarged = F.interpolate(x, scale_factor=2, mode=self.mode)
        out: torch.Tensor = self.conv(F.relu(enlarged))
        return out


class Deconvolve(nn.Module):
    """Upsampling by a transposed convolution.

    A ReLU, a depthwise transposed 3x3 convolution of stride 2 and a 1x1 convolution; the
    convolutions have no biases.

    Args:
        channels: number of output channels.
        c_in: number of input channels; by default, as many as output channels.
    """

    def __init__(self, channels: int, c_in: int | None = None) -> None:
        super().__init__()
        c_in = c_in or channels
        self.depthwise = nn.ConvTranspose2d(
            c_in, c_in, 3, 2, 1, output_padding=1, groups=c_in, bias=False
        )
        self.pointwise = nn.Conv2d(c_in, channels, 1, bias=False)
        nn.init.xavier_uniform_(self.pointwise.weight)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.pointwise(self.depthwise(F.relu(x)))
        return out


class Pool(nn.Module):
    """Average or max pooling over 2x2 pixels; half of an odd side length is rounded up.

    Args:
        name: "avg_pool" or "max_pool".
    """

    def __init__(self, name: str) -> None:
        super().__init__()
        self.pool: Callable[..., torch.Tensor] = (
            F.avg_pool2d if name == "avg_pool" else F.max_pool2d
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.pool(x, 2, ceil_mode=True)


def up_operation(name: str, channels: int, c_in: int | None = None) -> nn.Module:
    """Return the module of an operation of an Up-Cell other than ``none`` and ``skip_connect``.

    Args:
        name: name of the operation.
        channels: number of output channels.
        c_in: number of input channels of an operation that doubles the side length; by default, as
            many as output channels.
    """
    if name == "deconv":
        return Deconvolve(channels, c_in)
    return Enlarge(channels, name, c_in) if name in INTERPOLATIONS else Convolve(channels, name)


def down_operation(name: str, channels: int, **options: Any) -> nn.Module:
    """Return the module of an operation of a Down-Cell other than ``none`` and ``skip_connect``.

    Args:
        name: name of the operation.
        channels: number of input and output channels.
        options: keyword arguments stride, relu and norm of :class:`Convolve`.
    """
    return Pool(name) if name.endswith("_pool") else Convolve(channels, name, **options)


def edge_operations(names: Iterable[str], make: Callable[[str], nn.Module]) -> nn.ModuleDict:
    """Return the candidate operations of an edge; ``none`` and ``skip_connect`` need no module.

    Args:
        names: names of the candidates.
        make: function that maps the name of an operation to a new module.
    """
    return nn.ModuleDict({name: make(name) for name in names if name not in NORMAL_OPERATIONS[:2]})


def apply_edge(operations: nn.Module, name: str, x: torch.Tensor) -> torch.Tensor | None:
    """Apply one candidate operation of an edge; return None if the operation is ``none``.

    Args:
        operations: modules of the edge, as :func:`edge_operations` returns them.
        name: name of the candidate.
        x: (b, c, h, w) start node of the edge.
    """
    if name == "none":
        return None
    if name == "skip_connect":
        return x
    assert isinstance(operations, nn.ModuleDict)
    out: torch.Tensor = operations[name](x)
    return out


def add_inputs(tensors: Iterable[torch.Tensor | None]) -> torch.Tensor:
    """Return the sum of the inputs of a node; an input is None if its edge is ``none``.

    No input is modified in place, because other edges may read the same tensor.
    """
    inputs = [tensor for tensor in tensors if tensor is not None]
    result = inputs[0]
    for tensor in inputs[1:]:
        result = result + tensor
    return result


def single_candidates(architecture: Architecture) -> list[list[tuple[str]]]:
    """Return the candidates of a stand-alone network, which has one operation per edge."""
    return [[(name,) for name in cell] for cell in architecture.cells]


def inherit_weights(net: Module, supernet: nn.Module) -> Module:
    """Copy the weights of a supernet that belong to a stand-alone network into that network.

    A supernet has no running statistics, so the network's running statistics do not change; see
    :func:`~moonas.problems.eagan.generator_net.estimate_running_statistics`.

    Returns:
        The same stand-alone network.
    """
    shared, state = supernet.state_dict(), net.state_dict()
    net.load_state_dict({name: shared.get(name, state[name]) for name in state})
    return net
