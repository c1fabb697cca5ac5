"""The networks of NAS-Bench-201: three stages of equal cells, residual blocks between them."""

from torch import nn

from moonas.nets.parts import Part

from .space import EDGES, OPERATIONS


def operation(name, channels):
    """The module of an edge; (b, channels, h, w) in and out, None for ``none``."""
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
    """Four nodes; each is the sum of its edges' operations on the nodes before it.

    Args:
        operations: of the edges, in the order of ``EDGES``.
        channels: of all nodes.
    """

    def __init__(self, operations, channels):
        super().__init__()
        edges = {
            f"{start}-{end}": operation(name, channels)
            for name, (start, end) in zip(operations, EDGES, strict=True)
        }
        self.edges = nn.ModuleDict({key: m for key, m in edges.items() if m is not None})

    def forward(self, x):
        nodes = [x]
        for end in (1, 2, 3):
            into = [
                self.edges[f"{start}-{end}"](nodes[start])
                for start in range(end)
                if f"{start}-{end}" in self.edges
            ]
            nodes.append(sum(into[1:], into[0]) if into else x.new_zeros(x.shape))
        return nodes[3]


class Reduction(nn.Module):
    """A residual block of stride 2 that doubles the channels."""

    def __init__(self, c_in):
        super().__init__()
        c = 2 * c_in
        self.body = nn.Sequential(
            *(nn.ReLU(), nn.Conv2d(c_in, c, 3, 2, 1, bias=False), nn.BatchNorm2d(c)),
            *(nn.ReLU(), nn.Conv2d(c, c, 3, 1, 1, bias=False), nn.BatchNorm2d(c)),
        )
        self.shortcut = nn.Sequential(nn.AvgPool2d(2), nn.Conv2d(c_in, c, 1, bias=False))

    def forward(self, x):
        return self.body(x) + self.shortcut(x)


class CellNetwork201(nn.Module):
    """A network of one cell: (b, in_channels, side, side) -> logits (b, n_classes).

    Args:
        operations: of the cell's edges.
        channels: of the first stage; they double twice.
        cells: a stage.
        n_classes: number of classes.
        in_channels: of the images.
    """

    def __init__(self, operations, channels=16, cells=5, n_classes=10, in_channels=3):
        super().__init__()
        layers = [nn.Conv2d(in_channels, channels, 3, 1, 1, bias=False), nn.BatchNorm2d(channels)]
        c = channels
        for stage in range(3):
            if stage:
                layers.append(Reduction(c))
                c *= 2
            layers += [Cell(operations, c) for _ in range(cells)]
        layers += [nn.BatchNorm2d(c), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
        self.body, self.classifier = nn.Sequential(*layers), nn.Linear(c, n_classes)

    def forward(self, images):
        return self.classifier(self.body(images))


def parts(channels: int = 16, side: int = 32) -> list[Part]:
    """Every operation at each of the three shapes that it has in a network.

    Args:
        channels: of the first stage.
        side: of its input in pixels.
    """
    return [
        _part(name, channels * 2**stage, side // 2**stage)
        for stage in range(3)
        for name in OPERATIONS
    ]


def _part(name, channels, side):
    key = f"{name} {channels}-{channels} {side}x{side}"
    return Part(key, (channels, side, side), lambda: operation(name, channels) or nn.Identity())
