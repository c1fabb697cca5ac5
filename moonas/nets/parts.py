"""Parts: layers of networks with fixed input shapes, whose latencies form latency tables."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from torch import nn

from .cells import CellNetworkShape, CellShape, Concat, Edges, Stem, all_nodes, has_large_stem
from .operations import FactorizedReduce, ReluConvNorm, affine_batch_norm, build_operation


@dataclass(frozen=True)
class Part:
    """A layer with a fixed input shape. Two parts with the same key and shape are equal.

    Args:
        key: name of the part in a latency table.
        shape: (c, h, w), shape of one input.
        make: () -> a new module with initial weights.
    """

    key: str
    shape: tuple[int, int, int]
    make: Callable[[], nn.Module] = field(compare=False, repr=False)

    def build(self) -> nn.Module:
        """Return a new module with inputs (b, c, h, w)."""
        return self.make()


def layer_part(
    name: str,
    c_in: int,
    c_out: int,
    stride: int,
    size: int | tuple[int, int],
    make: Callable[[], nn.Module],
) -> Part:
    """Return a part whose key contains its name, its channels, its stride and the size of inputs.

    Args:
        name: name of the layer, such as ``sep_conv_3x3``.
        c_in: number of input channels.
        c_out: number of output channels; of a classifier, the number of classes.
        stride: 1 or 2.
        size: side length of the input in pixels, or its height and width.
        make: () -> a new module.
    """
    h, w = (size, size) if isinstance(size, int) else size
    return Part(f"{name} {c_in}-{c_out} s{stride} {h}x{w}", (c_in, h, w), make)


def operation_part(name: str, channels: int, stride: int, side: int) -> Part:
    """Return a candidate operation as a part; the module of ``none`` is an identity.

    Args:
        name: name of the operation, see :func:`moonas.nets.operations.build_operation`.
        channels: number of input and output channels.
        stride: 1 or 2.
        side: side length of the input in pixels.
    """
    make = partial(_build_operation, name, channels, stride)
    return layer_part(name, channels, channels, stride, side, make)


def classifier_part(c_in: int, n_classes: int, side: int) -> Part:
    """Return global average pooling followed by a linear classifier, as one part.

    Args:
        c_in: number of input channels.
        n_classes: number of classes.
        side: side length of the input in pixels.
    """
    return layer_part(
        "classifier", c_in, n_classes, 1, side, partial(_build_classifier, c_in, n_classes)
    )


def unique_parts(parts: Iterable[Part]) -> list[Part]:
    """Return the distinct parts, in the order of their first occurrence."""
    return list(dict.fromkeys(parts))


def network_parts(
    normal: Edges, reduction: Edges, *, concat: Concat = all_nodes, **shape: Any
) -> list[Part]:
    """List the parts of a cell-based network; a part used k times is listed k times.

    The sum of their latencies estimates the latency of the network.

    Args:
        normal: edges of the normal cell, (operation, state) pairs, two per node.
        reduction: edges of the reduction cell.
        concat: edges of a cell -> states of the nodes that the cell concatenates; by default, all
            nodes.
        shape: keyword arguments of :class:`~moonas.nets.cells.CellNetworkShape`.
    """
    n_out = len(concat(normal)), len(concat(reduction))
    parts, cells = _fixed_parts(CellNetworkShape(**shape), n_out)
    for cell in cells:
        edges = reduction if cell.reduction else normal
        parts += [_edge_part(cell, name, state) for name, state in edges]
    return parts


def space_parts(
    operations: Iterable[str], n_nodes: int, *, n_concat: Iterable[int] | None = None, **shape: Any
) -> list[Part]:
    """List the distinct parts of all networks in a cell-based search space.

    Args:
        operations: names of the operations.
        n_nodes: number of nodes per cell.
        n_concat: possible numbers of nodes that a cell concatenates; by default, only ``n_nodes``.
        shape: keyword arguments of :class:`~moonas.nets.cells.CellNetworkShape`.
    """
    network_shape = CellNetworkShape(**shape)
    parts: list[Part] = []
    n_concat = list(n_concat or [n_nodes])
    for n_out in itertools.product(n_concat, n_concat):  # for normal and reduction cells
        parts += _fixed_parts(network_shape, n_out)[0]
    for cell in network_shape.cell_shapes():  # edges do not depend on the concatenated nodes
        for state in range(n_nodes + 1):
            parts += [_edge_part(cell, name, state) for name in operations]
    return unique_parts(parts)


def _fixed_parts(
    shape: CellNetworkShape, n_out: tuple[int, int]
) -> tuple[list[Part], list[CellShape]]:
    """Return the parts that do not depend on the operations, and the shapes of the cells."""
    cells, stem = shape.cell_shapes(n_out), (shape.in_channels, shape.cells.stem)
    side = shape.image_size
    # tables of earlier versions name the stem that from64 selects just "stem"
    size = "large_" if shape.large_stem else "small_"
    name = f"{'' if shape.large_stem == has_large_stem('from64', side) else size}stem"
    parts = [layer_part(name, *stem, 1, side, partial(Stem, *stem, shape.large_stem))]
    for cell in cells:
        older, newer = (cell.c_prev_prev, cell.channels), (cell.c_prev, cell.channels)
        if cell.prev_reduction:
            reduce = partial(FactorizedReduce, *older, affine_batch_norm)
            parts.append(layer_part("reduce", *older, 2, 2 * cell.side, reduce))
        else:
            parts.append(_preprocessing_part(*older, cell.side))
        parts.append(_preprocessing_part(*newer, cell.side))
    width = n_out[int(cells[-1].reduction)] * cells[-1].channels
    parts.append(classifier_part(width, shape.n_classes, cells[-1].side_out))
    return parts, cells


def _preprocessing_part(c_in: int, c_out: int, side: int) -> Part:
    make = partial(ReluConvNorm, c_in, c_out, affine_batch_norm)
    return layer_part("preprocess", c_in, c_out, 1, side, make)


def _edge_part(cell: CellShape, name: str, state: int) -> Part:
    return operation_part(name, cell.channels, cell.stride(state), cell.side_at(state))


def _build_operation(name: str, channels: int, stride: int) -> nn.Module:
    return build_operation(name, channels, stride, affine_batch_norm) or nn.Identity()


def _build_classifier(c_in: int, n_classes: int) -> nn.Module:
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(c_in, n_classes))
