"""The network of a macro architecture, its parts, and its size in closed form."""

from dataclasses import dataclass

import torch
from torch import nn

from moonas.nets.parts import Part


def _node(channels):
    """3x3 convolution, ReLU, batch normalisation (NSGANetV1, section G.3)."""
    return nn.Sequential(
        nn.Conv2d(channels, channels, 3, 1, 1, bias=False), nn.ReLU(), nn.BatchNorm2d(channels)
    )


def _stem(in_channels, channels):
    return nn.Sequential(
        nn.Conv2d(in_channels, channels, 3, 1, 1, bias=False), nn.BatchNorm2d(channels)
    )


class _Phase(nn.Module):
    def __init__(self, phase, channels):
        super().__init__()
        self.inputs, self.outputs = phase.inputs, phase.outputs
        self.nodes = nn.ModuleDict({str(node): _node(channels) for node in self.inputs})
        self.norm = nn.BatchNorm2d(channels)

    def forward(self, x):
        states = {0: x}
        for node, taken in self.inputs.items():
            states[node] = self.nodes[str(node)](sum(states[k] for k in taken))
        return torch.relu(self.norm(sum(states[k] for k in self.outputs)))


class MacroNetwork(nn.Module):
    """A 3x3 convolution, three phases with pools between them, and a linear classifier.

    What a node takes is added up, as in Genetic CNN. A phase ends with normalisation and ReLU. A
    pool halves the side, rounding up.

    Args:
        architecture: a :class:`moonas.problems.nsganet_macro.space.Architecture`.
        channels: of all nodes.
        n_classes: outputs.
        in_channels: of the images.
    """

    def __init__(self, architecture, *, channels=32, n_classes=10, in_channels=3):
        super().__init__()
        self.stem = _stem(in_channels, channels)
        self.phases = nn.ModuleList(_Phase(phase, channels) for phase in architecture.phases)
        self.pool = nn.MaxPool2d(2, ceil_mode=True)
        self.classifier = nn.Linear(channels, n_classes)

    def forward(self, images):
        """(b, in_channels, h, w) images -> (b, n_classes) logits."""
        x = self.stem(images)
        for index, phase in enumerate(self.phases):
            x = phase(self.pool(x) if index else x)
        return self.classifier(x.mean((2, 3)))


@dataclass(frozen=True)
class MacroPart(Part):
    """A part of a :class:`MacroNetwork`: macro_stem, node, phase_end, pool or classifier."""

    def build(self):
        """The module; (b, c_in, side, side) in."""
        if self.name == "macro_stem":
            return _stem(self.c_in, self.c_out)
        if self.name == "node":
            return _node(self.c_in)
        if self.name == "phase_end":
            return nn.Sequential(nn.BatchNorm2d(self.c_in), nn.ReLU())
        if self.name == "pool":
            return nn.MaxPool2d(2, ceil_mode=True)
        return super().build()


def macro_parts(n_nodes, *, channels, n_classes, in_channels, image_size):
    """The parts of a network, as often as it has them.

    Args:
        n_nodes: number of nodes of each phase.
        channels, n_classes, in_channels, image_size: of the network.
    """
    c, side = channels, image_size
    found = [MacroPart("macro_stem", in_channels, c, 1, side)]
    for index, n in enumerate(n_nodes):
        if index:
            found.append(MacroPart("pool", c, c, 2, side))
            side = -(-side // 2)
        found += [MacroPart("node", c, c, 1, side)] * n
        found.append(MacroPart("phase_end", c, c, 1, side))
    return [*found, MacroPart("classifier", c, n_classes, 1, side)]


def cost(architecture, *, channels, n_classes, in_channels, image_size):
    """Parameters and multiply-adds of a :class:`MacroNetwork`, two ints."""
    side, weights = image_size, 9 * in_channels * channels
    params, macs = weights + 2 * channels, weights * side**2
    for index, phase in enumerate(architecture.phases):
        side = -(-side // 2) if index else side
        n = len(phase.nodes)
        params += n * (9 * channels**2 + 2 * channels) + 2 * channels
        macs += n * 9 * channels**2 * side**2
    return params + (channels + 1) * n_classes, macs + channels * n_classes
