"""Discriminators of EAGAN: three Down-Cells, alone or as a path through shared weights."""

from functools import partial
from itertools import pairwise

from torch import nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import spectral_norm

from .operations import (
    alone,
    apply_edge,
    convolution,
    down_operation,
    edge_operations,
    total,
)
from .space import N_CELLS, DiscriminatorSpace

EDGES = DiscriminatorSpace(32).edges  # names of the operations of each, whatever the image size


class FirstBlock(nn.Module):
    """Two 3x3 convolutions and an average pool, beside a pool and a 1x1 convolution."""

    def __init__(self, c_in, channels, norm):
        super().__init__()
        self.first = convolution(c_in, channels, 3, norm=norm)
        self.second = convolution(channels, channels, 3, norm=norm)
        self.shortcut = convolution(c_in, channels, 1, norm=norm)

    def forward(self, x):
        long = F.avg_pool2d(self.second(F.relu(self.first(x))), 2)
        return long + self.shortcut(F.avg_pool2d(x, 2))


class DownCell(nn.Module):
    """Seven edges; on E4 alone there is no ReLU."""

    def __init__(self, candidates, channels, norm):
        super().__init__()

        self.edges = nn.ModuleList()
        for e, names in enumerate(candidates):
            options = dict(stride=2 if e in (5, 6) else 1, relu=e != 4, norm=norm)
            make = partial(down_operation, channels=channels, **options)
            self.edges.append(edge_operations(names, make))

    def forward(self, x, cell):
        """(b, c, h, w) -> (b, c, h/2, w/2), or of the same side where E5 is ``none``."""

        def edge(e, node):
            return apply_edge(self.edges[e], cell[e], node)

        one = edge(0, x)
        two = total((edge(1, x), edge(2, one)))
        three = total((edge(3, one), edge(4, x)))
        if cell[5] == "none":
            return two + three
        return edge(5, two) + edge(6, three)


class _Discriminator(nn.Module):
    """Images to scores, real ones above 0, along a path through the candidates of each edge.

    Args:
        candidates: three cells of seven tuples of operations.
        channels: of all blocks.
        in_channels: of the images.
        spectral: normalise every weight by its spectral norm (Miyato et al., 2018).
        scale: factor of the output; 1 in the paper.
    """

    def __init__(self, candidates, *, channels=128, in_channels=3, spectral=True, scale=1.0):
        super().__init__()
        norm = spectral_norm if spectral else None
        self.scale = scale
        self.first = FirstBlock(in_channels, channels, norm)
        self.cells = nn.ModuleList(DownCell(names, channels, norm) for names in candidates)
        last = nn.Linear(channels, 1, bias=False)
        self.last = norm(last) if norm else last

    def path(self, images, cells):
        """(b, in_channels, side, side) -> (b,)."""
        x = self.first(images)
        for module, cell in zip(self.cells, cells, strict=True):
            x = module(x, cell)
        return self.scale * self.last(F.relu(x).sum((2, 3)))[:, 0]


class SuperDiscriminator(_Discriminator):
    """SuperNet-D: shared weights of all discriminators; called with images and one of them.

    Args:
        shape: channels, in_channels, spectral and scale.
    """

    def __init__(self, **shape):
        super().__init__([EDGES] * N_CELLS, **shape)

    def forward(self, images, architecture):
        return self.path(images, architecture.cells)


class Discriminator(_Discriminator):
    """A discriminator that stands alone.

    Args:
        architecture: an :class:`~moonas.problems.eagan.space.Architecture` of Down-Cells.
        shape: channels=128, in_channels=3, spectral=True and scale=1.
    """

    def __init__(self, architecture, **shape):
        super().__init__(alone(architecture), **shape)
        self.architecture = architecture

    def forward(self, images):
        return self.path(images, self.architecture.cells)


class SimpleDiscriminator(nn.Module):
    """Five 4x4 convolutions of stride 2 and a linear layer: the first D of EAGAN-GD2.

    As released: normalised and activated (0.2) after the first, third and fifth convolution, a sum
    over pixels, and spectral normalisation of the linear layer alone. On images of fewer than 32
    pixels the convolutions that would halve a single pixel are left out; so at least one stays.

    Args:
        side: of the images in pixels.
        channels: of all but the first convolution, which has half as many.
        in_channels: of the images.
        spectral: whether the linear layer is normalised.
        scale: factor of the output.
    """

    def __init__(self, side, *, channels=128, in_channels=3, spectral=True, scale=1.0):
        super().__init__()
        self.scale = scale
        n_convolutions = min(5, max(1, side.bit_length() - 1))
        widths = [in_channels, channels // 2, *[channels] * 4][: n_convolutions + 1]
        layers = []
        for i, (c_in, c_out) in enumerate(pairwise(widths)):
            layers.append(nn.Conv2d(c_in, c_out, 4, 2, 1))
            nn.init.xavier_uniform_(layers[-1].weight)
            if i % 2 == 0:
                layers += [nn.BatchNorm2d(c_out), nn.LeakyReLU(0.2)]
                nn.init.normal_(layers[-2].weight, 1.0, 0.02)
        self.layers = nn.Sequential(*layers)
        last = nn.Linear(widths[-1], 1, bias=False)
        self.last = spectral_norm(last) if spectral else last

    def forward(self, images):
        """(b, in_channels, side, side) -> (b,)."""
        return self.scale * self.last(self.layers(images).sum((2, 3)))[:, 0]
