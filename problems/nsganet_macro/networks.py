"""The network of a macro architecture, its parts, and its size in closed form."""

from collections.abc import Iterable
from functools import partial

import torch
from torch import nn

from moonas.nets.parts import Part, classifier_part, layer_part


def _node(channels):
    """3x3 convolution, ReLU, batch normalisation (NSGANetV1, section G.3)."""
    return nn.Sequential(
        nn.Conv2d(channels, channels, 3, 1, 1, bias=False), nn.ReLU(), nn.BatchNorm2d(channels)
    )


def _stem(in_channels, channels):
    return nn.Sequential(
        nn.Conv2d(in_channels, channels, 3, 1, 1, bias=False), nn.BatchNorm2d(channels)
    )


def _pool():
    return nn.MaxPool2d(2, ceil_mode=True)


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
        self.pool = _pool()
        self.classifier = nn.Linear(channels, n_classes)

    def forward(self, images):
        """(b, in_channels, h, w) images -> (b, n_classes) logits."""
        x = self.stem(images)
        for index, phase in enumerate(self.phases):
            x = phase(self.pool(x) if index else x)
        return self.classifier(x.mean((2, 3)))


def _phase_end(channels):
    return nn.Sequential(nn.BatchNorm2d(channels), nn.ReLU())


def macro_parts(
    n_nodes: Iterable[int], *, channels: int, n_classes: int, in_channels: int, image_size: int
) -> list[Part]:
    """The parts of a :class:`MacroNetwork`, each as often as it occurs.

    Args:
        n_nodes: number of nodes of each phase.
        channels, n_classes, in_channels, image_size: of the network.
    """
    c, side = channels, image_size
    found = [layer_part("macro_stem", in_channels, c, 1, side, partial(_stem, in_channels, c))]
    for index, n in enumerate(n_nodes):
        if index:
            found.append(layer_part("pool", c, c, 2, side, _pool))
            side = -(-side // 2)
        found += [layer_part("node", c, c, 1, side, partial(_node, c))] * n
        found.append(layer_part("phase_end", c, c, 1, side, partial(_phase_end, c)))
    return [*found, classifier_part(c, n_classes, side)]


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
