"""Discriminators, which consist of Down-Cells: stand-alone networks and a supernet.

A discriminator of the paper has three cells. Discriminators of images of 64 pixels and more have
four or five, with fewer channels in the first ones, see :func:`.space.channel_widths`.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from itertools import pairwise
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import spectral_norm

from .operations import (
    Candidates,
    Normalization,
    add_inputs,
    apply_edge,
    convolution,
    down_operation,
    edge_operations,
    single_candidates,
)
from .space import N_CELLS, Architecture, CellNames, DiscriminatorSpace, channel_widths

EDGE_CANDIDATES = DiscriminatorSpace(
    32
).edge_choices  # operations of each edge of a cell; they do not depend on the image size


class FirstBlock(nn.Module):
    """First layers of a discriminator: two 3x3 convolutions, and a shortcut that is added to them.

    Average pooling halves the side length: after the convolutions, and before the 1x1 convolution
    of the shortcut.

    Args:
        c_in: number of channels of the images.
        channels: number of output channels.
        norm: weight normalization, see :func:`.operations.convolution`.
    """

    def __init__(self, c_in: int, channels: int, norm: Normalization | None) -> None:
        super().__init__()
        self.first = convolution(c_in, channels, 3, norm=norm)
        self.second = convolution(channels, channels, 3, norm=norm)
        self.shortcut = convolution(c_in, channels, 1, norm=norm)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = F.avg_pool2d(self.second(F.relu(self.first(x))), 2)
        out = out + self.shortcut(F.avg_pool2d(x, 2))
        return out


class DownCell(nn.Module):
    """Cell of a discriminator. A ReLU precedes the convolutions of every edge except E4.

    Args:
        candidates: names of the candidate operations of each of the seven edges.
        channels: number of input and output channels.
        norm: weight normalization, see :func:`.operations.convolution`.
    """

    def __init__(
        self, candidates: Sequence[Sequence[str]], channels: int, norm: Normalization | None
    ) -> None:
        super().__init__()

        self.edges = nn.ModuleList()
        for e, names in enumerate(candidates):
            stride = 2 if e in (5, 6) else 1
            make = partial(down_operation, channels=channels, stride=stride, relu=e != 4, norm=norm)
            self.edges.append(edge_operations(names, make))

    def forward(self, x: torch.Tensor, cell: Sequence[str]) -> torch.Tensor:
        """Compute the output of the cell.

        Args:
            x: (b, c, h, w) input of the cell.
            cell: names of the operations on the seven edges.

        Returns:
            (b, c, h/2, w/2), or (b, c, h, w) if E5 is ``none``.
        """

        def edge(e: int, node: torch.Tensor) -> torch.Tensor | None:
            return apply_edge(self.edges[e], cell[e], node)

        node_1 = add_inputs([edge(0, x)])
        node_2 = add_inputs((edge(1, x), edge(2, node_1)))
        node_3 = add_inputs((edge(3, node_1), edge(4, x)))
        if cell[5] == "none":
            return node_2 + node_3
        return add_inputs((edge(5, node_2), edge(6, node_3)))


class BaseDiscriminator(nn.Module):
    """Network that maps images to scores; a positive score classifies an image as real.

    Args:
        candidates: names of the candidate operations of the edges, by cell and edge.
        channels: number of channels of the last three cells and, if there are no further cells, of
            the first block.
        in_channels: number of channels of the images.
        spectral: whether each weight is divided by its spectral norm (Miyato et al., 2018).
        scale: factor by which the scores are multiplied; 1 in the paper.
        channel_schedule: number of channels of the earlier cells, see
            :func:`.space.channel_widths`. The first block has as many channels as the first cell. A
            1x1 convolution leads into a cell that has more channels than the cell before it.
    """

    def __init__(
        self,
        candidates: Candidates,
        *,
        channels: int = 128,
        in_channels: int = 3,
        spectral: bool = True,
        scale: float = 1.0,
        channel_schedule: str = "halve",
    ) -> None:
        super().__init__()
        norm = spectral_norm if spectral else None
        self.scale = scale
        widths = channel_widths(channels, len(candidates), channel_schedule)[::-1]
        self.first = FirstBlock(in_channels, widths[0], norm)
        self.cells = nn.ModuleList(
            DownCell(names, width, norm) for names, width in zip(candidates, widths, strict=True)
        )
        self.widen = nn.ModuleDict(  # number of a cell -> convolution; empty with three cells
            {
                str(i): convolution(before, after, 1, norm=norm)
                for i, (before, after) in enumerate(pairwise(widths), 1)
                if before != after
            }
        )
        last = nn.Linear(channels, 1, bias=False)
        self.last = norm(last) if norm else last

    def forward_path(self, images: torch.Tensor, cells: CellNames) -> torch.Tensor:
        """Score images with the discriminator that has these operations.

        Args:
            images: (b, in_channels, side, side).
            cells: name of the operation on each edge, by cell and edge.

        Returns:
            (b,) scores.
        """
        x = self.first(images)
        for i, (module, cell) in enumerate(zip(self.cells, cells, strict=True)):
            if str(i) in self.widen:
                x = self.widen[str(i)](x)
            x = module(x, cell)
        scores: torch.Tensor = self.scale * self.last(F.relu(x).sum((2, 3)))[:, 0]
        return scores


class SuperDiscriminator(BaseDiscriminator):
    """SuperNet-D, which contains the shared weights of all discriminators.

    Args:
        n_cells: number of cells of a discriminator.
        shape: keyword arguments channels, in_channels, spectral, scale and channel_schedule of
            :class:`BaseDiscriminator`.
    """

    def __init__(self, n_cells: int = N_CELLS, **shape: Any) -> None:
        super().__init__([EDGE_CANDIDATES] * n_cells, **shape)

    def forward(self, images: torch.Tensor, architecture: Architecture) -> torch.Tensor:
        """Score images with the discriminator of an architecture.

        Args:
            images: (b, in_channels, side, side).
            architecture: Down-Cells of the discriminator.

        Returns:
            (b,) scores.
        """
        return self.forward_path(images, architecture.cells)


class Discriminator(BaseDiscriminator):
    """Stand-alone discriminator.

    Args:
        architecture: Down-Cells, an :class:`~moonas.problems.eagan.space.Architecture`.
        shape: keyword arguments channels=128, in_channels=3, spectral=True, scale=1 and
            channel_schedule="halve" of :class:`BaseDiscriminator`.
    """

    def __init__(self, architecture: Architecture, **shape: Any) -> None:
        super().__init__(single_candidates(architecture), **shape)
        self.architecture = architecture

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Score images: (b, in_channels, side, side) -> (b,)."""
        return self.forward_path(images, self.architecture.cells)


