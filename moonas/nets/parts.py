"""The parts of cell networks, each with its shape: what latency tables list."""

import itertools
from dataclasses import dataclass

from torch import nn

from .cells import Stem, all_nodes, even_layout, stack
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


def network_parts(normal, reduction, *, concat=all_nodes, **shape):
    """The parts of one network, as often as it has them: what its latency is the sum of.

    Args:
        normal: edges of the normal cell, (operation, state) pairs, two a node.
        reduction: edges of the reduction cell.
        concat: edges of a cell -> states of the nodes that it concatenates.
        shape: channels, layers, n_classes, in_channels, image_size and, where widths do not double,
            increment, or layout; as :class:`~moonas.nets.cell_network.CellNetwork` takes them.
    """
    parts, shapes = _fixed_parts((len(concat(normal)), len(concat(reduction))), **shape)
    for shape in shapes:
        edges = reduction if shape.reduction else normal
        parts += [_edge(shape, name, state) for name, state in edges]
    return parts


def space_parts(operations, n_nodes, *, n_concat=None, **shape):
    """Every part that a network of the space can have, each once.

    Args:
        operations: names.
        n_nodes: of a cell.
        n_concat: the numbers of nodes that a cell may concatenate; all of them by default.
        shape: as :func:`network_parts` takes it.
    """
    parts = []
    for n_out in itertools.product(n_concat or [n_nodes], repeat=2):
        fixed, shapes = _fixed_parts(n_out, **shape)
        parts += fixed
    for cell in shapes:  # edges are the same whatever is concatenated
        for state in range(n_nodes + 1):
            parts += [_edge(cell, name, state) for name in operations]
    return list(dict.fromkeys(parts))


def _fixed_parts(
    n_out,
    *,
    n_classes,
    in_channels,
    image_size,
    channels=None,
    layers=None,
    increment=None,
    layout=None,
):
    layout = layout or even_layout(channels, layers, increment)
    shapes = stack(layout, image_size, n_out)
    parts = [Part("stem", in_channels, layout.stem, 1, image_size)]
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
