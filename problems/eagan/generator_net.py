"""Generators, which consist of Up-Cells: stand-alone networks and a supernet.

Figure 1 of the paper shows an Up-Cell. A generator of the paper has three of them. Generators of
images of 64 pixels and more have four or five, with fewer channels in the last ones, see
:func:`.space.channel_widths`. In the paper, a linear layer maps each part of the latent vector to a
feature map that is added to the input of a cell. For the fourth and the fifth cell, where such a
layer would have most parameters of the network, it maps the part to one number per channel, which
is added to all pixels.
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
    enlarge_bilinearly,
    is_on_gpu,
    single_candidates,
    up_operation,
)
from .space import (
    N_CELLS,
    Architecture,
    CellNames,
    GeneratorSpace,
    channel_widths,
    number_of_cells,
)

# interpolation in the skips that lead into each Up-Cell; the first three are those of the paper
SKIP_MODES = ("nearest", "bilinear", "nearest", "bilinear", "nearest")
EDGE_CANDIDATES = GeneratorSpace().edge_choices  # candidate operations of each edge of a cell


class Skip(nn.Module):
    """Skip connection from an earlier Up-Cell: interpolation and a 1x1 convolution.

    Args:
        c_in: number of channels of the earlier cell.
        channels: number of output channels.
        mode: interpolation mode, "nearest" or "bilinear".
    """

    def __init__(self, c_in: int, channels: int, mode: str) -> None:
        super().__init__()
        self.mode = mode
        self.conv = convolution(c_in, channels, 1)

    def forward(self, x: torch.Tensor, size: Sequence[int]) -> torch.Tensor:
        """Interpolate a feature map to a spatial size, then convolve it.

        Args:
            x: (b, c, h, w).
            size: spatial size (h', w') of the output, the same multiple of h and w.
        """
        if self.mode == "bilinear" and is_on_gpu(self.conv):
            enlarged = enlarge_bilinearly(x, size[0] // x.shape[2])
        else:
            enlarged = F.interpolate(x, size=size, mode=self.mode)
        out: torch.Tensor = self.conv(enlarged)
        return out


class UpCell(nn.Module):
    """Cell of a generator, which doubles the height and the width.

    Args:
        candidates: names of the candidate operations of each of the seven edges.
        c_in: number of input channels; E0 and E1, which double the side length, change it.
        channels: number of output channels.
        earlier_channels: number of channels of each earlier cell; one skip connection leads from
            each of them to this cell.
        mode: interpolation mode of the skip connections, "nearest" or "bilinear".
    """

    def __init__(
        self,
        candidates: Sequence[Sequence[str]],
        c_in: int,
        channels: int,
        earlier_channels: Sequence[int],
        mode: str,
    ) -> None:
        super().__init__()

        self.edges = nn.ModuleList()
        for e, names in enumerate(candidates):
            make = partial(up_operation, channels=channels, c_in=c_in if e < 2 else None)
            self.edges.append(edge_operations(names, make))
        self.skips = nn.ModuleList(Skip(c, channels, mode) for c in earlier_channels)

    def forward(
        self, x: torch.Tensor, cell: Sequence[str], earlier_nodes: Sequence[torch.Tensor]
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Compute node 4, the output of the cell, and node 3, an input of the later cells.

        Args:
            x: (b, c_in, h, w) input of the cell, node 0.
            cell: names of the operations on the seven edges.
            earlier_nodes: node 3 of each earlier cell.

        Returns:
            Node 4 and node 3, each of shape (b, channels, 2h, 2w).
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
        channels: number of channels of the first three cells.
        latent: length of a latent vector, at least the number of cells. Each cell receives a part;
            if the parts cannot have equal lengths, the first ones are longer by one.
        side: side length of the images in pixels, a multiple of 2 to the power of the number of
            cells.
        in_channels: number of channels of the images.
        channel_schedule: number of channels of the further cells, see
            :func:`.space.channel_widths`.
        track_running_stats: whether the batch normalization layer tracks running statistics. If
            not, as during a search, it uses batch statistics in evaluation mode as well.
    """

    def __init__(
        self,
        candidates: Candidates,
        *,
        channels: int = 256,
        latent: int = 120,
        side: int = 32,
        in_channels: int = 3,
        channel_schedule: str = "halve",
        track_running_stats: bool = True,
    ) -> None:
        super().__init__()
        n_cells = len(candidates)
        number_of_cells(side, n_cells)  # checks the side length
        widths = channel_widths(channels, n_cells, channel_schedule)
        input_widths = [channels, *widths[:-1]]
        self.parts = latent_parts(latent, n_cells)
        self.input_shapes = [  # of the feature map that each linear layer returns
            (width, s, s)
            for width, s in zip(input_widths, latent_sides(side, n_cells), strict=True)
        ]
        self.inputs = nn.ModuleList(
            nn.Linear(part, width * s * s)
            for part, (width, s, _) in zip(self.parts, self.input_shapes, strict=True)
        )
        self.cells = nn.ModuleList(
            UpCell(names, input_widths[i], widths[i], widths[:i], SKIP_MODES[i])
            for i, names in enumerate(candidates)
        )
        self.norm = nn.BatchNorm2d(widths[-1], track_running_stats=track_running_stats)
        nn.init.normal_(self.norm.weight, 1.0, 0.02)
        self.to_image = convolution(widths[-1], in_channels, 3)

    def forward_path(self, z: torch.Tensor, cells: CellNames) -> torch.Tensor:
        """Generate images with the generator that has these operations.

        Args:
            z: (b, latent) latent vectors.
            cells: name of the operation on each edge, by cell and edge.

        Returns:
            (b, in_channels, side, side) images in [-1, 1].
        """
        x: torch.Tensor | int = 0
        # parts are indexed, not iterated over, because torch.fx cannot trace an iteration
        parts = torch.split(z, self.parts, dim=1)
        earlier_nodes: list[torch.Tensor] = []
        for i, (linear, shape, module, cell) in enumerate(
            zip(self.inputs, self.input_shapes, self.cells, cells, strict=True)
        ):
            x = x + linear(parts[i]).view(-1, *shape)
            x, node_3 = module(x, cell, earlier_nodes)
            earlier_nodes.append(node_3)
        return torch.tanh(self.to_image(F.relu(self.norm(x))))


