"""The networks of digits-table; several of one architecture may train side by side.

With ``copies`` networks in one module, every layer is a convolution of as many groups. Nothing of
one copy reaches another: no sum runs over them, normalisation is by channel, and SGD by number.
"""

import torch
from torch import nn
from torch.nn import functional as F

from moonas.nets import parts


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


class Part(parts.Part):
    """A layer by its operation, the stem or the classifier, at one input shape."""

    def build(self):
        """The module; (b, c_in, side, side) in."""
        if self.name == "classifier":
            return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(self.c_in, self.c_out, 1))
        name = "conv3" if self.name == "stem" else self.name
        return layer(name, self.c_in, self.c_out, self.stride)


def network_parts(architecture, *, n_classes=10, in_channels=1, side=8):
    """The parts of a network, in order, a list of :class:`Part`."""
    a = architecture
    found, c = [Part("stem", in_channels, a.width, 1, side)], a.width
    for stage, (operation, depth) in enumerate(zip(a.operations, a.depths, strict=True)):
        c_out = a.width * (a.widening if stage else 1)
        for i in range(depth):
            stride = 2 if stage and i == 0 else 1
            found.append(Part(operation, c, c_out, stride, side))
            c, side = c_out, side // stride
    return [*found, Part("classifier", c, n_classes, 1, side)]


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
        *layers, last = network_parts(architecture, n_classes=n_classes, in_channels=in_channels)
        body = [
            layer("conv3" if p.name == "stem" else p.name, p.c_in, p.c_out, p.stride, n)
            for p in layers
        ]
        self.body = nn.Sequential(*body, nn.AdaptiveAvgPool2d(1))
        self.classifier = nn.Conv2d(n * last.c_in, n * n_classes, 1, groups=n)

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
