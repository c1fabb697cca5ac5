"""Candidate operations of cell spaces: their modules, and their cost in closed form.

Sources: DARTS (Liu et al., 2019), whose search space CARS and EG-DARTS use; NSGANetV1 (Lu et al.,
2020) for squeeze-and-excitation, local binary and 1x7-7x1 convolutions; ECA-Net (Wang et al., 2020)
for efficient channel attention.
"""

import re

import torch
from torch import nn
from torch.nn import functional as F

_CONVOLUTION = re.compile(r"(sep_conv|dil_conv|lbc)_(\d)x\2")
SE_REDUCTION = 16  # channels of squeeze-and-excitation's hidden layer: one for so many
LBC_DENSITY = 0.5  # share of a local binary convolution's fixed weights that are not zero


def affine_batch_norm(channels):
    """Batch normalisation with scale, shift and running statistics, as trained networks use it."""
    return nn.BatchNorm2d(channels)


def nonaffine_batch_norm(channels):
    """Batch normalisation by the batch at hand: no scale, no shift, no running statistics.

    What supernets use: every path is normalised by its own statistics, in training and scoring.
    """
    return nn.BatchNorm2d(channels, affine=False, track_running_stats=False)


def use_batch_statistics(module):
    """Let the normalisations in a module do without running statistics; scale and shift stay."""
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.track_running_stats = False
            part.running_mean = part.running_var = part.num_batches_tracked = None


def select_input_channels(weight, columns):
    """The part of a weight (c_out, c_in, ...) that reads some of the channels that may come in.

    Args:
        weight: of a convolution or a linear layer.
        columns: list of slices of input channels.
    """
    return torch.cat([weight[:, part] for part in columns], 1)


def _convolve(conv, x, columns):
    """``conv`` of x, which holds the ``columns`` of its input channels."""
    if columns is None:
        return conv(x)
    return F.conv2d(x, select_input_channels(conv.weight, columns), None, conv.stride, conv.padding)


class ReluConvNorm(nn.Sequential):
    """ReLU, 1x1 convolution without bias, normalisation."""

    def __init__(self, c_in, c_out, norm):
        super().__init__(nn.ReLU(), nn.Conv2d(c_in, c_out, 1, bias=False), norm(c_out))

    def forward(self, x, columns=None):
        """(b, c_in, h, w), or some ``columns`` of it -> (b, c_out, h, w)."""
        relu, conv, norm = self
        return norm(_convolve(conv, relu(x), columns))


