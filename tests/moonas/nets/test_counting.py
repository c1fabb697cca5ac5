import numpy as np
import torch
from torch import nn

from moonas.nets.cell_network import CellNetwork
from moonas.nets.cells import staged_layout
from moonas.nets.counting import CellCosts, count_macs, count_params
from moonas.nets.parts import network_parts


def test_counted_macs_equal_macs_computed_by_hand():
    conv = nn.Conv2d(3, 8, 3, stride=2, padding=1)  # 8 * 3 * 9 weights at 4 x 4 pixels
    assert count_macs(conv, 3, 8, 8) == 8 * 3 * 9 * 16
    deconv = nn.ConvTranspose2d(4, 2, 3, stride=2)  # 4 * 2 * 9 weights at 5 x 5 input pixels
    assert count_macs(deconv, 4, 5, 5) == 4 * 2 * 9 * 25
    assert count_macs(nn.Sequential(nn.Flatten(), nn.Linear(12, 7)), 3, 2, 2) == 84
    depthwise = nn.Conv2d(6, 6, 3, padding=1, groups=6)
    assert count_macs(depthwise, 6, 5, 5) == 6 * 9 * 25


def test_counting_macs_does_not_change_the_module():
    module = nn.Sequential(nn.Conv2d(1, 1, 1), nn.BatchNorm2d(1)).train()
    count_macs(module, 1, 4, 4)
    assert module.training and module[1].num_batches_tracked == 0
    assert not module[0]._forward_hooks


def test_frozen_parameters_are_not_counted():
    module = nn.Linear(3, 4)
    module.weight.requires_grad_(False)
    assert count_params(module) == 4


def test_closed_form_costs_of_a_staged_network_equal_the_counted_costs():
    cell = [("sep_conv_3x3", 0), ("eca_3x3", 1), ("skip_connect", 0), ("lbc_3x3", 2)]
    names = [name for name, _ in cell]
    layout = staged_layout((5, 6, 8), (2, 1, 1))
    shape = dict(layout=layout, n_classes=7, in_channels=1, image_size=9)
    operations = np.array([[[[0, 1], [2, 3]]] * 2])
    states = np.array([[[[0, 1], [0, 2]]] * 2])
    counted = CellCosts(names, n_nodes=2, **shape).count(operations, states)[0]
    network = CellNetwork(cell, cell, **shape)
    assert (count_params(network), count_macs(network, 1, 9, 9)) == tuple(counted)
    assert network(torch.zeros(2, 1, 9, 9)).shape == (2, 7)
    assert len(network_parts(cell, cell, **shape)) == 2 + 6 * (2 + 4)
