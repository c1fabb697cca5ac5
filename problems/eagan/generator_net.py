"""Generators of EAGAN: three Up-Cells, alone or as a path through shared weights (figure 1)."""

from functools import partial

import torch
from torch import nn
from torch.nn import functional as F

from .operations import (
    alone,
    apply_edge,
    convolution,
    edge_operations,
    total,
    up_operation,
)
from .space import N_CELLS, GeneratorSpace

LATENT_PARTS = N_CELLS
SKIP_MODES = ("nearest", "bilinear", "nearest")  # of what comes into each Up-Cell from earlier ones
EDGES = GeneratorSpace().edges  # names of the operations of each


class Skip(nn.Module):
    """From an earlier Up-Cell: interpolation to the side at hand, and a 1x1 convolution there."""

    def __init__(self, channels, mode):
        super().__init__()
        self.mode = mode
        self.conv = convolution(channels, channels, 1)

    def forward(self, x, side):
        return self.conv(F.interpolate(x, size=side, mode=self.mode))


class UpCell(nn.Module):
    """Seven edges and the skips that come in, ``n_skips`` of them."""

    def __init__(self, candidates, channels, n_skips, mode):
        super().__init__()

        self.edges = nn.ModuleList(
            edge_operations(names, partial(up_operation, channels=channels)) for names in candidates
        )
        self.skips = nn.ModuleList(Skip(channels, mode) for _ in range(n_skips))

    def forward(self, x, cell, earlier):
        """(b, c, h, w) -> node 4, (b, c, 2h, 2w), and node 3, which later cells take.

        Args:
            x: node 0.
            cell: names of the operations on the edges.
            earlier: node 3 of each earlier cell.
        """

        def edge(e, node):
            return apply_edge(self.edges[e], cell[e], node)

        one, two = edge(0, x), edge(1, x)
        side = one.shape[2:]
        skips = (skip(node, side) for skip, node in zip(self.skips, earlier, strict=True))
        three = total((edge(2, one), edge(3, two), *skips))
        return total((edge(4, one), edge(5, two), edge(6, three))), three


class _Generator(nn.Module):
    """Latent vectors to images, along a path through the candidates of each edge.

    Args:
        candidates: three cells of seven tuples of operations.
        channels: of all cells.
        latent: length of a latent vector, a multiple of 3.
        side: of the images in pixels, a multiple of 8.
        in_channels: of the images.
        running: keep running statistics in the one batch normalisation; without them, as in a
            search, images are normalised by their own batch, in evaluation mode, too.
    """

    def __init__(
        self, candidates, *, channels=256, latent=120, side=32, in_channels=3, running=True
    ):
        super().__init__()
        bottom = check_side(side) // 2**N_CELLS
        self.latent, self.channels = latent, channels
        sides = [bottom * 2**i for i in range(N_CELLS)]
        part = latent // LATENT_PARTS
        self.inputs = nn.ModuleList(nn.Linear(part, channels * s * s) for s in sides)
        self.cells = nn.ModuleList(
            UpCell(names, channels, i, SKIP_MODES[i]) for i, names in enumerate(candidates)
        )
        self.norm = nn.BatchNorm2d(channels, track_running_stats=running)
        nn.init.normal_(self.norm.weight, 1.0, 0.02)
        self.to_image = convolution(channels, in_channels, 3)
        self.sides = sides

    def path(self, z, cells):
        """(b, latent) -> (b, in_channels, side, side) in [-1, 1]."""
        size = self.latent // LATENT_PARTS
        parts = [z[:, i * size : (i + 1) * size] for i in range(LATENT_PARTS)]
        x, threes = 0, []
        for linear, part, side, module, cell in zip(
            self.inputs, parts, self.sides, self.cells, cells, strict=True
        ):
            x = x + linear(part).view(-1, self.channels, side, side)
            x, three = module(x, cell, threes)
            threes.append(three)
        return torch.tanh(self.to_image(F.relu(self.norm(x))))


class SuperGenerator(_Generator):
    """SuperNet-G: shared weights of all generators; called with latent vectors and one of them.

    Args:
        shape: channels, latent, side and in_channels.
    """

    def __init__(self, **shape):
        super().__init__([EDGES] * N_CELLS, running=False, **shape)

    def forward(self, z, architecture):
        return self.path(z, architecture.cells)


class Generator(_Generator):
    """A generator that stands alone.

    Args:
        architecture: an :class:`~moonas.problems.eagan.space.Architecture` of Up-Cells.
        shape: channels=256, latent=120, side=32 (pixels), in_channels=3 and running=True.
    """

    def __init__(self, architecture, **shape):
        super().__init__(alone(architecture), **shape)
        self.architecture = architecture

    def forward(self, z):
        return self.path(z, self.architecture.cells)


def check_side(side: int) -> int:
    """The side of images in pixels.

    Raises:
        ValueError: three cells cannot reach such a side.
    """
    if side < 8 or side % 2**N_CELLS:
        raise ValueError(
            f"Images of {side}x{side} pixels are invalid: expected a side that is a multiple of 8, "
            "since a generator doubles it three times. image_size=8, 16, 32 or 48 resizes the data."
        )
    return side


@torch.no_grad()
def settle_statistics(generator: Generator, latents: list[torch.Tensor]) -> None:
    """Set a generator's running statistics to their mean over batches of latent vectors.

    Args:
        generator: with running statistics; its mode of training stays as it is.
        latents: list of (b, latent).
    """
    norm, training = generator.norm, generator.training
    norm.reset_running_stats()
    momentum, norm.momentum = norm.momentum, None  # the mean over all batches
    generator.train()
    for part in latents:
        generator(part)
    generator.train(training)
    norm.momentum = momentum
