import pytest
from operation_names import OPERATION_NAMES

from moonas.nets.cell_network import CellNetwork
from moonas.nets.counting import count_macs, count_params
from moonas.nets.parts import network_parts, operation_part, space_parts, unique_parts

SHAPE = dict(channels=4, layers=4, n_classes=10, in_channels=3)


@pytest.mark.parametrize("side", [12, 64])
def test_parameters_and_macs_of_a_network_are_the_sums_over_its_parts(side):
    cell = ((OPERATION_NAMES[3], 0), (OPERATION_NAMES[4], 1)) * 4
    network = CellNetwork(cell, cell, image_size=side, **SHAPE)
    parts = network_parts(cell, cell, image_size=side, **SHAPE)
    assert sum(count_params(part.build()) for part in parts) == count_params(network)
    macs = 0
    for part in parts:
        module = part.build()
        if list(module.parameters()):
            macs += count_macs(module, *part.shape)
    assert macs == count_macs(network, 3, side, side)


def test_the_parts_of_a_space_are_distinct_and_include_the_parts_of_a_network():
    parts = space_parts(OPERATION_NAMES, 4, image_size=12, **SHAPE)
    keys = [part.key for part in parts]
    assert len(set(keys)) == len(keys)
    cell = tuple((name, 0) for name in OPERATION_NAMES[:8])
    used = {part.key for part in network_parts(cell, cell, image_size=12, **SHAPE)}
    assert used <= set(keys)


def test_parts_with_the_same_key_and_shape_are_equal():
    first, second = operation_part("skip_connect", 2, 1, 8), operation_part("skip_connect", 2, 1, 8)
    assert first.make is not second.make and first == second
    assert unique_parts([first, second, operation_part("none", 2, 1, 8)])[0] is first
    assert first.key == "skip_connect 2-2 s1 8x8" and first.shape == (2, 8, 8)
