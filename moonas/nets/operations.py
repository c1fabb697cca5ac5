"""Candidate operations of cell spaces: their modules, and their cost in closed form.

Sources: DARTS (Liu et al., 2019), whose search space CARS and EG-DARTS use.
"""

import re

import torch
from torch import nn
from torch.nn import functional as F

_CONVOLUTION = re.compile(r"(sep|dil)_conv_(\d)x\2")


def affine_norm(channels):
    """Batch normalisation with scale, shift and running statistics, as trained networks use it."""
    return nn.BatchNorm2d(channels)


def batch_norm_only(channels):
    """Batch normalisation by the batch at hand: no scale, no shift, no running statistics.

    What supernets use: every path is normalised by its own statistics, in training and scoring.
    """
    return nn.BatchNorm2d(channels, affine=False, track_running_stats=False)


def relu_conv_norm(c_in, c_out, norm, kernel=1, stride=1):
    """ReLU, convolution without bias, normalisation."""
    conv = nn.Conv2d(c_in, c_out, kernel, stride, kernel // 2, bias=False)
    return nn.Sequential(nn.ReLU(), conv, norm(c_out))


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

    def forward(self, x):
        """(b, c_in, h, w) -> (b, c_out, ceil(h / 2), ceil(w / 2))."""
        x = F.relu(x)
        x = F.pad(x, (0, x.shape[3] % 2, 0, x.shape[2] % 2))
        return self.norm(torch.cat([self.even(x), self.odd(x[:, :, 1:, 1:])], 1))


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


def build_operation(name, channels, stride, norm, pool_norm=None):
    """The module of an operation, (b, channels, h, w) -> (b, channels, h / stride, w / stride).

    Args:
        name: max_pool_3x3, avg_pool_3x3, skip_connect, or sep_conv_kxk, dil_conv_kxk with odd k.
        channels: in and out.
        stride: 1 or 2.
        norm: makes the normalisation of a number of channels.
        pool_norm: the same for after a pool; None leaves pools bare, as DARTS's final networks do.

    Returns:
        The module; None for ``none``, which has no output at all.

    Raises:
        ValueError: the name is unknown.
    """
    if name == "none":
        return None
    if name == "skip_connect":
        return nn.Identity() if stride == 1 else FactorizedReduce(channels, channels, norm)
    if name in ("max_pool_3x3", "avg_pool_3x3"):
        if name == "max_pool_3x3":
            pool = nn.MaxPool2d(3, stride, 1)
        else:
            pool = nn.AvgPool2d(3, stride, 1, count_include_pad=False)
        return nn.Sequential(pool, pool_norm(channels)) if pool_norm else pool
    kind, kernel = _convolution(name)
    if kind == "dil":
        return _separable(channels, kernel, stride, 2, norm)
    return nn.Sequential(
        *_separable(channels, kernel, stride, 1, norm), *_separable(channels, kernel, 1, 1, norm)
    )


def operation_cost(name, channels, stride, side, affine=True, pool_norm=False):
    """Parameters and multiply-adds of an operation at an input of side x side pixels.

    Multiply-adds count convolutions alone; normalisation has 2 parameters a channel if affine.

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
        return norm * pool_norm, 0
    kind, kernel = _convolution(name)
    once = kernel**2 * channels + channels**2
    times = 2 if kind == "sep" else 1
    return times * (once + norm), times * once * area


def _convolution(name):
    match = _CONVOLUTION.fullmatch(name)
    if not match:
        raise ValueError(f"Unknown operation {name!r}.")
    return match[1], int(match[2])
