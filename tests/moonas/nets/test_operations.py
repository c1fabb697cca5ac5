import pytest
import torch
from operation_names import OPERATION_NAMES
from torch import nn

from moonas.nets.counting import count_macs, count_params
from moonas.nets.operations import (
    FactorizedReduce,
    affine_batch_norm,
    build_operation,
    nonaffine_batch_norm,
    operation_cost,
)


@pytest.mark.parametrize("name", OPERATION_NAMES[1:])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("side", [7, 8])
def test_an_operation_preserves_the_number_of_channels_and_divides_the_side_by_the_stride(
    name, stride, side
):
    module = build_operation(name, 5, stride, affine_batch_norm, affine_batch_norm)
    side_out = -(-side // stride)
    assert module(torch.randn(3, 5, side, side)).shape == (3, 5, side_out, side_out)


@pytest.mark.parametrize("name", OPERATION_NAMES)
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("last_norm", [True, False])
@pytest.mark.parametrize("count_fixed", [True, False])
def test_the_closed_form_cost_equals_the_counted_cost_of_the_module(
    name, stride, affine, last_norm, count_fixed
):
    norm = affine_batch_norm if affine else nonaffine_batch_norm
    module = build_operation(name, 6, stride, norm, norm if last_norm else None)
    options = dict(affine=affine, last_norm=last_norm, count_fixed=count_fixed)
    params, macs = operation_cost(name, 6, stride, 9, **options)
    if module is None or not list(module.parameters()):
        assert (params, macs) == (0, 0)
    else:
        assert count_params(module) == params
        assert count_macs(module, 6, 9, 9, count_fixed=count_fixed) == macs


def test_multiply_adds_of_fixed_weights_are_counted_on_request():
    module = build_operation("lbc_5x5", 6, 1, affine_batch_norm)
    trained, fixed = 6 * 6 * 9 * 9, 25 * 6 * 6 * 9 * 9
    assert count_macs(module, 6, 9, 9) == trained
    assert count_macs(module, 6, 9, 9, count_fixed=True) == trained + fixed
    module.requires_grad_(False)  # as for inference
    assert count_macs(module, 6, 9, 9) == trained


def test_the_error_about_an_unknown_operation_contains_its_name():
    with pytest.raises(ValueError, match="sep_conv_3x5"):
        build_operation("sep_conv_3x5", 4, 1, affine_batch_norm)


def test_factorized_reduce_uses_pixels_at_even_and_at_odd_positions():
    module = FactorizedReduce(1, 2, lambda channels: nn.Identity())
    with torch.no_grad():
        module.even.weight.fill_(1)
        module.odd.weight.fill_(1)
    x = torch.arange(1.0, 17).reshape(1, 1, 4, 4)
    out = module(x)
    assert out[0, 0].tolist() == [[1, 3], [9, 11]]
    assert out[0, 1].tolist() == [[6, 8], [14, 16]]


def test_efficient_channel_attention_equals_a_computation_by_hand():
    module = build_operation("eca_3x3", 4, 1, affine_batch_norm)
    with torch.no_grad():
        next(module.parameters()).copy_(torch.tensor([[[1.0, 0.0, -2.0]]]))
    x = torch.rand(2, 4, 5, 5)
    means = x.mean((2, 3))
    padded = torch.cat([torch.zeros(2, 1), means, torch.zeros(2, 1)], 1)
    gate = torch.sigmoid(padded[:, :-2] - 2 * padded[:, 2:])
    assert torch.allclose(module(x), x * gate[:, :, None, None])


@pytest.mark.parametrize("stride", [1, 2])
def test_the_1x7_7x1_convolution_equals_relu_two_convolutions_and_normalization(stride):
    operation = build_operation("conv_1x7_7x1", 2, stride, affine_batch_norm).eval()
    convs = [module for module in operation.modules() if isinstance(module, nn.Conv2d)]
    x = torch.randn(3, 2, 8, 8, generator=torch.Generator().manual_seed(0))
    y = nn.functional.conv2d(x.clamp(min=0), convs[0].weight, None, (1, stride), (0, 3))
    y = nn.functional.conv2d(y, convs[1].weight, None, (stride, 1), (3, 0))
    expected = y / (1 + 1e-5) ** 0.5  # running mean 0 and variance 1
    assert torch.allclose(operation(x), expected, atol=1e-6)
