"""Generator and discriminator of CycleGAN (Zhu et al., ICCV 2017)."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import fx, nn

from moonas.nets.parts import Part, layer_part, unique_parts

from .channels import Convolution

MIN_SIDE = 8  # pixels; reflection padding requires two or more after two strided convolutions


def generator(
    in_channels: int = 3, out_channels: int = 3, *, width: int = 64, blocks: int = 9
) -> Translation:
    """Build a generator: (b, in_channels, h, w) -> (b, out_channels, h, w) in [-1, 1].

    The network consists of a 7x7 convolution, two convolutions of stride 2, residual blocks, two
    transposed convolutions and a 7x7 convolution, with reflection padding and with instance
    normalization without parameters. The side lengths of the images must be
    multiples of 4 and at least 8 pixels; other sizes raise a ``ValueError``.

    Args:
        in_channels: number of channels of the input images.
        out_channels: number of channels of the translated images.
        width: number of filters of the first convolution; the convolutions of residual
            blocks have four times as many.
        blocks: number of residual blocks.
    """
    w = width
    layers = [
        *(nn.ReflectionPad2d(3), nn.Conv2d(in_channels, w, 7), nn.InstanceNorm2d(w), nn.ReLU()),
        *(nn.Conv2d(w, 2 * w, 3, 2, 1), nn.InstanceNorm2d(2 * w), nn.ReLU()),
        *(nn.Conv2d(2 * w, 4 * w, 3, 2, 1), nn.InstanceNorm2d(4 * w), nn.ReLU()),
        *(Residual(4 * w) for _ in range(blocks)),
        *(nn.ConvTranspose2d(4 * w, 2 * w, 3, 2, 1, 1), nn.InstanceNorm2d(2 * w), nn.ReLU()),
        *(nn.ConvTranspose2d(2 * w, w, 3, 2, 1, 1), nn.InstanceNorm2d(w), nn.ReLU()),
        *(nn.ReflectionPad2d(3), nn.Conv2d(w, out_channels, 7), nn.Tanh()),
    ]
    net = Translation(*layers)
    _initialize(net)
    return net


class Translation(nn.Sequential):
    """The layers of a generator, which reject images that they cannot translate."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Translate (b, in_channels, h, w) images; the result has the same height and width.

        Raises:
            ValueError: a side length is not a multiple of 4, or is less than 8 pixels. The strided
                convolutions round such a side up, so the result would have another size.
        """
        if not isinstance(x, fx.Proxy):  # a trace follows the layers only
            height, width = x.shape[2:]
            if height % 4 or width % 4 or min(height, width) < MIN_SIDE:
                raise ValueError(
                    f"Images of {width}x{height} pixels cannot be translated: both side lengths "
                    f"must be multiples of 4 and at least {MIN_SIDE}. Crop, pad or resize them."
                )
        for layer in self:
            x = layer(x)
        return x


class Residual(nn.Module):
    """Residual block of two 3x3 convolutions with reflection padding.

    Args:
        channels: number of input and output channels.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            *(nn.ReflectionPad2d(1), nn.Conv2d(channels, channels, 3)),
            *(nn.InstanceNorm2d(channels), nn.ReLU()),
            *(nn.ReflectionPad2d(1), nn.Conv2d(channels, channels, 3)),
            nn.InstanceNorm2d(channels),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the sum of the input and the convolution output, (b, channels, h, w)."""
        out: torch.Tensor = x + self.body(x)
        return out


def discriminator(in_channels: int = 3, *, width: int = 64, layers: int = 3) -> nn.Sequential:
    """Build a PatchGAN discriminator: (b, in_channels, h, w) -> (b, 1, h', w').

    The output contains one score per patch. Training moves the scores of real patches towards 1 and
    the scores of generated patches towards 0.

    Args:
        in_channels: number of channels of the images.
        width: number of filters of the first convolution; the number doubles with each layer up to
            eight times ``width``.
        layers: number of convolutions of stride 2; with three of them, each patch has 70x70
            pixels.
    """
    modules: list[nn.Module] = [nn.Conv2d(in_channels, width, 4, 2, 1), nn.LeakyReLU(0.2)]
    c_in = width
    for i in range(1, layers + 1):
        c_out = width * min(2**i, 8)
        stride = 2 if i < layers else 1
        modules += [
            *(nn.Conv2d(c_in, c_out, 4, stride, 1), nn.InstanceNorm2d(c_out), nn.LeakyReLU(0.2))
        ]
        c_in = c_out
    return _initialize(nn.Sequential(*modules, nn.Conv2d(c_in, 1, 4, 1, 1)))


def n_patches(width: int, layers: int, size: tuple[int, int]) -> int:
    """Return the number of patches that a discriminator scores in one image.

    Args:
        width: number of filters of the first convolution.
        layers: number of convolutions of stride 2.
        size: height and width of the image in pixels.

    Raises:
        ValueError: the image is too small for this discriminator.
    """
    with torch.device("meta"):
        net = discriminator(width=width, layers=layers)
        try:
            return int(net(torch.zeros(1, 3, *size)).shape[2:].numel())
        except (RuntimeError, ValueError):
            raise ValueError(
                f"d_layers={layers} is invalid: images of {size[1]}x{size[0]} pixels are too small "
                "for this discriminator. Lower d_layers."
            ) from None


def _initialize(net: nn.Sequential) -> nn.Sequential:
    """Sample weights from N(0, 0.02^2) and set biases to zero, as CycleGAN does."""
    for layer in net.modules():
        if isinstance(layer, Convolution):
            nn.init.normal_(layer.weight, 0.0, 0.02)
            assert layer.bias is not None
            nn.init.zeros_(layer.bias)
    return net


def image_channels(net: nn.Module) -> int:
    """Return the number of channels of the images that a generator translates."""
    return next(layer.in_channels for layer in net.modules() if isinstance(layer, Convolution))


def convolutions(net: nn.Module, size: tuple[int, int]) -> list[Part]:
    """Return the distinct convolutions of a generator, in the order in which they first run.

    Args:
        net: generator on the meta device.
        size: height and width of the input image in pixels.
    """
    parts: list[Part] = []

    def record(layer: nn.Module, inputs: Any, output: Any) -> None:
        assert isinstance(layer, Convolution)
        parts.append(_convolution_part(layer, tuple(inputs[0].shape[2:])))

    hooks = [m.register_forward_hook(record) for m in net.modules() if isinstance(m, Convolution)]
    net(torch.zeros(1, image_channels(net), *size, device="meta"))
    for hook in hooks:
        hook.remove()
    return unique_parts(parts)


def _convolution_part(layer: Convolution, size: tuple[int, int]) -> Part:
    """Describe a convolution as a :class:`Part`.

    Args:
        layer: the convolution.
        size: height and width of the input, including padding by earlier layers.
    """
    kernel, stride, padding = layer.kernel_size[0], layer.stride[0], layer.padding[0]
    options: dict[str, Any] = dict(kernel_size=kernel, stride=stride, padding=padding)
    if isinstance(layer, nn.ConvTranspose2d):
        options["output_padding"] = layer.output_padding[0]
    c_in, c_out = layer.in_channels, layer.out_channels
    name = "transposed" if isinstance(layer, nn.ConvTranspose2d) else "conv"
    make = partial(type(layer), c_in, c_out, **options)
    return layer_part(f"{name}{kernel}", c_in, c_out, stride, size, make)
