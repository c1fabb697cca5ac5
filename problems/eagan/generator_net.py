"""Generators with three Up-Cells: stand-alone networks and a supernet.

Figure 1 of the paper shows an Up-Cell.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from .operations import (
    Candidates,
    add_inputs,
    apply_edge,
    convolution,
    edge_operations,
    single_candidates,
    up_operation,
)
from .space import N_CELLS, Architecture, CellNames, GeneratorSpace

LATENT_PARTS = N_CELLS
SKIP_MODES = (
    "nearest",
    "bilinear",
    "nearest",
)  # interpolation in the skips that lead into each Up-Cell
EDGE_CANDIDATES = GeneratorSpace().edge_choices  # candidate operations of each edge of a cell


class Skip(nn.Module):
    """Skip connection from an earlier Up-Cell: interpolation and a 1x1 convolution.

    Args:
        channels: number of input and output channels.
        mode: interpolation mode, "nearest" or "bilinear".
    """

    def __init__(self, channels: int, mode: str) -> None:
        super().__init__()
        self.mode = mode
        self.conv = convolution(channels, channels, 1)

    def forward(self, x: torch.Tensor, size: Sequence[int]) -> torch.Tensor:
        """Interpolate a feature map to a spatial size, then convolve it.

        Args:
            x: (b, c, h, w).
            size: spatial size (h', w') of the output.
        """
        out: torch.Tensor = self.conv(F.interpolate(x, size=size, mode=self.mode))
        return out


class UpCell(nn.Module):
    """Cell of a generator, which doubles the height and the width.

    Args:
        candidates: names of the candidate operations of each of the seven edges.
        channels: number of input and output channels.
        n_skips: number of earlier cells; one skip connection leads from each of them to this cell.
        mode: interpolation mode of the skip connections, "nearest" or "bilinear".
    """

    def __init__(
        self, candidates: Sequence[Sequence[str]], channels: int, n_skips: int, mode: str
    ) -> None:
        super().__init__()

        self.edges = nn.ModuleList(
            edge_operations(names, partial(up_operation, channels=channels)) for names in candidates
        )
        self.skips = nn.ModuleList(Skip(channels, mode) for _ in range(n_skips))

    def forward(
        self, x: torch.Tensor, cell: Sequence[str], earlier_nodes: Sequence[torch.Tensor]
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Compute node 4, the output of the cell, and node 3, an input of the later cells.

        Args:
            x: (b, c, h, w) input of the cell, node 0.
            cell: names of the operations on the seven edges.
            earlier_nodes: node 3 of each earlier cell.

        Returns:
            Node 4 and node 3, each of shape (b, c, 2h, 2w).
        """

        def edge(e: int, node: torch.Tensor) -> torch.Tensor | None:
            return apply_edge(self.edges[e], cell[e], node)

        node_1, node_2 = add_inputs([edge(0, x)]), add_inputs([edge(1, x)])
        size = node_1.shape[2:]
        skips = (skip(node, size) for skip, node in zip(self.skips, earlier_nodes, strict=True))
        node_3 = add_inputs((edge(2, node_1), edge(3, node_2), *skips))
        return add_inputs((edge(4, node_1), edge(5, node_2), edge(6, node_3))), node_3


