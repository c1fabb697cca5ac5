"""Stacks of normal and reduction cells: their shapes and the computation of one cell.

Source: DARTS (Liu et al., 2019). The supernet, the stand-alone network and the closed-form counts
use the same stack, so the shapes of their cells are always equal.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from .operations import FactorizedReduce, MakeNorm, ReluConvNorm

# The edges of a cell, (operation, input state) pairs, two per node. States 0 and 1 are the outputs
# of the two previous cells; node i is state i + 2.
Edges = Sequence[tuple[str, int]]
Concat = Callable[[Edges], tuple[int, ...]]  # edges of a cell -> states that form its output

STEM_MULTIPLIER = 3  # channels of the small stem per channel of ``Layout.stem``

# Name of a rule -> images of this side length in pixels or more have the large stem. It divides the
# side by 8, so cells would compute only 2x2 to 4x4 pixels of images of 64 to 127 pixels. Earlier
# versions used it for these images (from64).
STEMS: dict[str, float] = {"auto": 128, "small": math.inf, "large": 0, "from64": 64}


def has_large_stem(stem: str, image_size: int) -> bool:
    """Return whether a network has the stem for ImageNet, as opposed to the stem for CIFAR.

    Args:
        stem: a name in ``STEMS``: auto, small, large or from64.
        image_size: side length of an image in pixels.
    """
    return image_size >= STEMS[stem]


@dataclass(frozen=True)
class CellShape:
    """The numbers of channels and the side length of one cell in a stack.

    Args:
        c_prev_prev: channels of state 0, the output of the cell before the previous one.
        c_prev: channels of state 1, the output of the previous cell.
        channels: channels of each node.
        reduction: whether this is a reduction cell.
        prev_reduction: whether state 0 has twice the side length of state 1.
        side: side length of state 1 in pixels.
    """

    c_prev_prev: int
    c_prev: int
    channels: int
    reduction: bool
    prev_reduction: bool
    side: int

    def stride(self, state: int) -> int:
        """Return the stride of an operation on ``state``: 2 on the inputs of a reduction cell."""
        return 2 if self.reduction and state < 2 else 1

    def side_at(self, state: int) -> int:
        """Return the side length of ``state`` in pixels, after preprocessing."""
        return self.side if state < 2 else self.side_out

    @property
    def side_out(self) -> int:
        """Side length of each node in pixels."""
        return -(-self.side // 2) if self.reduction else self.side


def loose_ends(edges: Edges) -> tuple[int, ...]:
    """Return the states of all nodes that no other node uses; NSGA-Net concatenates these states.

    Args:
        edges: (operation, state) pairs, two per node.

    Returns:
        States in ascending order, each at least 2.
    """
    used = {state for _, state in edges}
    return tuple(s for s in range(2, 2 + len(edges) // 2) if s not in used)


def all_nodes(edges: Edges) -> tuple[int, ...]:
    """Return the states of all nodes of a cell; DARTS concatenates these states.

    Args:
        edges: (operation, state) pairs, two per node.
    """
    return tuple(range(2, 2 + len(edges) // 2))


@dataclass(frozen=True)
class Layout:
    """The sequence of cells in a network and their numbers of channels.

    Args:
        stem: channels of the large stem; the small stem has three times as many.
        cells: (channels of each node, whether the cell is a reduction cell), one tuple per cell.
    """

    stem: int
    cells: tuple[tuple[int, bool], ...]

    @property
    def last_reduction(self) -> int:
        """Index of the last reduction cell; -1 if there is none."""
        return max((i for i, (_, reduction) in enumerate(self.cells) if reduction), default=-1)


def even_layout(channels: int, layers: int, increment: int | None = None) -> Layout:
    """Return the layout of DARTS, with reduction cells at one and two thirds of the depth.

    Args:
        channels: channels of each node in the first cell.
        layers: number of cells.
        increment: difference between the channels of a cell and of the previous cell; None doubles
            the channels at each reduction cell instead.
    """
    stem, cells = channels, []
    for layer in range(layers):
        reduction = layer in (layers // 3, 2 * layers // 3)
        if increment is None:
            channels *= 2 if reduction else 1
        elif layer:
            channels += increment
        cells.append((channels, reduction))
    return Layout(stem, tuple(cells))


def staged_layout(widths: Sequence[int], depths: Sequence[int]) -> Layout:
    """Return a layout of stages. Each stage except the first starts with a reduction cell.

    Args:
        widths: number of channels of each node, one number per stage.
        depths: number of normal cells, one number per stage.
    """
    cells: list[tuple[int, bool]] = []
    for width, depth in zip(widths, depths, strict=True):
        cells += [(width, True)] * bool(cells) + [(width, False)] * depth
    return Layout(widths[0], tuple(cells))


@dataclass(frozen=True, kw_only=True)
class CellNetworkShape:
    """The shape of a network of cells: its size, its input and its output.

    Args:
        channels: channels of each node in the first cell.
        layers: number of cells; the cells at one and two thirds of the depth are reduction cells.
        n_classes: number of classes.
        in_channels: channels of an image.
        image_size: side length of an image in pixels.
        stem: ``small`` for the stem of DARTS for CIFAR, ``large`` for its stem for ImageNet, which
            divides the side length by 8; ``auto`` for the large stem from 128 pixels on;
            ``from64`` for the large stem from 64 pixels on.
        increment: difference between the channels of a cell and of the previous cell; None doubles
            the channels at each reduction cell instead.
        layout: a :class:`Layout`, which replaces ``channels``, ``layers`` and ``increment``.

    Raises:
        ValueError: if ``channels``, ``layers`` or ``n_classes`` is less than 1, or ``stem`` is
            unknown.
    """

    channels: int = 36
    layers: int = 20
    n_classes: int = 10
    in_channels: int = 3
    image_size: int = 32
    stem: str = "auto"
    increment: int | None = None
    layout: Layout | None = None

    def __post_init__(self) -> None:
        for name in ("channels", "layers", "n_classes"):
            value = getattr(self, name)
            if value < 1:
                raise ValueError(f"{name}={value} is invalid: expected at least 1.")
        if self.stem not in STEMS:
            raise ValueError(f"stem={self.stem!r} is unknown; choose from {list(STEMS)}.")

    @property
    def large_stem(self) -> bool:
        """Whether the network has the large stem; see :func:`has_large_stem`."""
        return has_large_stem(self.stem, self.image_size)

    @property
    def cells(self) -> Layout:
        """The types and channels of the cells."""
        return self.layout or even_layout(self.channels, self.layers, self.increment)

    def cell_shapes(self, n_out: tuple[int, int] = (4, 4)) -> list[CellShape]:
        """Return the shapes of the cells in order.

        Args:
            n_out: numbers of nodes that a normal cell and a reduction cell concatenate.
        """
        return cell_shapes(self.cells, self.image_size, n_out, self.stem)


def cell_shapes(
    layout: Layout, image_size: int, n_out: tuple[int, int] = (4, 4), stem: str = "auto"
) -> list[CellShape]:
    """Return the shapes of the cells of a network in order.

    Args:
        layout: types and numbers of channels of the cells.
        image_size: side length of an image in pixels. With the large stem, the first cell has 1/4
            of it in state 0 and 1/8 in state 1.
        n_out: numbers of nodes that a normal cell and a reduction cell concatenate.
        stem: see :class:`CellNetworkShape`.
    """
    side = image_size
    c_prev_prev = c_prev = STEM_MULTIPLIER * layout.stem
    prev_reduction = False
    if has_large_stem(stem, image_size):
        side = -(-image_size // 8)
        c_prev_prev = c_prev = layout.stem
        prev_reduction = True
    shapes = []
    for channels, reduction in layout.cells:
        shapes.append(CellShape(c_prev_prev, c_prev, channels, reduction, prev_reduction, side))
        side = shapes[-1].side_out
        c_prev_prev, c_prev = c_prev, n_out[int(reduction)] * channels
        prev_reduction = reduction
    return shapes


class Stem(nn.Module):
    """The stem of a network of cells, which computes both inputs of the first cell.

    Args:
        in_channels: channels of an image.
        channels: see :attr:`Layout.stem`.
        large: whether the inputs have 1/4 and 1/8 of the side length of an image; otherwise, both
            are the output of one convolution.
    """

    def __init__(self, in_channels: int, channels: int, large: bool) -> None:
        super().__init__()
        self.second: nn.Module | None
        if not large:
            out = STEM_MULTIPLIER * channels
            self.first = nn.Sequential(
                nn.Conv2d(in_channels, out, 3, 1, 1, bias=False), nn.BatchNorm2d(out)
            )
            self.second = None
        else:
            half = channels // 2
            self.first = nn.Sequential(
                nn.Conv2d(in_channels, half, 3, 2, 1, bias=False),
                nn.BatchNorm2d(half),
                nn.ReLU(),
                nn.Conv2d(half, channels, 3, 2, 1, bias=False),
                nn.BatchNorm2d(channels),
            )
            self.second = nn.Sequential(
                nn.ReLU(),
                nn.Conv2d(channels, channels, 3, 2, 1, bias=False),
                nn.BatchNorm2d(channels),
            )

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Compute states 0 and 1 of the first cell from (b, in_channels, h, w) images."""
        first = self.first(images)
        return first, (first if self.second is None else self.second(first))


