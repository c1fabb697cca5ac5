"""The networks of NAS-Bench-201: three stages of identical cells, joined by residual blocks."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch
from torch import nn

from moonas.nets.parts import Part

from .space import EDGES, OPERATIONS


def operation(name: str, channels: int) -> nn.Module | None:
    """Build the operation of an edge.

    Args:
        name: one of ``OPERATIONS``.
        channels: number of channels of its input and output.

    Returns:
        A module that preserves the shape (b, channels, h, w), or None for ``none``.
    """
    if name == "none":
        return None
    if name == "skip_connect":
        return nn.Identity()
    if name == "avg_pool_3x3":
        return nn.AvgPool2d(3, 1, 1, count_include_pad=False)
    kernel = int(name[-1])
    return nn.Sequential(
        nn.ReLU(),
        nn.Conv2d(channels, channels, kernel, 1, kernel // 2, bias=False),
        nn.BatchNorm2d(channels),
    )


class Cell(nn.Module):
    """A cell of four nodes; each later node is a sum of operations on earlier nodes.

    Args:
        operations: names of the edges' operations, in the order of ``EDGES``.
        channels: number of channels of every node.
    """

    def __init__(self, operations: Sequence[str], channels: int) -> None:
        super().__init__()
        edges = {
            f"{start}-{end}": operation(name, channels)
            for name, (start, end) in zip(operations, EDGES, strict=True)
        }
        self.edges = nn.ModuleDict({key: m for key, m in edges.items() if m is not None})

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(b, channels, h, w) -> the output of the last node, of the same shape."""
        nodes = [x]
        for end in (1, 2, 3):
            terms = [
                self.edges[f"{start}-{end}"](nodes[start])
                for start in range(end)
                if f"{start}-{end}" in self.edges
            ]
            nodes.append(sum(terms[1:], terms[0]) if terms else x.new_zeros(x.shape))
        return nodes[3]


class Reduction(nn.Module):
    """A residual block of stride 2 that doubles the number of channels.

    Args:
        c_in: number of input channels.
    """

    def __init__(self, c_in: int) -> None:
        super().__init__()
        c = 2 * c_in
        self.body = nn.Sequential(
            *(nn.ReLU(), nn.Conv2d(c_in, c, 3, 2, 1, bias=False), nn.BatchNorm2d(c)),
            *(nn.ReLU(), nn.Conv2d(c, c, 3, 1, 1, bias=False), nn.BatchNorm2d(c)),
        )
        self.shortcut = nn.Sequential(nn.AvgPool2d(2), nn.Conv2d(c_in, c, 1, bias=False))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(b, c_in, h, w) -> (b, 2 c_in, h / 2, w / 2)."""
        output: torch.Tensor = self.body(x) + self.shortcut(x)
        return output


class CellNetwork201(nn.Module):
    """A network of a single cell type: (b, in_channels, side, side) -> logits (b, n_classes).

    Args:
        operations: names of the operations of the cell's edges, in the order of ``EDGES``.
        channels: number of channels of the first stage; each later stage has twice as many
            channels as the previous stage.
        cells: number of cells per stage.
        n_classes: number of classes.
        in_channels: number of channels of the images.
    """

    def __init__(
        self,
        operations: Sequence[str],
        channels: int = 16,
        cells: int = 5,
        n_classes: int = 10,
        in_channels: int = 3,
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = [
            nn.Conv2d(in_channels, channels, 3, 1, 1, bias=False),
            nn.BatchNorm2d(channels),
        ]
        c = channels
        for stage in range(3):
            if stage:
                layers.append(Reduction(c))
                c *= 2
            layers += [Cell(operations, c) for _ in range(cells)]
        layers += [nn.BatchNorm2d(c), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
        self.body, self.classifier = nn.Sequential(*layers), nn.Linear(c, n_classes)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """(b, in_channels, side, side) images -> (b, n_classes) logits."""
        logits: torch.Tensor = self.classifier(self.body(images))
        return logits


def operation_parts(channels: int = 16, side: int = 32) -> list[Part]:
    """Return every operation at each of its three input shapes in a network.

    Args:
        channels: number of channels of the first stage.
        side: side length of the images in pixels.
    """
    return [
        _operation_part(name, channels * 2**stage, side // 2**stage)
        for stage in range(3)
        for name in OPERATIONS
    ]


def _operation_part(name: str, channels: int, side: int) -> Part:
    key = f"{name} {channels}-{channels} {side}x{side}"
    return Part(key, (channels, side, side), partial(_operation_or_identity, name, channels))


def _operation_or_identity(name: str, channels: int) -> nn.Module:
    return operation(name, channels) or nn.Identity()
