"""Networks of two kinds of cells: how cells are stacked, and how one is computed.

Sources: DARTS (Liu et al., 2019). The stack is shared by the supernet, the stand-alone network and
the closed-form counts, so the three cannot drift apart.
"""

from dataclasses import dataclass

import torch
from torch import nn

from .operations import FactorizedReduce, ReluConvNorm

STEM_MULTIPLIER = 3  # channels of the CIFAR stem, in units of the first cell's
IMAGENET_SIDE = 64  # pixels; from here on, the stem quarters the side first


@dataclass(frozen=True)
class CellShape:
    """One cell in the stack: what comes in and what it computes at."""

    c_prev_prev: int  # channels of state 0
    c_prev: int  # channels of state 1
    channels: int  # of every node
    reduction: bool
    prev_reduction: bool  # state 0 has twice the side of state 1
    side: int  # pixels, of state 1

    def stride(self, state):
        """Stride of an operation that starts from ``state``: a reduction cell halves its inputs."""
        return 2 if self.reduction and state < 2 else 1

    def side_at(self, state):
        """Pixels a side that ``state`` has in this cell."""
        return self.side if state < 2 else self.side_out

    @property
    def side_out(self):
        """Pixels, of every node."""
        return -(-self.side // 2) if self.reduction else self.side


def loose_ends(edges):
    """States of a cell's nodes (2, 3, ...) that no edge starts from: what NSGA-Net concatenates."""
    used = {state for _, state in edges}
    return tuple(s for s in range(2, 2 + len(edges) // 2) if s not in used)


def all_nodes(edges):
    """States of all of a cell's nodes: what DARTS concatenates."""
    return tuple(range(2, 2 + len(edges) // 2))


@dataclass(frozen=True)
class Layout:
    """Which cells a network has, and how wide they are.

    Args:
        stem: channels of the stem.
        cells: (channels, whether it is a reduction) of each cell.
    """

    stem: int
    cells: tuple[tuple[int, bool], ...]

    @property
    def last_reduction(self):
        """Number of the last reduction cell; -1 without any."""
        return max((i for i, (_, reduction) in enumerate(self.cells) if reduction), default=-1)


def even_layout(channels, layers, increment=None):
    """Cells with reductions at one and two thirds of the depth, as DARTS stacks them.

    Args:
        channels: of the first cell's nodes.
        layers: number of cells.
        increment: channels that every cell has more than the one before; None doubles them at
            every reduction instead.

    Returns:
        A :class:`Layout`.
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


def staged_layout(widths, depths):
    """Stages of normal cells, each but the first behind a reduction cell of its width.

    Args:
        widths: channels of each stage's nodes.
        depths: number of normal cells of each stage.

    Returns:
        A :class:`Layout`.
    """
    cells = []
    for width, depth in zip(widths, depths, strict=True):
        cells += [(width, True)] * bool(cells) + [(width, False)] * depth
    return Layout(widths[0], tuple(cells))


@dataclass(frozen=True, kw_only=True)
class CellNetworkShape:
    """How large a network of cells is, and for which images: all but its two cells.

    Args:
        channels: of the first cell's nodes.
        layers: number of cells; those at one and two thirds of the depth are reductions.
        n_classes: outputs.
        in_channels: of the images.
        image_size: side in pixels; below 64 the CIFAR stem, from 64 on the ImageNet stem.
        increment: channels that every cell has more than the one before; None doubles them at
            every reduction.
        layout: a :class:`Layout` in place of channels, layers and increment.

    Raises:
        ValueError: a number is less than 1.
    """

    channels: int = 36
    layers: int = 20
    n_classes: int = 10
    in_channels: int = 3
    image_size: int = 32
    increment: int | None = None
    layout: Layout | None = None

    def __post_init__(self):
        for name in ("channels", "layers", "n_classes"):
            value = getattr(self, name)
            if value < 1:
                raise ValueError(f"{name}={value} is invalid: expected at least 1.")

    @property
    def cells(self) -> Layout:
        """Kind and width of every cell."""
        return self.layout or even_layout(self.channels, self.layers, self.increment)

    def stack(self, n_out: tuple[int, int] = (4, 4)) -> list[CellShape]:
        """The shapes of the cells, first to last.

        Args:
            n_out: nodes that a normal cell concatenates, and that a reduction cell does.
        """
        return stack(self.cells, self.image_size, n_out)


def stack(layout, image_size, n_out=(4, 4)):
    """The cells of a network, first to last.

    Args:
        layout: a :class:`Layout`.
        image_size: side of the input in pixels; from 64 on, the stem and the first cell see a
            quarter and an eighth of it.
        n_out: nodes that a normal cell concatenates, and that a reduction cell does.

    Returns:
        A list of :class:`CellShape`.
    """
    side = image_size
    c_prev_prev = c_prev = STEM_MULTIPLIER * layout.stem
    prev_reduction = False
    if image_size >= IMAGENET_SIDE:
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
    """Images to the two inputs of the first cell; from 64 pixels on, each by its own layers."""

    def __init__(self, in_channels, channels, image_size):
        super().__init__()
        if image_size < IMAGENET_SIDE:
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

    def forward(self, images):
        """(b, in_channels, h, w) images -> states 0 and 1 of the first cell."""
        first = self.first(images)
        return first, (first if self.second is None else self.second(first))


def preprocess(shape, norm):
    """The two modules that bring a cell's inputs to its channels and to the side of state 1."""
    if shape.prev_reduction:
        older = FactorizedReduce(shape.c_prev_prev, shape.channels, norm)
    else:
        older = ReluConvNorm(shape.c_prev_prev, shape.channels, norm)
    return older, ReluConvNorm(shape.c_prev, shape.channels, norm)


def run_cell(shape, edges, concat, state0, state1, operate):
    """The output of a cell: nodes, each the sum of its two edges, concatenated.

    Args:
        shape: a :class:`CellShape`.
        edges: (operation, state) pairs, two a node.
        concat: states of the nodes to concatenate.
        state0: (b, channels, h, w), preprocessed.
        state1: the same.
        operate: (index of the edge, operation, state's index, tensor) -> tensor; never asked for
            ``none``. A node of two ``none`` edges is zero.

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
            like = state1[:, :, ::stride, ::stride]  # no number, so that exports take any batch
            total = torch.zeros_like(like, memory_format=torch.contiguous_format)
        states.append(total)
    return torch.cat([states[state] for state in concat], 1)
