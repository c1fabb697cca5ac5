"""Parts of networks, each a module at one input shape: the rows of latency tables."""

import itertools
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial

from torch import nn

from .cells import CellNetworkShape, CellShape, Stem, all_nodes
from .operations import FactorizedReduce, ReluConvNorm, affine_batch_norm, build_operation

Edges = tuple[tuple[str, int], ...]  # (operation, state) pairs, two a node


@dataclass(frozen=True)
class Part:
    """A module at one input shape; two parts are equal if they have one key and one shape.

    Args:
        key: its name in a latency table.
        shape: of one input, (c, h, w).
        make: () -> the module, untrained.
    """

    key: str
    shape: tuple[int, int, int]
    make: Callable[[], nn.Module] = field(compare=False, repr=False)

    def build(self) -> nn.Module:
        """A new module; (b, c, h, w) in."""
        return self.make()


def layer_part(
    name: str, c_in: int, c_out: int, stride: int, side: int, make: Callable[[], nn.Module]
) -> Part:
    """A part of square inputs, named by what it does and its shape.

    Args:
        name: what it does, as ``sep_conv_3x3``.
        c_in: channels in.
        c_out: channels out; of a classifier its classes.
        stride: 1 or 2.
        side: of the input in pixels.
        make: () -> the module.
    """
    return Part(f"{name} {c_in}-{c_out} s{stride} {side}x{side}", (c_in, side, side), make)


def operation_part(name: str, channels: int, stride: int, side: int) -> Part:
    """An operation of a cell, see :mod:`moonas.nets.operations`; ``none`` is an identity."""
    make = partial(_operation, name, channels, stride)
    return layer_part(name, channels, channels, stride, side, make)


def classifier_part(c_in: int, n_classes: int, side: int) -> Part:
    """The mean over pixels and a linear layer."""
    return layer_part("classifier", c_in, n_classes, 1, side, partial(_classifier, c_in, n_classes))


def unique(parts: Iterable[Part]) -> list[Part]:
    """Each different part once, in the order of their first appearance."""
    return list(dict.fromkeys(parts))


def network_parts(
    normal: Edges, reduction: Edges, *, concat: Callable = all_nodes, **shape
) -> list[Part]:
    """The parts of a network of cells, each as often as it occurs: a latency is their sum.

    Args:
        normal: edges of the normal cell, (operation, state) pairs, two a node.
        reduction: edges of the reduction cell.
        concat: edges of a cell -> states of the nodes that it concatenates.
        shape: keyword arguments of :class:`~moonas.nets.cells.CellNetworkShape`.
    """
    n_out = len(concat(normal)), len(concat(reduction))
    parts, cells = _fixed_parts(CellNetworkShape(**shape), n_out)
    for cell in cells:
        edges = reduction if cell.reduction else normal
        parts += [_edge(cell, name, state) for name, state in edges]
    return parts


def space_parts(
    operations: Iterable[str], n_nodes: int, *, n_concat: Iterable[int] | None = None, **shape
) -> list[Part]:
    """Every part that a network of a space of cells can have, each once.

    Args:
        operations: names.
        n_nodes: of a cell.
        n_concat: the numbers of nodes that a cell may concatenate; all of them by default.
        shape: keyword arguments of :class:`~moonas.nets.cells.CellNetworkShape`.
    """
    parts, shape = [], CellNetworkShape(**shape)
    for n_out in itertools.product(n_concat or [n_nodes], repeat=2):
        fixed, cells = _fixed_parts(shape, n_out)
        parts += fixed
    for cell in cells:  # edges are the same whatever is concatenated
        for state in range(n_nodes + 1):
            parts += [_edge(cell, name, state) for name in operations]
    return unique(parts)


def _fixed_parts(
    shape: CellNetworkShape, n_out: tuple[int, int]
) -> tuple[list[Part], list[CellShape]]:
    """The parts that do not depend on operations, and the shapes of the cells."""
    cells, stem = shape.stack(n_out), (shape.in_channels, shape.cells.stem)
    side = shape.image_size
    parts = [layer_part("stem", *stem, 1, side, partial(Stem, *stem, side))]
    for cell in cells:
        older, newer = (cell.c_prev_prev, cell.channels), (cell.c_prev, cell.channels)
        if cell.prev_reduction:
            halve = partial(FactorizedReduce, *older, affine_batch_norm)
            parts.append(layer_part("reduce", *older, 2, 2 * cell.side, halve))
        else:
            parts.append(_preprocess(*older, cell.side))
        parts.append(_preprocess(*newer, cell.side))
    width = n_out[int(cells[-1].reduction)] * cells[-1].channels
    parts.append(classifier_part(width, shape.n_classes, cells[-1].side_out))
    return parts, cells


def _preprocess(c_in: int, c_out: int, side: int) -> Part:
    make = partial(ReluConvNorm, c_in, c_out, affine_batch_norm)
    return layer_part("preprocess", c_in, c_out, 1, side, make)


def _edge(cell: CellShape, name: str, state: int) -> Part:
    return operation_part(name, cell.channels, cell.stride(state), cell.side_at(state))


def _operation(name: str, channels: int, stride: int) -> nn.Module:
    return build_operation(name, channels, stride, affine_batch_norm) or nn.Identity()


def _classifier(c_in: int, n_classes: int) -> nn.Module:
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(c_in, n_classes))
