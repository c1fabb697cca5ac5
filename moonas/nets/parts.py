"""The parts of cell networks, each with its shape: what latency tables list."""

from dataclasses import dataclass

from torch import nn

from .cells import Stem, stack
from .operations import FactorizedReduce, ReluConvNorm, affine_norm, build_operation


@dataclass(frozen=True)
class Part:
    """A module at one input shape.

    Args:
        name: an operation, or "stem", "preprocess", "reduce", "classifier".
        c_in: channels in.
        c_out: channels out; of a classifier its classes.
        stride: 1 or 2.
        side: of the input in pixels.
    """

    name: str
    c_in: int
    c_out: int
    stride: int
    side: int

    @property
    def key(self):
        """Its name in a latency table."""
        return f"{self.name} {self.c_in}-{self.c_out} s{self.stride} {self.side}x{self.side}"

    @property
    def shape(self):
        """Of one input, (c, h, w)."""
        return self.c_in, self.side, self.side

    def build(self):
        """The module; (b, c_in, side, side) in. ``none`` is an identity."""
        if self.name == "stem":
            return Stem(self.c_in, self.c_out, self.side)
        if self.name == "classifier":
            return nn.Sequential(
                nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(self.c_in, self.c_out)
            )
        if self.name == "preprocess":
            return ReluConvNorm(self.c_in, self.c_out, affine_norm)
        if self.name == "reduce":
            return FactorizedReduce(self.c_in, self.c_out, affine_norm)
        return build_operation(self.name, self.c_in, self.stride, affine_norm) or nn.Identity()


def network_parts(normal, reduction, *, channels, layers, n_classes, in_channels, image_size):
    """The parts of one network, as often as it has them: what its latency is the sum of."""
    parts, shapes = _fixed_parts(
        channels, layers, n_classes, in_channels, image_size, (len(normal) // 2,) * 2
    )
    for shape in shapes:
        edges = reduction if shape.reduction else normal
        parts += [_edge(shape, name, state) for name, state in edges]
    return parts


def space_parts(operations, n_nodes, *, channels, layers, n_classes, in_channels, image_size):
    """Every part that a network of the space can have, each once."""
    parts, shapes = _fixed_parts(
        channels, layers, n_classes, in_channels, image_size, (n_nodes, n_nodes)
    )
    for shape in shapes:
        for state in range(n_nodes + 1):
            parts += [_edge(shape, name, state) for name in operations]
    return list(dict.fromkeys(parts))


def _fixed_parts(channels, layers, n_classes, in_channels, image_size, n_out):
    shapes = stack(channels, layers, image_size, n_out)
    parts = [Part("stem", in_channels, channels, 1, image_size)]
    for shape in shapes:
        if shape.prev_reduction:
            parts.append(Part("reduce", shape.c_prev_prev, shape.channels, 2, 2 * shape.side))
        else:
            parts.append(Part("preprocess", shape.c_prev_prev, shape.channels, 1, shape.side))
        parts.append(Part("preprocess", shape.c_prev, shape.channels, 1, shape.side))
    width = n_out[int(shapes[-1].reduction)] * shapes[-1].channels
    parts.append(Part("classifier", width, n_classes, 1, shapes[-1].side_out))
    return parts, shapes


def _edge(shape, name, state):
    side = shape.side if state < 2 else shape.side_out
    return Part(name, shape.channels, shape.channels, shape.stride(state), side)
