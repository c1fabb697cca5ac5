"""A convolution that avoids a fault of PyTorch on CPUs."""

from __future__ import annotations

import torch
from torch import Tensor, fx, nn
from torch.nn import functional as F

SAFE_SIDE = 32  # pixels
SAFE_CHANNELS = 16


class StridedConv2d(nn.Conv2d):
    """``nn.Conv2d``, which computes some 1x1 convolutions on a subsampled input.

    On a CPU, the gradient of a 1x1 convolution with a stride overwrites foreign memory if it has
    fewer than 16 input channels, the memory format is channels-last, and images have 48 or more
    pixels per side (PyTorch 2.14; oneDNN). Such a convolution uses every ``stride``-th pixel only,
    so here these pixels are selected first.
    """

    def _conv_forward(self, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        unsafe = (
            not isinstance(input, fx.Proxy)  # a trace follows the plain convolution
            and self.kernel_size == (1, 1)
            and self.stride != (1, 1)
            and self.padding == (0, 0)
            and input.device.type == "cpu"
            and torch.is_grad_enabled()
            and weight.shape[1] < SAFE_CHANNELS
            and max(input.shape[2:]) > SAFE_SIDE
        )
        if not unsafe:
            plain: Tensor = super()._conv_forward(input, weight, bias)
            return plain
        rows, columns = self.stride
        return F.conv2d(input[:, :, ::rows, ::columns], weight, bias, groups=self.groups)
