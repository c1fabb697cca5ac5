"""Generators and discriminators of EAGAN, alone or as a path through shared weights (figure 1).

Every network is built from *candidates*: for each edge of each cell the operations that it may
take. With one each it is a network that stands alone, with all of them a supernet; the code of a
forward pass is the same, and so are the names of the weights, which :func:`own_weights` uses.

What the paper leaves out is as in its release: sums at nodes, one latent part a cell, skips between
cells, a first block of the discriminator that is not searched, and a sum over pixels at its end.
"""

from dataclasses import dataclass
from functools import partial
from itertools import pairwise

import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import spectral_norm

from .space import DOWN, N_CELLS, NORMAL, UP, DiscriminatorSpace, GeneratorSpace, halved

LATENT_PARTS = N_CELLS
INTERPOLATIONS = ("nearest", "bilinear")
SKIP_MODES = ("nearest", "bilinear", "nearest")  # of what comes into each Up-Cell from earlier ones
CONVOLUTIONS = {  # kernel, dilation
    "conv_1x1": (1, 1),
    "conv_3x3": (3, 1),
    "conv_5x5": (5, 1),
    "dil_conv_3x3": (3, 2),
    "dil_conv_5x5": (5, 2),
}
GENERATOR, DISCRIMINATOR = GeneratorSpace(), DiscriminatorSpace(32)  # whose edges have their names


def convolution(c_in, c_out, kernel, *, stride=1, dilation=1, norm=None):
    """A convolution with bias that keeps the side, or halves it; spectrally normalised if asked."""
    padding = dilation * (kernel - 1) // 2
    layer = nn.Conv2d(c_in, c_out, kernel, stride, padding, dilation)
    nn.init.xavier_uniform_(layer.weight)
    return norm(layer) if norm else layer


class Convolve(nn.Module):
    """ReLU, unless told otherwise, and a dense convolution; (b, c, h, w) -> (b, c, h', w')."""

    def __init__(self, channels, name, *, stride=1, relu=True, norm=None):
        super().__init__()
        kernel, dilation = CONVOLUTIONS[name]
        self.relu = relu
        self.conv = convolution(
            channels, channels, kernel, stride=stride, dilation=dilation, norm=norm
        )

    def forward(self, x):
        return self.conv(F.relu(x) if self.relu else x)


class Enlarge(nn.Module):
    """Twice the side by interpolation, ReLU, and a 1x1 convolution there."""

    def __init__(self, channels, mode):
        super().__init__()
        self.mode = mode
        self.conv = convolution(channels, channels, 1)

    def forward(self, x):
        return self.conv(F.relu(F.interpolate(x, scale_factor=2, mode=self.mode)))


class Deconvolve(nn.Module):
    """ReLU, a depthwise transposed 3x3 convolution of stride 2, and a 1x1 one, both unbiased."""

    def __init__(self, channels):
        super().__init__()
        self.depthwise = nn.ConvTranspose2d(
            channels, channels, 3, 2, 1, output_padding=1, groups=channels, bias=False
        )
        self.pointwise = nn.Conv2d(channels, channels, 1, bias=False)
        nn.init.xavier_uniform_(self.pointwise.weight)

    def forward(self, x):
        return self.pointwise(self.depthwise(F.relu(x)))


class Skip(nn.Module):
    """From an earlier Up-Cell: interpolation to the side at hand, and a 1x1 convolution there."""

    def __init__(self, channels, mode):
        super().__init__()
        self.mode = mode
        self.conv = convolution(channels, channels, 1)

    def forward(self, x, side):
        return self.conv(F.interpolate(x, size=side, mode=self.mode))


def up_operation(name, channels):
    """The module of an operation in an Up-Cell that is no identity and not ``none``."""
    if name == "deconv":
        return Deconvolve(channels)
    return Enlarge(channels, name) if name in INTERPOLATIONS else Convolve(channels, name)


