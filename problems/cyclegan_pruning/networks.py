"""CycleGAN's generator and discriminator (Zhu et al., ICCV 2017), as plain modules."""

from functools import partial

import torch
from torch import nn

from moonas.nets.parts import Part, layer_part, unique


def generator(in_channels=3, out_channels=3, *, width=64, blocks=9):
    """A generator: (b, in_channels, h, w) -> (b, out_channels, h, w) in [-1, 1].

    A 7x7 convolution, two of stride 2, residual blocks, two transposed ones, and a 7x7 one; with
    reflection padding, and instance normalisation without parameters.

    Args:
        in_channels: of the images that come in.
        out_channels: of those that go out.
        width: filters of the first convolution; the blocks have four times as many.
        blocks: residual blocks.

    Sides of the images are multiples of 4, and at least 8 pixels.
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
    return _initialised(nn.Sequential(*layers))


class Residual(nn.Module):
    """Two 3x3 convolutions with reflection padding, added to their input."""

    def __init__(self, channels):
        super().__init__()
        self.body = nn.Sequential(
            *(nn.ReflectionPad2d(1), nn.Conv2d(channels, channels, 3)),
            *(nn.InstanceNorm2d(channels), nn.ReLU()),
            *(nn.ReflectionPad2d(1), nn.Conv2d(channels, channels, 3)),
            nn.InstanceNorm2d(channels),
        )

    def forward(self, x):
        return x + self.body(x)


def discriminator(in_channels=3, *, width=64, layers=3):
    """A PatchGAN: (b, in_channels, h, w) -> (b, 1, h', w'), a score a patch, real ones near 1.

    Args:
        in_channels: of the images.
        width: filters of the first convolution; they double, up to eight times as many.
        layers: convolutions of stride 2; three look at patches of 70x70 pixels.
    """
    made = [nn.Conv2d(in_channels, width, 4, 2, 1), nn.LeakyReLU(0.2)]
    c = width
    for i in range(1, layers + 1):
        c_out = width * min(2**i, 8)
        stride = 2 if i < layers else 1
        made += [nn.Conv2d(c, c_out, 4, stride, 1), nn.InstanceNorm2d(c_out), nn.LeakyReLU(0.2)]
        c = c_out
    return _initialised(nn.Sequential(*made, nn.Conv2d(c, 1, 4, 1, 1)))


def n_patches(width, layers, side):
    """Patches that a discriminator sees in an image of ``side`` pixels.

    Raises:
        ValueError: the image is too small for such a discriminator.
    """
    with torch.device("meta"):
        net = discriminator(width=width, layers=layers)
        try:
            return net(torch.zeros(1, 3, side, side)).shape[2:].numel()
        except (RuntimeError, ValueError):
            raise ValueError(
                f"d_layers={layers} will not do: images of {side} pixels are too small for such a "
                "discriminator."
            ) from None


def _initialised(net):
    """Weights from N(0, 0.02), biases zero, as the original begins."""
    for layer in net.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.normal_(layer.weight, 0.0, 0.02)
            nn.init.zeros_(layer.bias)
    return net


def convolutions(net: nn.Module, side: int) -> list[Part]:
    """Each different convolution of a generator for images of ``side`` pixels, in order.

    Args:
        net: on the meta device.
        side: pixels.
    """
    found = []

    def note(layer, inputs, output):
        found.append(_convolution(layer, inputs[0].shape[-1]))

    kinds = nn.Conv2d | nn.ConvTranspose2d
    hooks = [m.register_forward_hook(note) for m in net.modules() if isinstance(m, kinds)]
    net(torch.zeros(1, 3, side, side, device="meta"))
    for hook in hooks:
        hook.remove()
    return unique(found)


def _convolution(layer, side):
    """A convolution as a part; ``side`` is that of its input, padding included."""
    kernel, stride = layer.kernel_size[0], layer.stride[0]
    options = dict(kernel_size=kernel, stride=stride, padding=layer.padding[0])
    if isinstance(layer, nn.ConvTranspose2d):
        options["output_padding"] = layer.output_padding[0]
    channels = layer.in_channels, layer.out_channels
    name = "transposed" if isinstance(layer, nn.ConvTranspose2d) else "conv"
    make = partial(type(layer), *channels, **options)
    return layer_part(f"{name}{kernel}", *channels, stride, side, make)
