"""The networks of digits-table; several of one architecture may train side by side.

With ``copies`` networks in one module, every layer is a convolution of as many groups. Nothing of
one copy reaches another: no sum runs over them, normalisation is by channel, and SGD by number.
"""

from functools import partial
from typing import NamedTuple

import torch
from torch import nn
from torch.nn import functional as F

from moonas.nets.parts import Part, layer_part

from .space import Architecture


def layer(operation, c_in, c_out, stride, copies=1):
    """Convolution, normalisation, ReLU; (b, copies * c_in, h, w) in.

    Args:
        operation: conv1, conv3, conv5; sep3, a depthwise convolution and one of 1x1; res3, conv3
            added to its input, or to a 1x1 convolution of it where shapes differ.
        c_in: channels in, of each copy.
        c_out: channels out.
        stride: 1 or 2.
        copies: networks side by side.
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
    def __init__(self, c_in, c_out, stride, copies):
        super().__init__()
        self.body = nn.Sequential(
            _conv(c_in, c_out, 3, stride, copies, copies), nn.BatchNorm2d(copies * c_out)
        )
        same = c_in == c_out and stride == 1
        self.shortcut = None if same else _conv(c_in, c_out, 1, stride, copies, copies)

    def forward(self, x):
        return F.relu(self.body(x) + (x if self.shortcut is None else self.shortcut(x)))


def _conv(c_in, c_out, kernel, stride, groups, copies):
    return nn.Conv2d(
        copies * c_in, copies * c_out, kernel, stride, kernel // 2, groups=groups, bias=False
    )


class LayerShape(NamedTuple):
    """A layer of a network before its classifier, see :func:`layer`."""

    operation: str
    c_in: int
    c_out: int
    stride: int


def layer_shapes(architecture: Architecture, in_channels: int = 1) -> list[LayerShape]:
    """The layers of a network in order; the first one is the stem."""
    a, c = architecture, architecture.width
    found = [LayerShape("conv3", in_channels, c, 1)]
    for stage, (operation, depth) in enumerate(zip(a.operations, a.depths, strict=True)):
        c_out = a.width * (a.widening if stage else 1)
        for i in range(depth):
            found.append(LayerShape(operation, c, c_out, 2 if stage and i == 0 else 1))
            c = c_out
    return found


def network_parts(
    architecture: Architecture, *, n_classes: int = 10, in_channels: int = 1, side: int = 8
) -> list[Part]:
    """The parts of a network, in order: stem, layers and classifier."""
    found = []
    for shape in layer_shapes(architecture, in_channels):
        name = shape.operation if found else "stem"
        found.append(layer_part(name, *shape[1:], side, partial(layer, *shape)))
        side //= shape.stride
    make = partial(_classifier, shape.c_out, n_classes)
    return [*found, layer_part("classifier", shape.c_out, n_classes, 1, side, make)]


def _classifier(c_in, n_classes):
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(c_in, n_classes, 1))


class DigitsNetwork(nn.Module):
    """A network: (b, in_channels, side, side) -> logits, (b, n_classes) or (copies, b, n_classes).

    With copies, images of copies * in_channels channels are each copy's own.

    Args:
        architecture: a :class:`~moonas.problems.digits_table.space.Architecture`.
        n_classes: number of classes.
        in_channels: of the images.
        copies: networks side by side; None for one, alone.
    """

    def __init__(self, architecture, n_classes=10, in_channels=1, copies=None):
        super().__init__()
        n = copies or 1
        self.copies, self.n_classes, self.in_channels = copies, n_classes, in_channels
        shapes = layer_shapes(architecture, in_channels)
        self.body = nn.Sequential(*(layer(*s, copies=n) for s in shapes), nn.AdaptiveAvgPool2d(1))
        self.classifier = nn.Conv2d(n * shapes[-1].c_out, n * n_classes, 1, groups=n)

    def forward(self, images):
        if self.copies is None:
            return self.classifier(self.body(images))[:, :, 0, 0]
        if images.shape[1] == self.in_channels:
            images = images.repeat(1, self.copies, 1, 1)
        logits = self.classifier(self.body(images))[:, :, 0, 0]
        return logits.reshape(len(images), self.copies, self.n_classes).transpose(0, 1)


def of_copy(network, architecture, which, **shape):
    """One of the networks that were trained side by side, as it would be alone.

    Args:
        network: a :class:`DigitsNetwork` with copies.
        architecture: of it.
        which: its number.
        shape: n_classes and in_channels.
    """
    alone = DigitsNetwork(architecture, **shape)
    state = {}
    for (name, mine), theirs in zip(
        alone.state_dict().items(), network.state_dict().values(), strict=True
    ):
        if mine.ndim == 0:
            state[name] = theirs
        else:
            state[name] = theirs.reshape(network.copies, *mine.shape)[which]
    alone.load_state_dict(state)
    return alone.train(network.training)


def stack_initial(networks, together):
    """Give the copies of a network the weights of networks that stand alone.

    Args:
        networks: list of :class:`DigitsNetwork`.
        together: one with as many copies, changed in place.
    """
    states = [net.state_dict() for net in networks]
    state = {
        name: value if value.ndim == 0 else torch.cat([s[name] for s in states])
        for name, value in states[0].items()
    }
    together.load_state_dict(state)
