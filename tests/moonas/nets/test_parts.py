import pytest
from operation_names import OPERATION_NAMES

from moonas.nets.cell_network import CellNetwork
from moonas.nets.counting import count_macs, count_params
from moonas.nets.parts import network_parts, operation_part, space_parts, unique_parts

SHAPE = dict(channels=4, layers=4, n_classes=10, in_channels=3)


@pytest.mark.parametrize(
    ("side", "stem"),
    [(12, "auto"), (64, "auto"), (64, "from64"), (12, "large"), (64, "large"), (16, "small")],
)
def test_parameters_and_macs_of_a_network_are_the_sums_over_its_parts(side, stem):
    cell = ((OPERATION_NAMES[3], 0), (OPERATION_NAMES[4], 1)) * 4
    network = CellNetwork(cell, cell, image_size=side, stem=stem, **SHAPE)
    parts = network_parts(cell, cell, image_size=side, stem=stem, **SHAPE)
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


def test_both_stems_for_images_of_one_size_have_different_keys_in_a_latency_table():
    cell = (("none", 0), ("none", 1)) * 4

    def key(side, stem):
        return network_parts(cell, cell, image_size=side, stem=stem, **SHAPE)[0].key

    # tables of earlier versions contain the first two keys, for the stem of their rule, from64
    assert key(32, "from64") == key(32, "auto") == key(32, "small") == "stem 3-4 s1 32x32"
    assert key(64, "from64") == key(64, "large") == "stem 3-4 s1 64x64"
    assert key(64, "auto") == key(64, "small") == "small_stem 3-4 s1 64x64"
    assert key(32, "large") == "large_stem 3-4 s1 32x32"
