import os
import subprocess
import sys

import pytest
import torch
from torch import nn

from moonas.nets.convolution import StridedConv2d
from moonas.nets.devices import to_device

OVERWRITING = """
import torch
from torch import nn
from moonas.nets.devices import to_device
from moonas.nets.operations import FactorizedReduce

torch.set_num_threads(1)
layer = to_device(FactorizedReduce(4, 4, nn.BatchNorm2d), "cpu")
x = torch.randn(4, 4, 56, 56).contiguous(memory_format=torch.channels_last).requires_grad_()
for _ in range(20):
    layer(x).sum().backward()
"""


def test_the_gradient_of_a_strided_1x1_convolution_does_not_overwrite_memory():
    environment = os.environ | {"MALLOC_CHECK_": "3", "MALLOC_PERTURB_": "85"}
    done = subprocess.run(
        [sys.executable, "-c", OVERWRITING], capture_output=True, text=True, env=environment
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("side", [32, 33, 48, 57])
@pytest.mark.parametrize(
    "options", [dict(stride=2), dict(stride=(2, 3)), dict(stride=2, groups=2), dict(stride=1)]
)
def test_a_strided_convolution_equals_that_of_pytorch(side, options):
    expected = nn.Conv2d(4, 6, 1, **options).double()
    layer = StridedConv2d(4, 6, 1, **options).double()
    layer.load_state_dict(expected.state_dict())
    to_device(layer, "cpu")
    x = torch.randn(2, 4, side, side, dtype=torch.float64)
    inputs = [x.clone().requires_grad_(), x.contiguous(memory_format=torch.channels_last)]
    inputs[1].requires_grad_()
    outputs = [net(value) for net, value in zip((expected, layer), inputs, strict=True)]
    assert torch.allclose(*outputs, rtol=1e-12)
    weights = torch.randn_like(outputs[0])
    for output in outputs:
        (output * weights).sum().backward()
    assert torch.allclose(inputs[0].grad, inputs[1].grad, rtol=1e-12)
    assert torch.allclose(expected.weight.grad, layer.weight.grad, rtol=1e-12)


def test_padded_and_larger_convolutions_are_those_of_pytorch():
    for options in (dict(kernel_size=1, padding=1), dict(kernel_size=3)):
        expected = nn.Conv2d(4, 6, stride=2, **options)
        layer = StridedConv2d(4, 6, stride=2, **options)
        layer.load_state_dict(expected.state_dict())
        x = torch.randn(2, 4, 40, 40)
        assert torch.equal(layer(x), expected(x))