def preprocess(
    shape: CellShape, norm: MakeNorm
) -> tuple[ReluConvNorm | FactorizedReduce, ReluConvNorm]:
    """Build the modules that convert both inputs of a cell to equal channels and side lengths.

    Args:
        shape: shape of the cell.
        norm: number of channels -> normalization layer.

    Returns:
        The modules for states 0 and 1.
    """
    older: ReluConvNorm | FactorizedReduce
    if shape.prev_reduction:
        older = FactorizedReduce(shape.c_prev_prev, shape.channels, norm)
    else:
        older = ReluConvNorm(shape.c_prev_prev, shape.channels, norm)
    return older, ReluConvNorm(shape.c_prev, shape.channels, norm)


def run_cell(
    shape: CellShape,
    edges: Edges,
    concat: Iterable[int],
    state0: Tensor,
    state1: Tensor,
    operate: Callable[[int, str, int, Tensor], Tensor],
) -> Tensor:
    """Compute the output of a cell, in which each node is the sum of two edges.

    Args:
        shape: shape of the cell.
        edges: (operation, state) pairs, two per node.
        concat: states of the nodes that form the output.
        state0: (b, channels, h, w), preprocessed output of the cell before the previous one.
        state1: preprocessed output of the previous cell, same shape.
        operate: (index of the edge, name of the operation, index of the state, tensor of the state)
            -> output of the edge. It is not called for ``none``; a node whose two operations are
            ``none`` is zero.

    Returns:
        (b, len(concat) * channels, side_out, side_out).
    """
    states = [state0, state1]
    for node in range(len(edges) // 2):
        total = None
        for index in (2 * node, 2 * node + 1):
            operation, state = edges[index]
            if operation != "none":
                term = operate(index, operation, state, states[state])
                total = term if total is None else total + term
        if total is None:
            stride = shape.stride(0)
            # Slicing, unlike sizes, keeps the batch size dynamic in exported networks.
            like = state1[:, :, ::stride, ::stride]
            total = torch.zeros_like(like, memory_format=torch.contiguous_format)
        states.append(total)
    return torch.cat([states[state] for state in concat], 1)
