"""The networks of NAS-Bench-Macro: a stem, three stages of inverted residuals, and a classifier."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import torch
from torch import nn

from moonas.nets.convolution import StridedConv2d
from moonas.nets.parts import Part, layer_part

from .space import OPERATIONS, STAGES

STEM_CHANNELS, HEAD_CHANNELS = 32, 1280
SHAPES = {"mb3_k3": (3, 3), "mb6_k5": (6, 5)}  # operation -> expansion, kernel size


def _convolution(
    c_in: int, c_out: int, kernel: int, stride: int = 1, groups: int = 1, relu: bool = True
) -> list[nn.Module]:
    """Return a convolution, batch normalization and, optionally, a ReLU."""
    layers = [
        StridedConv2d(c_in, c_out, kernel, stride, kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(c_out),
    ]
    return [*layers, nn.ReLU()] if relu else layers


class InvertedResidual(nn.Module):
    """A depthwise convolution between two 1x1 convolutions, added to the input if shapes agree.

    Args:
        c_in: number of input channels.
        c_out: number of output channels.
        stride: 1 or 2.
        expansion: ratio of the channels of the depthwise convolution to the input channels.
        kernel: kernel size of the depthwise convolution.
    """

    def __init__(self, c_in: int, c_out: int, stride: int, expansion: int, kernel: int) -> None:
        super().__init__()
        c = c_in * expansion
        self.body = nn.Sequential(
            *_convolution(c_in, c, 1),
            *_convolution(c, c, kernel, stride, groups=c),
            *_convolution(c, c_out, 1, relu=False),
        )
        self.adds_input = stride == 1 and c_in == c_out

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(b, c_in, h, w) -> (b, c_out, h / stride, w / stride)."""
        output: torch.Tensor = self.body(x)
        return x + output if self.adds_input else output


class LayerShape(NamedTuple):
    """Arguments of :func:`layer` for one layer of a network."""

    operation: str
    c_in: int
    c_out: int
    stride: int


def layer(operation: str, c_in: int, c_out: int, stride: int) -> nn.Module:
    """Build a layer.

    Args:
        operation: one of ``OPERATIONS``. If the shape changes, ``identity`` is a 1x1 convolution
            with batch normalization.
        c_in: number of input channels.
        c_out: number of output channels.
        stride: 1 or 2.
    """
    if operation != OPERATIONS[0]:
        return InvertedResidual(c_in, c_out, stride, *SHAPES[operation])
    if stride == 1 and c_in == c_out:
        return nn.Identity()
    return nn.Sequential(*_convolution(c_in, c_out, 1, stride, relu=False))


def layer_shapes(operations: Sequence[str]) -> list[LayerShape]:
    """Return the eight layers between stem and classifier, in order.

    Args:
        operations: name of the operation of each layer.
    """
    shapes, c, names = [], STEM_CHANNELS, iter(operations)
    for n_layers in STAGES:
        for i in range(n_layers):
            first = i == 0
            shapes.append(LayerShape(next(names), c, 2 * c if first else c, 2 if first else 1))
            c = shapes[-1].c_out
    return shapes


class MacroNetwork(nn.Sequential):
    """A network of the benchmark: (b, in_channels, side, side) -> logits (b, n_classes).

    Args:
        operations: name of the operation of each layer, see :mod:`.space`.
        n_classes: number of classes.
        in_channels: number of channels of the images.
    """

    def __init__(
        self, operations: Sequence[str], n_classes: int = 10, in_channels: int = 3
    ) -> None:
        parts = network_parts(operations, n_classes=n_classes, in_channels=in_channels)
        super().__init__(*(part.build() for part in parts))


def _stem(in_channels: int) -> nn.Sequential:
    return nn.Sequential(*_convolution(in_channels, STEM_CHANNELS, 3))


def _classifier(c_in: int, n_classes: int) -> nn.Sequential:
    return nn.Sequential(
        *_convolution(c_in, HEAD_CHANNELS, 1),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(HEAD_CHANNELS, n_classes),
    )


def network_parts(
    operations: Sequence[str], *, n_classes: int = 10, in_channels: int = 3, side: int = 32
) -> list[Part]:
    """Return the parts of a network in order: stem, layers and classifier.

    Args:
        operations: name of the operation of each layer.
        n_classes: number of classes.
        in_channels: number of channels of the images.
        side: side length of the images in pixels.
    """
    stem = layer_part("stem", in_channels, STEM_CHANNELS, 1, side, partial(_stem, in_channels))
    parts = [stem]
    for shape in layer_shapes(operations):
        parts.append(layer_part(*shape, side, partial(layer, *shape)))
        side //= shape.stride
    make = partial(_classifier, shape.c_out, n_classes)
    return [*parts, layer_part("classifier", shape.c_out, n_classes, 1, side, make)]
