import numpy as np
import pytest
import torch
from torch import nn

from moonas.nets.cell_network import CellNetwork
from moonas.nets.cells import CellNetworkShape, even_layout, stack, staged_layout
from moonas.nets.counting import CellCosts, count_macs, count_params
from moonas.nets.operations import (
    FactorizedReduce,
    affine_norm,
    batch_norm_only,
    build_operation,
    operation_cost,
)
from moonas.nets.parts import network_parts, operation_part, space_parts, unique

NAMES = (
    "none",
    "max_pool_3x3",
    "avg_pool_3x3",
    "skip_connect",
    "sep_conv_3x3",
    "sep_conv_5x5",
    "sep_conv_7x7",
    "dil_conv_3x3",
    "dil_conv_5x5",
    "squeeze_excitation",
    "eca_3x3",
    "lbc_3x3",
    "lbc_5x5",
    "conv_1x7_7x1",
)


@pytest.mark.parametrize("name", NAMES[1:])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("side", [7, 8])
def test_every_operation_keeps_channels_and_divides_the_side(name, stride, side):
    module = build_operation(name, 5, stride, affine_norm, affine_norm)
    assert module(torch.randn(3, 5, side, side)).shape == (
        3,
        5,
        -(-side // stride),
        -(-side // stride),
    )


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("last_norm", [True, False])
def test_cost_in_closed_form_is_that_of_the_module(name, stride, affine, last_norm):
    norm = affine_norm if affine else batch_norm_only
    module = build_operation(name, 6, stride, norm, norm if last_norm else None)
    params, macs = operation_cost(name, 6, stride, 9, affine=affine, last_norm=last_norm)
    if module is None or not list(module.parameters()):
        assert (params, macs) == (0, 0)
    else:
        assert count_params(module) == params
        assert count_macs(module, 6, 9, 9) == macs


def test_an_unknown_operation_is_refused_by_name():
    with pytest.raises(ValueError, match="sep_conv_3x5"):
        build_operation("sep_conv_3x5", 4, 1, affine_norm)


def test_factorized_reduce_sees_every_pixel_of_an_even_image():
    module = FactorizedReduce(1, 2, lambda channels: nn.Identity())
    with torch.no_grad():
        module.even.weight.fill_(1)
        module.odd.weight.fill_(1)
    x = torch.arange(1.0, 17).reshape(1, 1, 4, 4)
    out = module(x)
    assert out[0, 0].tolist() == [[1, 3], [9, 11]]
    assert out[0, 1].tolist() == [[6, 8], [14, 16]]


def test_macs_by_hand():
    conv = nn.Conv2d(3, 8, 3, stride=2, padding=1)  # 8 * 3 * 9 weights at 4 x 4 pixels
    assert count_macs(conv, 3, 8, 8) == 8 * 3 * 9 * 16
    deconv = nn.ConvTranspose2d(4, 2, 3, stride=2)  # 4 * 2 * 9 weights at 5 x 5 pixels in
    assert count_macs(deconv, 4, 5, 5) == 4 * 2 * 9 * 25
    assert count_macs(nn.Sequential(nn.Flatten(), nn.Linear(12, 7)), 3, 2, 2) == 84
    depthwise = nn.Conv2d(6, 6, 3, padding=1, groups=6)
    assert count_macs(depthwise, 6, 5, 5) == 6 * 9 * 25


def test_counting_leaves_a_module_as_it_was():
    module = nn.Sequential(nn.Conv2d(1, 1, 1), nn.BatchNorm2d(1)).train()
    count_macs(module, 1, 4, 4)
    assert module.training and module[1].num_batches_tracked == 0
    assert not module[0]._forward_hooks


def test_frozen_parameters_do_not_count():
    module = nn.Linear(3, 4)
    module.weight.requires_grad_(False)
    assert count_params(module) == 4


def test_reductions_stand_at_one_and_two_thirds():
    for layers, expected in ((20, [6, 13]), (14, [4, 9]), (8, [2, 5]), (3, [1, 2]), (1, [0])):
        shapes = stack(even_layout(4, layers), 32)
        assert [i for i, s in enumerate(shapes) if s.reduction] == expected


def test_sides_halve_and_channels_double_at_reductions():
    shapes = stack(even_layout(36, 20), 32)
    assert [s.side for s in shapes][:1] == [32] and shapes[-1].side_out == 8
    assert shapes[-1].channels == 144
    imagenet = stack(even_layout(48, 14), 224)
    assert imagenet[0].side == 28 and imagenet[0].prev_reduction
    assert imagenet[-1].side_out == 7


SHAPE = dict(channels=4, layers=4, n_classes=10, in_channels=3)


@pytest.mark.parametrize("side", [12, 64])
def test_parts_add_up_to_the_whole_network(side):
    from moonas.nets.cell_network import CellNetwork

    cell = ((NAMES[3], 0), (NAMES[4], 1)) * 4
    network = CellNetwork(cell, cell, image_size=side, **SHAPE)
    parts = network_parts(cell, cell, image_size=side, **SHAPE)
    assert sum(count_params(part.build()) for part in parts) == count_params(network)
    found = 0
    for part in parts:
        module = part.build()
        if list(module.parameters()):
            found += count_macs(module, *part.shape)
    assert found == count_macs(network, 3, side, side)


def test_parts_of_a_space_cover_every_network_and_repeat_none():
    parts = space_parts(NAMES, 4, image_size=12, **SHAPE)
    keys = [part.key for part in parts]
    assert len(set(keys)) == len(keys)
    cell = tuple((name, 0) for name in NAMES[:8])
    used = {part.key for part in network_parts(cell, cell, image_size=12, **SHAPE)}
    assert used <= set(keys)


def test_stages_of_their_own_widths_with_reductions_between_them():
    layout = staged_layout((5, 6, 8), (2, 1, 3))
    wide = [(5, False)] * 2 + [(6, True), (6, False), (8, True)] + [(8, False)] * 3
    assert layout.cells == tuple(wide) and layout.stem == 5 and layout.last_reduction == 4
    sides = [shape.side_out for shape in stack(layout, 32)]
    assert sides == [32, 32, 16, 16, 8, 8, 8, 8]


def test_equal_stages_that_double_are_the_stack_of_darts():
    assert staged_layout((4, 8, 16), (3, 2, 3)) == even_layout(4, 10)


def test_a_network_of_stages_is_counted_as_it_is_built():
    cell = [("sep_conv_3x3", 0), ("eca_3x3", 1), ("skip_connect", 0), ("lbc_3x3", 2)]
    names = ["sep_conv_3x3", "eca_3x3", "skip_connect", "lbc_3x3"]
    layout = staged_layout((5, 6, 8), (2, 1, 1))
    shape = dict(layout=layout, n_classes=7, in_channels=1, image_size=9)
    operations = np.array([[[[0, 1], [2, 3]]] * 2])
    states = np.array([[[[0, 1], [0, 2]]] * 2])
    counted = CellCosts(names, n_nodes=2, **shape).count(operations, states)[0]
    network = CellNetwork(cell, cell, **shape)
    assert (count_params(network), count_macs(network, 1, 9, 9)) == tuple(counted)
    assert network(torch.zeros(2, 1, 9, 9)).shape == (2, 7)
    assert len(network_parts(cell, cell, **shape)) == 2 + 6 * (2 + 4)


def test_efficient_channel_attention_by_hand():
    module = build_operation("eca_3x3", 4, 1, affine_norm)
    with torch.no_grad():
        next(module.parameters()).copy_(torch.tensor([[[1.0, 0.0, -2.0]]]))
    x = torch.rand(2, 4, 5, 5)
    means = x.mean((2, 3))
    padded = torch.cat([torch.zeros(2, 1), means, torch.zeros(2, 1)], 1)
    gate = torch.sigmoid(padded[:, :-2] - 2 * padded[:, 2:])
    assert torch.allclose(module(x), x * gate[:, :, None, None])


def test_parts_are_equal_by_key_and_shape_whatever_makes_them():
    one, same = operation_part("skip_connect", 2, 1, 8), operation_part("skip_connect", 2, 1, 8)
    assert one.make is not same.make and one == same
    assert unique([one, same, operation_part("none", 2, 1, 8)])[0] is one
    assert one.key == "skip_connect 2-2 s1 8x8" and one.shape == (2, 8, 8)


@pytest.mark.parametrize("name", ["channels", "layers", "n_classes"])
def test_a_network_of_cells_has_at_least_one_of_each(name):
    with pytest.raises(ValueError, match=f"{name}=0 is invalid: expected at least 1"):
        CellNetworkShape(**{name: 0})
    assert CellNetworkShape(channels=4, layers=10).cells == staged_layout((4, 8, 16), (3, 2, 3))
