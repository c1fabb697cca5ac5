"""Candidate operations of cell-based search spaces: PyTorch modules and closed-form costs.

Sources: DARTS (Liu et al., 2019), whose search space CARS and EG-DARTS use; NSGANetV1 (Lu et al.,
2020) for squeeze-and-excitation, local binary convolutions and 1x7-7x1 convolutions; ECA-Net (Wang
et al., 2020) for efficient channel attention.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .convolution import StridedConv2d

MakeNorm = Callable[[int], nn.Module]  # number of channels -> normalization layer

_CONVOLUTION = re.compile(r"(sep_conv|dil_conv|lbc)_(\d)x\2")
SE_REDUCTION = 16  # reduction ratio of squeeze-and-excitation
LBC_DENSITY = 0.5  # fraction of non-zero weights in the fixed kernel of a local binary convolution


def affine_batch_norm(channels: int) -> nn.BatchNorm2d:
    """Return batch normalization with scale, shift and running statistics.

    Stand-alone networks use this layer.
    """
    return nn.BatchNorm2d(channels)


def nonaffine_batch_norm(channels: int) -> nn.BatchNorm2d:
    """Return batch normalization by batch statistics, without scale, shift or running statistics.

    Supernets use this layer, so each path is normalized by the statistics of the path, in training
    and evaluation.
    """
    return nn.BatchNorm2d(channels, affine=False, track_running_stats=False)


def use_batch_statistics(module: nn.Module) -> None:
    """Make every 2D batch normalization in a module use batch statistics, even in evaluation mode.

    Running statistics are removed; scale and shift remain.
    """
    for layer in module.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.track_running_stats = False
            layer.running_mean = layer.running_var = layer.num_batches_tracked = None


def select_input_channels(weight: Tensor, channels: Sequence[slice]) -> Tensor:
    """Return the part of a weight tensor that is applied to the given input channels.

    Args:
        weight: (c_out, c_in, ...), weight of a convolution or a linear layer.
        channels: slices of the c_in channels, in the order in which the input contains them.

    Returns:
        (c_out, number of selected channels, ...).
    """
    return torch.cat([weight[:, part] for part in channels], 1)


def _convolve(conv: nn.Conv2d, x: Tensor, channels: Sequence[slice] | None) -> Tensor:
    """Apply ``conv`` to ``x``, which contains all input channels or only the given slices."""
    if channels is None:
        out: Tensor = conv(x)
        return out
    weight = select_input_channels(conv.weight, channels)
    selected: Tensor = conv._conv_forward(x, weight, None)
    return selected


class ReluConvNorm(nn.Sequential):
    """A ReLU, a 1x1 convolution without bias, and a normalization layer.

    Args:
        c_in: number of input channels.
        c_out: number of output channels.
        norm: number of channels -> normalization layer.
    """

    def __init__(self, c_in: int, c_out: int, norm: MakeNorm) -> None:
        super().__init__(nn.ReLU(), nn.Conv2d(c_in, c_out, 1, bias=False), norm(c_out))

    def forward(self, x: Tensor, channels: Sequence[slice] | None = None) -> Tensor:
        """Apply the three layers.

        Args:
            x: (b, c_in, h, w), or fewer channels if ``channels`` is given.
            channels: slices of the c_in input channels that ``x`` contains; None means all.

        Returns:
            (b, c_out, h, w).
        """
        relu, conv, norm = self
        assert isinstance(conv, nn.Conv2d)
        out: Tensor = norm(_convolve(conv, relu(x), channels))
        return out


class FactorizedReduce(nn.Module):
    """Halves the spatial size with two 1x1 convolutions of stride 2, one shifted by one pixel.

    An odd side length is padded by one pixel, so the output has side length ceil(side / 2), like
    the output of all other operations with stride 2.

    Args:
        c_in: number of input channels.
        c_out: number of output channels.
        norm: number of channels -> normalization layer.
    """

    def __init__(self, c_in: int, c_out: int, norm: MakeNorm) -> None:
        super().__init__()
        self.even = StridedConv2d(c_in, c_out // 2, 1, 2, bias=False)
        self.odd = StridedConv2d(c_in, c_out - c_out // 2, 1, 2, bias=False)
        self.norm = norm(c_out)

    def forward(self, x: Tensor, channels: Sequence[slice] | None = None) -> Tensor:
        """Apply the ReLU, both convolutions and the normalization.

        Args:
            x: (b, c_in, h, w), or fewer channels if ``channels`` is given.
            channels: slices of the c_in input channels that ``x`` contains; None means all.

        Returns:
            (b, c_out, ceil(h / 2), ceil(w / 2)).
        """
        x = F.relu(x)
        x = F.pad(x, (0, x.shape[3] % 2, 0, x.shape[2] % 2))
        shifted = x[:, :, 1:, 1:]
        outputs = [_convolve(self.even, x, channels), _convolve(self.odd, shifted, channels)]
        out: Tensor = self.norm(torch.cat(outputs, 1))
        return out


class SqueezeExcitation(nn.Module):
    """Squeeze-and-excitation (Hu et al., 2018), with two linear layers without bias.

    Args:
        channels: number of channels; the hidden layer has ``channels // 16`` units, at least 1.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        hidden = max(1, channels // SE_REDUCTION)
        self.down = nn.Linear(channels, hidden, bias=False)
        self.up = nn.Linear(hidden, channels, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Scale each channel of ``x``, (b, channels, h, w), by its gate; the shape is unchanged."""
        gate: Tensor = self.up(F.relu(self.down(x.mean((2, 3))))).sigmoid()
        return x * gate[:, :, None, None]


class EfficientChannelAttention(nn.Module):
    """Efficient channel attention (Wang et al., 2020), with kernel size 3.

    The gate of a channel depends on its mean and the means of its two neighbors. The layer
    has three weights and no bias, regardless of the number of channels.
    """

    def __init__(self) -> None:
        super().__init__()
        self.neighbours = nn.Conv1d(1, 1, 3, padding=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Scale each channel of ``x``, (b, channels, h, w), by its gate; the shape is unchanged."""
        gate: Tensor = self.neighbours(x.mean((2, 3))[:, None])[:, 0].sigmoid()
        return x * gate[:, :, None, None]


class FixedConvolution(nn.Conv2d):
    """A convolution whose weights are not trained.

    :func:`~moonas.nets.counting.count_macs` counts its multiply-adds only on request.
    """


def local_binary_conv(channels: int, kernel: int, stride: int, norm: MakeNorm) -> nn.Sequential:
    """Build a local binary convolution (Juefei-Xu et al., 2017).

    It consists of normalization, a convolution with fixed random weights (+1 and -1 with
    probability 1/4 each, otherwise 0), ReLU, and a trainable 1x1 convolution. The fixed weights are
    in the state dict but are not counted as parameters.

    Args:
        channels: number of input and output channels.
        kernel: side length of the fixed kernel, odd.
        stride: stride of the fixed convolution.
        norm: number of channels -> normalization layer.
    """
    fixed = FixedConvolution(channels, channels, kernel, stride, kernel // 2, bias=False)
    uniform = torch.rand_like(fixed.weight)
    signs = (uniform < LBC_DENSITY).float() * torch.where(uniform < LBC_DENSITY / 2, -1.0, 1.0)
    fixed.weight = nn.Parameter(signs, requires_grad=False)
    return nn.Sequential(
        norm(channels), fixed, nn.ReLU(), nn.Conv2d(channels, channels, 1, bias=False)
    )


def _separable(
    channels: int, kernel: int, stride: int, dilation: int, norm: MakeNorm
) -> nn.Sequential:
    """Build ReLU, a depthwise convolution, a 1x1 convolution and normalization."""
    padding = dilation * (kernel // 2)
    return nn.Sequential(
        nn.ReLU(),
        nn.Conv2d(
            channels, channels, kernel, stride, padding, dilation, groups=channels, bias=False
        ),
        nn.Conv2d(channels, channels, 1, bias=False),
        norm(channels),
    )


def build_operation(
    name: str, channels: int, stride: int, norm: MakeNorm, last_norm: MakeNorm | None = None
) -> nn.Module | None:
    """Build a candidate operation.

    Args:
        name: ``none``, ``skip_connect``, ``max_pool_3x3``, ``avg_pool_3x3``,
            ``squeeze_excitation``, ``eca_3x3``, ``conv_1x7_7x1``, or ``lbc_kxk``, ``sep_conv_kxk``,
            ``dil_conv_kxk`` with odd k. With stride 2, average pooling precedes the attention
            operations ``squeeze_excitation`` and ``eca_3x3``.
        channels: number of input and output channels.
        stride: 1 or 2.
        norm: number of channels -> normalization layer.
        last_norm: number of channels -> normalization layer that is appended to operations that end
            without normalization: pooling, attention and local binary convolutions. Supernets use
            it to bring all paths to the same scale. None appends nothing, as in the final networks
            of DARTS.

    Returns:
        A module, (b, channels, h, w) -> (b, channels, ceil(h / stride), ceil(w / stride)); None for
        ``none``, which has no output.

    Raises:
        ValueError: if the name is unknown.
    """
    if name == "none":
        return None
    if name == "skip_connect":
        return nn.Identity() if stride == 1 else FactorizedReduce(channels, channels, norm)
    unnormalized = _without_last_norm(name, channels, stride, norm)
    if unnormalized is not None:
        return nn.Sequential(unnormalized, last_norm(channels)) if last_norm else unnormalized
    if name == "conv_1x7_7x1":
        return nn.Sequential(
            nn.ReLU(),
            nn.Conv2d(channels, channels, (1, 7), (1, stride), (0, 3), bias=False),
            nn.Conv2d(channels, channels, (7, 1), (stride, 1), (3, 0), bias=False),
            norm(channels),
        )
    kind, kernel = _parse_convolution(name)
    if kind == "dil_conv":
        return _separable(channels, kernel, stride, 2, norm)
    return nn.Sequential(
        *_separable(channels, kernel, stride, 1, norm), *_separable(channels, kernel, 1, 1, norm)
    )


def _without_last_norm(name: str, channels: int, stride: int, norm: MakeNorm) -> nn.Module | None:
    """Build an operation that ends without normalization; return None for any other operation."""
    average = nn.AvgPool2d(3, stride, 1, count_include_pad=False)
    if name == "max_pool_3x3":
        return nn.MaxPool2d(3, stride, 1)
    if name == "avg_pool_3x3":
        return average
    if name in ("squeeze_excitation", "eca_3x3"):
        squeeze = name == "squeeze_excitation"
        attention = SqueezeExcitation(channels) if squeeze else EfficientChannelAttention()
        return attention if stride == 1 else nn.Sequential(average, attention)
    if name.startswith("lbc"):
        return local_binary_conv(channels, _parse_convolution(name)[1], stride, norm)
    return None


def operation_cost(
    name: str,
    channels: int,
    stride: int,
    side: int,
    affine: bool = True,
    last_norm: bool = False,
    count_fixed: bool = False,
) -> tuple[int, int]:
    """Return the numbers of parameters and multiply-adds of an operation.

    Only the multiply-adds of convolutions and linear layers are counted.

    Args:
        name: name of the operation, see :func:`build_operation`.
        channels: number of input and output channels.
        stride: 1 or 2.
        side: side length of the input in pixels.
        affine: whether normalization layers have a scale and a shift per channel.
        last_norm: whether normalization is appended to operations that end without normalization.
        count_fixed: whether the fixed weights of local binary convolutions count as multiply-adds.

    Returns:
        (params, macs).

    Raises:
        ValueError: if the name is unknown.
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
        weights = 7 * channels**2  # per convolution
        area_between = side * -(-side // stride)  # pixels after the 1x7 convolution
        return 2 * weights + norm, weights * (area_between + area)
    kind, kernel = _parse_convolution(name)
    if kind == "lbc":
        norms = norm * (1 + last_norm)
        return channels**2 + norms, (kernel**2 * count_fixed + 1) * channels**2 * area
    weights = kernel**2 * channels + channels**2
    repeats = 2 if kind == "sep_conv" else 1
    return repeats * (weights + norm), repeats * weights * area


def _parse_convolution(name: str) -> tuple[str, int]:
    """Split the name of a convolution into its kind and its kernel size."""
    match = _CONVOLUTION.fullmatch(name)
    if not match:
        raise ValueError(f"Unknown operation {name!r}.")
    return match[1], int(match[2])