class FactorizedReduce(nn.Module):
    """Half the side with two 1x1 convolutions of stride 2, one of them shifted by a pixel.

    A side that is odd is padded by one pixel, so that the output has ceil(side / 2) as that of
    every other operation of stride 2.
    """

    def __init__(self, c_in, c_out, norm):
        super().__init__()
        self.even = nn.Conv2d(c_in, c_out // 2, 1, 2, bias=False)
        self.odd = nn.Conv2d(c_in, c_out - c_out // 2, 1, 2, bias=False)
        self.norm = norm(c_out)

    def forward(self, x, columns=None):
        """(b, c_in, h, w), or those ``columns`` of it -> (b, c_out, ceil(h / 2), ceil(w / 2))."""
        x = F.relu(x)
        x = F.pad(x, (0, x.shape[3] % 2, 0, x.shape[2] % 2))
        odd = x[:, :, 1:, 1:]
        halves = [_convolve(self.even, x, columns), _convolve(self.odd, odd, columns)]
        return self.norm(torch.cat(halves, 1))


class SqueezeExcitation(nn.Module):
    """Channels scaled by a gate that sees their means (Hu et al., 2018); two layers without bias.

    Args:
        channels: in and out; a sixteenth of them between the layers, one at least.
    """

    def __init__(self, channels):
        super().__init__()
        hidden = max(1, channels // SE_REDUCTION)
        self.down = nn.Linear(channels, hidden, bias=False)
        self.up = nn.Linear(hidden, channels, bias=False)

    def forward(self, x):
        """(b, channels, h, w) -> the same shape."""
        gate = self.up(F.relu(self.down(x.mean((2, 3))))).sigmoid()
        return x * gate[:, :, None, None]


class EfficientChannelAttention(nn.Module):
    """Channels scaled by a gate that sees the means of three neighbours (Wang et al., 2020).

    The gate has three weights and no bias, whatever the number of channels.
    """

    def __init__(self):
        super().__init__()
        self.neighbours = nn.Conv1d(1, 1, 3, padding=1, bias=False)

    def forward(self, x):
        """(b, channels, h, w) -> the same shape."""
        gate = self.neighbours(x.mean((2, 3))[:, None])[:, 0].sigmoid()
        return x * gate[:, :, None, None]


def local_binary_conv(channels, kernel, stride, norm):
    """Local binary convolution (Juefei-Xu et al., 2017): fixed random signs, then learned sums.

    Normalisation, a k x k convolution of fixed weights (+1 and -1 with chance 1/4 each, else 0),
    ReLU, and a learned 1x1 convolution. The fixed weights are in the state dict, but no trainable
    parameters; their multiply-adds count like any others.
    """
    fixed = nn.Conv2d(channels, channels, kernel, stride, kernel // 2, bias=False)
    share = torch.rand_like(fixed.weight)
    signs = (share < LBC_DENSITY).float() * torch.where(share < LBC_DENSITY / 2, -1.0, 1.0)
    fixed.weight = nn.Parameter(signs, requires_grad=False)
    return nn.Sequential(
        norm(channels), fixed, nn.ReLU(), nn.Conv2d(channels, channels, 1, bias=False)
    )


def _separable(channels, kernel, stride, dilation, norm):
    """ReLU, depthwise convolution, 1x1 convolution, normalisation."""
    padding = dilation * (kernel // 2)
    return nn.Sequential(
        nn.ReLU(),
        nn.Conv2d(
            channels, channels, kernel, stride, padding, dilation, groups=channels, bias=False
        ),
        nn.Conv2d(channels, channels, 1, bias=False),
        norm(channels),
    )


def build_operation(name, channels, stride, norm, last_norm=None):
    """The module of an operation, (b, channels, h, w) -> (b, channels, h / stride, w / stride).

    Args:
        name: none, skip_connect, max_pool_3x3, avg_pool_3x3, squeeze_excitation, eca_3x3,
            conv_1x7_7x1, or lbc_kxk, sep_conv_kxk, dil_conv_kxk with odd k. Attention
            (squeeze_excitation, eca_3x3) of stride 2 comes behind an average pool.
        channels: in and out.
        stride: 1 or 2.
        norm: makes the normalisation of a number of channels.
        last_norm: the same for after what ends without one: pools, attention, local binary
            convolutions. Supernets want all paths on one scale; None leaves them bare, as
            DARTS leaves pools in final networks.

    Returns:
        The module; None for ``none``, which has no output at all.

    Raises:
        ValueError: the name is unknown.
    """
    if name == "none":
        return None
    if name == "skip_connect":
        return nn.Identity() if stride == 1 else FactorizedReduce(channels, channels, norm)
    bare = _without_last_norm(name, channels, stride, norm)
    if bare is not None:
        return nn.Sequential(bare, last_norm(channels)) if last_norm else bare
    if name == "conv_1x7_7x1":
        return nn.Sequential(
            nn.ReLU(),
            nn.Conv2d(channels, channels, (1, 7), (1, stride), (0, 3), bias=False),
            nn.Conv2d(channels, channels, (7, 1), (stride, 1), (3, 0), bias=False),
            norm(channels),
        )
    kind, kernel = _convolution(name)
    if kind == "dil_conv":
        return _separable(channels, kernel, stride, 2, norm)
    return nn.Sequential(
        *_separable(channels, kernel, stride, 1, norm), *_separable(channels, kernel, 1, 1, norm)
    )


def _without_last_norm(name, channels, stride, norm):
    """The module of an operation that ends without normalisation; None if it is none of these."""
    average = nn.AvgPool2d(3, stride, 1, count_include_pad=False)
    if name == "max_pool_3x3":
        return nn.MaxPool2d(3, stride, 1)
    if name == "avg_pool_3x3":
        return average
    if name in ("squeeze_excitation", "eca_3x3"):
        squeeze = name == "squeeze_excitation"
        gate = SqueezeExcitation(channels) if squeeze else EfficientChannelAttention()
        return gate if stride == 1 else nn.Sequential(average, gate)
    if name.startswith("lbc"):
        return local_binary_conv(channels, _convolution(name)[1], stride, norm)
    return None


def operation_cost(name, channels, stride, side, affine=True, last_norm=False):
    """Parameters and multiply-adds of an operation at an input of side x side pixels.

    Multiply-adds are those of convolutions and linear layers; normalisation has 2 parameters a
    channel if affine.

    Returns:
        (params, macs), ints.
    """
    area = (-(-side // stride)) ** 2  # pixels of the output
    norm = 2 * channels * affine
    if name == "none" or (name == "skip_connect" and stride == 1):
        return 0, 0
    if name == "skip_connect":
        return channels**2 + norm, channels**2 * area
    if name in ("max_pool_3x3", "avg_pool_3x3"):
        return norm * last_norm, 0
    if name == "squeeze_excitation":
        weights = 2 * channels * max(1, channels // SE_REDUCTION)
        return weights + norm * last_norm, weights
    if name == "eca_3x3":
        return 3 + norm * last_norm, 3 * channels
    if name == "conv_1x7_7x1":
        weights = 7 * channels**2  # of each of the two
        half_way = side * -(-side // stride)  # pixels after the first
        return 2 * weights + norm, weights * (half_way + area)
    kind, kernel = _convolution(name)
    if kind == "lbc":
        norms = norm * (1 + last_norm)
        return channels**2 + norms, (kernel**2 + 1) * channels**2 * area
    once = kernel**2 * channels + channels**2
    times = 2 if kind == "sep_conv" else 1
    return times * (once + norm), times * once * area


def _convolution(name):
    match = _CONVOLUTION.fullmatch(name)
    if not match:
        raise ValueError(f"Unknown operation {name!r}.")
    return match[1], int(match[2])