class SimpleDiscriminator(nn.Module):
    """Discriminator with five 4x4 convolutions of stride 2 and a linear layer.

    The variant EAGAN-GD2 trains its generators against this discriminator.

    As in the released code, batch normalization and a leaky ReLU (slope 0.2) follow the first,
    third and fifth convolutions, features are summed over pixels, and only the linear layer has
    spectral normalization. Each convolution halves the side length. For images smaller than
    32 x 32 pixels, the number of convolutions is the number of times the side length can be
    halved, but at least one.

    Args:
        side: side length of the images in pixels.
        channels: number of output channels of the convolutions; the first convolution has half as
            many.
        in_channels: number of channels of the images.
        spectral: whether the linear layer has spectral normalization.
        scale: factor by which the scores are multiplied.
    """

    def __init__(
        self,
        side: int,
        *,
        channels: int = 128,
        in_channels: int = 3,
        spectral: bool = True,
        scale: float = 1.0,
    ) -> None:
        super().__init__()
        self.scale = scale
        n_convolutions = min(5, max(1, side.bit_length() - 1))
        widths = [in_channels, channels // 2, *[channels] * 4][: n_convolutions + 1]
        layers: list[nn.Module] = []
        for i, (c_in, c_out) in enumerate(pairwise(widths)):
            convolution_ = nn.Conv2d(c_in, c_out, 4, 2, 1)
            nn.init.xavier_uniform_(convolution_.weight)
            layers.append(convolution_)
            if i % 2 == 0:
                norm = nn.BatchNorm2d(c_out)
                layers += [norm, nn.LeakyReLU(0.2)]
                nn.init.normal_(norm.weight, 1.0, 0.02)
        self.layers = nn.Sequential(*layers)
        last = nn.Linear(widths[-1], 1, bias=False)
        self.last = spectral_norm(last) if spectral else last

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Score images: (b, in_channels, side, side) -> (b,)."""
        scores: torch.Tensor = self.scale * self.last(self.layers(images).sum((2, 3)))[:, 0]
        return scores
