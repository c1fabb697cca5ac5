"""CycleGAN's generator and discriminator (Zhu et al., ICCV 2017), as plain modules."""

from torch import nn


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


def _initialised(net):
    """Weights from N(0, 0.02), biases zero, as the original begins."""
    for layer in net.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.normal_(layer.weight, 0.0, 0.02)
            nn.init.zeros_(layer.bias)
    return net