class BaseGenerator(nn.Module):
    """Network that maps latent vectors to images, with candidate operations on each edge.

    Args:
        candidates: names of the candidate operations of the edges, by cell and edge.
        channels: number of channels of all cells.
        latent: length of a latent vector, a multiple of 3.
        side: side length of the images in pixels, a multiple of 8.
        in_channels: number of channels of the images.
        running: whether the batch normalization layer tracks running statistics. If not,
            as during a search, it uses batch statistics in evaluation mode as well.
    """

    def __init__(
        self,
        candidates: Candidates,
        *,
        channels: int = 256,
        latent: int = 120,
        side: int = 32,
        in_channels: int = 3,
        track_running_stats: bool = True,
    ) -> None:
        super().__init__()
        first_side = check_side(side) // 2**N_CELLS
        self.latent, self.channels = latent, channels
        sides = [first_side * 2**i for i in range(N_CELLS)]
        part = latent // LATENT_PARTS
        self.inputs = nn.ModuleList(nn.Linear(part, channels * s * s) for s in sides)
        self.cells = nn.ModuleList(
            UpCell(names, channels, i, SKIP_MODES[i]) for i, names in enumerate(candidates)
        )
        self.norm = nn.BatchNorm2d(channels, track_running_stats=track_running_stats)
        nn.init.normal_(self.norm.weight, 1.0, 0.02)
        self.to_image = convolution(channels, in_channels, 3)
        self.sides = sides

    def forward_path(self, z: torch.Tensor, cells: CellNames) -> torch.Tensor:
        """Generate images with the generator that has these operations.

        Args:
            z: (b, latent) latent vectors.
            cells: name of the operation on each edge, by cell and edge.

        Returns:
            (b, in_channels, side, side) images in [-1, 1].
        """
        size = self.latent // LATENT_PARTS
        parts = [z[:, i * size : (i + 1) * size] for i in range(LATENT_PARTS)]
        x: torch.Tensor | int = 0
        earlier_nodes: list[torch.Tensor] = []
        for linear, part, side, module, cell in zip(
            self.inputs, parts, self.sides, self.cells, cells, strict=True
        ):
            x = x + linear(part).view(-1, self.channels, side, side)
            x, node_3 = module(x, cell, earlier_nodes)
            earlier_nodes.append(node_3)
        return torch.tanh(self.to_image(F.relu(self.norm(x))))


class SuperGenerator(BaseGenerator):
    """SuperNet-G, which contains the shared weights of all generators.

    Args:
        shape: keyword arguments channels, latent, side and in_channels of
            :class:`BaseGenerator`.
    """

    def __init__(self, **shape: Any) -> None:
        super().__init__([EDGE_CANDIDATES] * N_CELLS, track_running_stats=False, **shape)

    def forward(self, z: torch.Tensor, architecture: Architecture) -> torch.Tensor:
        """Generate images with the generator of an architecture.

        Args:
            z: (b, latent) latent vectors.
            architecture: Up-Cells of the generator.

        Returns:
            (b, in_channels, side, side) images in [-1, 1].
        """
        return self.forward_path(z, architecture.cells)


class Generator(BaseGenerator):
    """Stand-alone generator.

    Args:
        architecture: Up-Cells, an :class:`~moonas.problems.eagan.space.Architecture`.
        shape: keyword arguments channels=256, latent=120, side=32 (pixels), in_channels=3 and
            track_running_stats=True of :class:`BaseGenerator`.
    """

    def __init__(self, architecture: Architecture, **shape: Any) -> None:
        super().__init__(single_candidates(architecture), **shape)
        self.architecture = architecture

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        """Generate images: (b, latent) -> (b, in_channels, side, side) in [-1, 1]."""
        return self.forward_path(z, self.architecture.cells)


def check_side(side: int) -> int:
    """Return a side length in pixels, after checking that generators can produce such images.

    Raises:
        ValueError: the side length is not a positive multiple of 8.
    """
    if side < 8 or side % 2**N_CELLS:
        raise ValueError(
            f"Images of {side}x{side} pixels are invalid: expected a side length that is a "
            "multiple of 8, because a generator doubles the side length three times. Set "
            "image_size, for example to 8, 16, 32 or 48, to resize the images."
        )
    return side


@torch.no_grad()
def estimate_running_statistics(generator: Generator, latents: Iterable[torch.Tensor]) -> None:
    """Set a generator's running statistics to its batch statistics, averaged over batches.

    Args:
        generator: generator that tracks running statistics; its training mode is restored.
        latents: batches of latent vectors, each of shape (b, latent).
    """
    norm, training = generator.norm, generator.training
    norm.reset_running_stats()
    momentum, norm.momentum = norm.momentum, None  # average over all batches
    generator.train()
    for batch in latents:
        generator(batch)
    generator.train(training)
    norm.momentum = momentum