class SuperGenerator(BaseGenerator):
    """SuperNet-G, which contains the shared weights of all generators.

    Args:
        n_cells: number of cells of a generator.
        shape: keyword arguments channels, latent, side, in_channels and channel_schedule of
            :class:`BaseGenerator`.
    """

    def __init__(self, n_cells: int = N_CELLS, **shape: Any) -> None:
        super().__init__([EDGE_CANDIDATES] * n_cells, track_running_stats=False, **shape)

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
        shape: keyword arguments channels=256, latent=120, side=32 (pixels), in_channels=3,
            channel_schedule="halve" and track_running_stats=True of :class:`BaseGenerator`.
    """

    def __init__(self, architecture: Architecture, **shape: Any) -> None:
        super().__init__(single_candidates(architecture), **shape)
        self.architecture = architecture

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        """Generate images: (b, latent) -> (b, in_channels, side, side) in [-1, 1]."""
        return self.forward_path(z, self.architecture.cells)


def latent_parts(latent: int, n_cells: int) -> list[int]:
    """Return the length of the part of a latent vector that each cell receives.

    Args:
        latent: length of a latent vector.
        n_cells: number of cells.
    """
    return [latent // n_cells + (i < latent % n_cells) for i in range(n_cells)]


def latent_sides(side: int, n_cells: int) -> list[int]:
    """Return the side length of the feature map that each part of a latent vector is mapped to.

    Args:
        side: side length of the images in pixels.
        n_cells: number of cells.

    Returns:
        The side length of the input of each of the first three cells, and 1 for further cells.
    """
    return [side // 2 ** (n_cells - i) if i < N_CELLS else 1 for i in range(n_cells)]


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
