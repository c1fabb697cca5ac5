"""The network of an architecture in the macro space, its parts, and its size in closed form."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

import torch
from torch import nn

from moonas.nets.parts import Part, classifier_part, layer_part

from .space import Architecture, Phase


def _node(channels: int) -> nn.Sequential:
    """3x3 convolution, ReLU and batch normalization (NSGANetV1, section G.3)."""
    return nn.Sequential(
        nn.Conv2d(channels, channels, 3, 1, 1, bias=False), nn.ReLU(), nn.BatchNorm2d(channels)
    )


def _stem(in_channels: int, channels: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(in_channels, channels, 3, 1, 1, bias=False), nn.BatchNorm2d(channels)
    )


def _pool() -> nn.MaxPool2d:
    return nn.MaxPool2d(2, ceil_mode=True)


class _Phase(nn.Module):
    def __init__(self, phase: Phase, channels: int) -> None:
        super().__init__()
        self.inputs, self.outputs = phase.inputs, phase.outputs
        self.nodes = nn.ModuleDict({str(node): _node(channels) for node in self.inputs})
        self.norm = nn.BatchNorm2d(channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        states = {0: x}
        for node, inputs in self.inputs.items():
            states[node] = self.nodes[str(node)](sum(states[k] for k in inputs))
        output: torch.Tensor = self.norm(sum(states[k] for k in self.outputs))
        return torch.relu(output)


class MacroNetwork(nn.Module):
    """A 3x3 convolution, three phases with max-pools between them, and a linear classifier.

    The inputs of a node are summed, as in Genetic CNN. Each phase ends with batch normalization and
    ReLU. Max-pooling halves the side length, rounding up.

    Args:
        architecture: a :class:`moonas.problems.nsganet_macro.space.Architecture`.
        channels: number of channels of every node.
        n_classes: number of classes.
        in_channels: number of channels of the images.
    """

    def __init__(
        self,
        architecture: Architecture,
        *,
        channels: int = 32,
        n_classes: int = 10,
        in_channels: int = 3,
    ) -> None:
        super().__init__()
        self.stem = _stem(in_channels, channels)
        self.phases = nn.ModuleList(_Phase(phase, channels) for phase in architecture.phases)
        self.pool = _pool()
        self.classifier = nn.Linear(channels, n_classes)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """(b, in_channels, h, w) images -> (b, n_classes) logits."""
        x = self.stem(images)
        for index, phase in enumerate(self.phases):
            x = phase(self.pool(x) if index else x)
        logits: torch.Tensor = self.classifier(x.mean((2, 3)))
        return logits


def _phase_end(channels: int) -> nn.Sequential:
    return nn.Sequential(nn.BatchNorm2d(channels), nn.ReLU())


def macro_parts(
    n_nodes: Iterable[int], *, channels: int, n_classes: int, in_channels: int, image_size: int
) -> list[Part]:
    """Return the parts of a :class:`MacroNetwork`; parts that occur n times are listed n times.

    Args:
        n_nodes: number of nodes of each phase.
        channels: number of channels of every node.
        n_classes: number of classes.
        in_channels: number of channels of the images.
        image_size: side length of the images in pixels.
    """
    c, side = channels, image_size
    parts = [layer_part("macro_stem", in_channels, c, 1, side, partial(_stem, in_channels, c))]
    for index, n in enumerate(n_nodes):
        if index:
            parts.append(layer_part("pool", c, c, 2, side, _pool))
            side = -(-side // 2)
        parts += [layer_part("node", c, c, 1, side, partial(_node, c))] * n
        parts.append(layer_part("phase_end", c, c, 1, side, partial(_phase_end, c)))
    return [*parts, classifier_part(c, n_classes, side)]


def count_costs(
    architecture: Architecture, *, channels: int, n_classes: int, in_channels: int, image_size: int
) -> tuple[int, int]:
    """Count the trainable parameters and multiply-adds of a :class:`MacroNetwork` in closed form.

    Args:
        architecture: a :class:`moonas.problems.nsganet_macro.space.Architecture`.
        channels: number of channels of every node.
        n_classes: number of classes.
        in_channels: number of channels of the images.
        image_size: side length of the images in pixels.

    Returns:
        (params, macs).
    """
    side, weights = image_size, 9 * in_channels * channels
    params, macs = weights + 2 * channels, weights * side**2
    for index, phase in enumerate(architecture.phases):
        side = -(-side // 2) if index else side
        n = len(phase.nodes)
        params += n * (9 * channels**2 + 2 * channels) + 2 * channels
        macs += n * 9 * channels**2 * side**2
    return params + (channels + 1) * n_classes, macs + channels * n_classes
