"""The networks of digits-table; several networks of one architecture can train in parallel.

A module of several networks, called copies, uses grouped convolutions, whose groups keep the copies
apart. The copies are independent of each other: no convolution sums over channels of two copies,
batch normalization is per channel, and SGD updates each parameter separately.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import torch
from torch import nn
from torch.nn import functional as F

from moonas.nets.convolution import StridedConv2d
from moonas.nets.parts import Part, layer_part

from .space import Architecture


def layer(operation: str, c_in: int, c_out: int, stride: int, copies: int = 1) -> nn.Module:
    """Build a layer: convolution, batch normalization and ReLU.

    Args:
        operation: ``conv1``, ``conv3`` or ``conv5``, a convolution with that kernel size; ``sep3``,
            a depthwise 3x3 convolution followed by a 1x1 convolution; or ``res3``, the sum of a 3x3
            convolution and the input, which passes through a 1x1 convolution if the shapes differ.
        c_in: number of input channels of each copy.
        c_out: number of output channels of each copy.
        stride: 1 or 2.
        copies: number of networks in the module.

    Returns:
        A module (b, copies * c_in, h, w) -> (b, copies * c_out, h / stride, w / stride).
    """
    if operation == "res3":
        return _Residual(c_in, c_out, stride, copies)
    kernel = int(operation[-1])
    if operation == "sep3":
        body = [
            _conv(c_in, c_in, 3, stride, copies * c_in, copies),
            _conv(c_in, c_out, 1, 1, copies, copies),
        ]
    else:
        body = [_conv(c_in, c_out, kernel, stride, copies, copies)]
    return nn.Sequential(*body, nn.BatchNorm2d(copies * c_out), nn.ReLU())


class _Residual(nn.Module):
    def __init__(self, c_in: int, c_out: int, stride: int, copies: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            _conv(c_in, c_out, 3, stride, copies, copies), nn.BatchNorm2d(copies * c_out)
        )
        same_shape = c_in == c_out and stride == 1
        self.shortcut = None if same_shape else _conv(c_in, c_out, 1, stride, copies, copies)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.relu(self.body(x) + (x if self.shortcut is None else self.shortcut(x)))


def _conv(c_in: int, c_out: int, kernel: int, stride: int, groups: int, copies: int) -> nn.Conv2d:
    return StridedConv2d(
        copies * c_in, copies * c_out, kernel, stride, kernel // 2, groups=groups, bias=False
    )


class LayerShape(NamedTuple):
    """Arguments of :func:`layer` for one layer of a network."""

    operation: str
    c_in: int
    c_out: int
    stride: int


def layer_shapes(architecture: Architecture, in_channels: int = 1) -> list[LayerShape]:
    """Return the layers of a network before its classifier, in order; the first is the stem.

    Args:
        architecture: a :class:`~moonas.problems.digits_table.space.Architecture`.
        in_channels: number of channels of the images.
    """
    a, c = architecture, architecture.width
    shapes = [LayerShape("conv3", in_channels, c, 1)]
    for stage, (operation, depth) in enumerate(zip(a.operations, a.depths, strict=True)):
        c_out = a.width * (a.widening if stage else 1)
        for i in range(depth):
            shapes.append(LayerShape(operation, c, c_out, 2 if stage and i == 0 else 1))
            c = c_out
    return shapes


def network_parts(
    architecture: Architecture, *, n_classes: int = 10, in_channels: int = 1, side: int = 8
) -> list[Part]:
    """Return the parts of a network in order: stem, layers and classifier.

    Args:
        architecture: a :class:`~moonas.problems.digits_table.space.Architecture`.
        n_classes: number of classes.
        in_channels: number of channels of the images.
        side: side length of the images in pixels.
    """
    parts: list[Part] = []
    for shape in layer_shapes(architecture, in_channels):
        name = shape.operation if parts else "stem"
        parts.append(layer_part(name, *shape[1:], side, partial(layer, *shape)))
        side //= shape.stride
    make = partial(_classifier, shape.c_out, n_classes)
    return [*parts, layer_part("classifier", shape.c_out, n_classes, 1, side, make)]


def _classifier(c_in: int, n_classes: int) -> nn.Sequential:
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(c_in, n_classes, 1))


class DigitsNetwork(nn.Module):
    """A network of the space, or several networks of one architecture in a single module.

    One network maps (b, in_channels, side, side) to logits, (b, n_classes). Several networks map
    the same images to (copies, b, n_classes); they also accept (b, copies * in_channels, side,
    side), with different images for each copy.

    Args:
        architecture: a :class:`~moonas.problems.digits_table.space.Architecture`.
        n_classes: number of classes.
        in_channels: number of channels of the images.
        copies: number of networks; None for a single one without the leading dimension.
    """

    def __init__(
        self,
        architecture: Architecture,
        n_classes: int = 10,
        in_channels: int = 1,
        copies: int | None = None,
    ) -> None:
        super().__init__()
        n = copies or 1
        self.copies, self.n_classes, self.in_channels = copies, n_classes, in_channels
        shapes = layer_shapes(architecture, in_channels)
        self.body = nn.Sequential(*(layer(*s, copies=n) for s in shapes), nn.AdaptiveAvgPool2d(1))
        self.classifier = nn.Conv2d(n * shapes[-1].c_out, n * n_classes, 1, groups=n)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Images -> logits, with the shapes that the class describes."""
        if self.copies is not None and images.shape[1] == self.in_channels:
            images = images.repeat(1, self.copies, 1, 1)
        logits: torch.Tensor = self.classifier(self.body(images))[:, :, 0, 0]
        if self.copies is None:
            return logits
        return logits.reshape(len(images), self.copies, self.n_classes).transpose(0, 1)


def extract_copy(
    network: DigitsNetwork, architecture: Architecture, index: int, **shape: int
) -> DigitsNetwork:
    """Return one of several networks that were trained in parallel as a separate network.

    Args:
        network: a :class:`DigitsNetwork` with copies.
        architecture: the architecture of all copies.
        index: number of the copy, from 0.
        shape: ``n_classes`` and ``in_channels``.
    """
    assert network.copies is not None
    single = DigitsNetwork(architecture, **shape)
    state = {}
    for (name, target), values in zip(
        single.state_dict().items(), network.state_dict().values(), strict=True
    ):
        if target.ndim == 0:  # the step counter of a batch normalization
            state[name] = values
        else:
            state[name] = values.reshape(network.copies, *target.shape)[index]
    single.load_state_dict(state)
    return single.train(network.training)


def stack_weights(networks: Sequence[DigitsNetwork], stacked: DigitsNetwork) -> None:
    """Copy the weights of single networks into a network with copies.

    Args:
        networks: networks without copies, all of one architecture.
        stacked: network with ``len(networks)`` copies, changed in place.
    """
    states = [net.state_dict() for net in networks]
    state = {
        name: value if value.ndim == 0 else torch.cat([s[name] for s in states])
        for name, value in states[0].items()
    }
    stacked.load_state_dict(state)