def down_operation(name, channels, **options):
    """The module of an operation in a Down-Cell that is no identity and not ``none``.

    Args:
        name: of the operation.
        channels: in and out.
        options: stride, relu and norm of a convolution.
    """
    return Pool(name) if name.endswith("_pool") else Convolve(channels, name, **options)


def edge_operations(names, make):
    """The operations that an edge may take, by name; ``none`` and identities have no module."""
    return nn.ModuleDict({name: make(name) for name in names if name not in NORMAL[:2]})


def apply_edge(operations, name, x):
    """x through an operation of an edge; None where there is none."""
    if name == "none":
        return None
    return x if name == "skip_connect" else operations[name](x)


def total(tensors):
    """The sum of those that are not None, None if there is none; never in place."""
    sum_ = None
    for tensor in tensors:
        if tensor is not None:
            sum_ = tensor if sum_ is None else sum_ + tensor
    return sum_


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
        super().__init__([GENERATOR.edges] * N_CELLS, running=False, **shape)

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


class Pool(nn.Module):
    """The mean or the largest of 2x2 pixels; odd sides are rounded up."""

    def __init__(self, name):
        super().__init__()
        self.pool = F.avg_pool2d if name == "avg_pool" else F.max_pool2d

    def forward(self, x):
        return self.pool(x, 2, ceil_mode=True)


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
        super().__init__([DISCRIMINATOR.edges] * N_CELLS, **shape)

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


@dataclass(frozen=True)
class Part:
    """An operation at one place of a supernet, for tables of latencies.

    Args:
        name: of the operation.
        kind: "up", "normal" or "down".
        channels: in and out.
        side: of the input in pixels.
    """

    name: str
    kind: str
    channels: int
    side: int

    @property
    def key(self):
        """Its name in a table."""
        return f"{self.name} {self.kind} {self.channels} {self.side}x{self.side}"

    @property
    def shape(self):
        """Of one input, (c, h, w)."""
        return self.channels, self.side, self.side

    def build(self):
        """The module; ``none`` is an identity."""
        if self.name in NORMAL[:2]:
            return nn.Identity()
        if self.kind == "up":
            return up_operation(self.name, self.channels)
        return down_operation(self.name, self.channels, stride=1 if self.kind == "normal" else 2)


def generator_parts(channels, side):
    """Every operation at every side that it can have in a generator for images of some side."""
    parts = []
    for below in (side // 8, side // 4, side // 2):
        parts += [Part(name, "up", channels, below) for name in UP]
        parts += [Part(name, "normal", channels, 2 * below) for name in NORMAL]
    return parts


def discriminator_parts(channels, side):
    """Every operation at every side that it can have in a discriminator."""
    sides, s = [], side
    while s > 1 and len(sides) < 4:
        s = halved(s)
        sides.append(s)
    parts = [Part(name, "normal", channels, s) for s in sides for name in NORMAL]
    return parts + [Part(name, "down", channels, s) for s in sides[:3] if s > 1 for name in DOWN]


def alone(architecture):
    """The candidates of a network that stands alone: one each."""
    return [[(name,) for name in cell] for cell in architecture.cells]


def check_side(side):
    """The side of images, if it is one that three cells can reach; else a ``ValueError``."""
    if side < 8 or side % 2**N_CELLS:
        raise ValueError(
            f"Images of {side}x{side} pixels will not do: the three cells of a generator double a "
            "side, so it is a multiple of 8. image_size=8, 16, 32 or 48 resizes the data."
        )
    return side


def own_weights(net, supernet):
    """Give a network that stands alone the weights of its path through a supernet; the network.

    Running statistics, which no supernet keeps, stay as they are; see :func:`settle_statistics`.
    """
    shared, own = supernet.state_dict(), net.state_dict()
    net.load_state_dict({name: shared.get(name, own[name]) for name in own})
    return net


@torch.no_grad()
def settle_statistics(generator, latents):
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
