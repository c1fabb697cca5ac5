import pytest
import torch

from moonas.evaluators import settings
from moonas.nets import cells
from moonas.nets.cell_network import CellNetwork
from moonas.nets.cells import (
    CellNetworkShape,
    cell_shapes,
    even_layout,
    has_large_stem,
    staged_layout,
)


def test_reduction_cells_are_at_one_and_two_thirds_of_the_depth():
    for layers, expected in ((20, [6, 13]), (14, [4, 9]), (8, [2, 5]), (3, [1, 2]), (1, [0])):
        shapes = cell_shapes(even_layout(4, layers), 32)
        assert [i for i, s in enumerate(shapes) if s.reduction] == expected


def test_reduction_cells_halve_the_side_and_double_the_channels():
    shapes = cell_shapes(even_layout(36, 20), 32)
    assert shapes[0].side == 32 and shapes[-1].side_out == 8
    assert shapes[-1].channels == 144
    imagenet = cell_shapes(even_layout(48, 14), 224)
    assert imagenet[0].side == 28 and imagenet[0].prev_reduction
    assert imagenet[-1].side_out == 7


def test_the_stem_depends_on_the_rule_and_the_size_of_the_images():
    sides = [8, 32, 63, 64, 127, 128, 224]
    large = {name: [side for side in sides if has_large_stem(name, side)] for name in cells.STEMS}
    assert large == {"auto": [128, 224], "small": [], "large": sides, "from64": [64, 127, 128, 224]}
    assert tuple(cells.STEMS) == settings.STEMS
    with pytest.raises(ValueError, match=r"stem='huge' is unknown; choose from \['auto', 'small'"):
        CellNetworkShape(stem="huge")


@pytest.mark.parametrize(
    ("side", "stem", "first", "last"),
    [
        *[(64, "auto", 64, 16), (64, "large", 8, 2), (64, "from64", 8, 2)],
        *[(96, "auto", 96, 24), (96, "from64", 12, 3), (224, "auto", 28, 7), (32, "auto", 32, 8)],
        *[(32, "large", 4, 1), (224, "small", 224, 56)],
    ],
)
def test_the_large_stem_divides_the_side_of_the_cells_by_8(side, stem, first, last):
    shapes = CellNetworkShape(layers=3, image_size=side, stem=stem).cell_shapes()
    assert (shapes[0].side, shapes[-1].side_out) == (first, last)
    cell = [("skip_connect", 0), ("max_pool_3x3", 1)] * 4
    network = CellNetwork(cell, cell, channels=2, layers=3, image_size=side, stem=stem)
    sizes = []
    for module in network.cells:
        module.register_forward_hook(lambda module, inputs, out: sizes.append(out.shape[-1]))
    network(torch.zeros(2, 3, side, side))
    assert sizes[-1] == last and (network.stem.second is None) == (first == side)


def test_all_stages_except_the_first_start_with_a_reduction_cell():
    layout = staged_layout((5, 6, 8), (2, 1, 3))
    expected = [(5, False)] * 2 + [(6, True), (6, False), (8, True)] + [(8, False)] * 3
    assert layout.cells == tuple(expected) and layout.stem == 5 and layout.last_reduction == 4
    sides = [shape.side_out for shape in cell_shapes(layout, 32)]
    assert sides == [32, 32, 16, 16, 8, 8, 8, 8]


def test_a_layout_with_stages_that_double_the_width_equals_the_layout_of_darts():
    layout = staged_layout((4, 8, 16), (3, 2, 3))
    assert layout == even_layout(4, 10) == CellNetworkShape(channels=4, layers=10).cells


@pytest.mark.parametrize("name", ["channels", "layers", "n_classes"])
def test_fewer_than_1_channel_layer_or_class_is_rejected(name):
    with pytest.raises(ValueError, match=f"{name}=0 is invalid: expected at least 1"):
        CellNetworkShape(**{name: 0})


@pytest.mark.parametrize("side", [8, 7])
def test_a_node_without_operations_is_zero_and_is_exported_with_a_dynamic_batch_size(side):
    edges = [("none", 0), ("none", 1), ("skip_connect", 1), ("max_pool_3x3", 2)]
    shape = dict(channels=2, layers=3, n_classes=3, in_channels=1, image_size=side)
    network = CellNetwork(edges, edges, **shape).eval()
    traced = torch.fx.symbolic_trace(network)
    program = torch.export.export(
        network, (torch.rand(2, 1, side, side),), dynamic_shapes=({0: torch.export.Dim("n")},)
    ).module()
    for n in (1, 2, 5):
        images = torch.rand(n, 1, side, side)
        assert torch.equal(traced(images), network(images))
        assert torch.allclose(program(images), network(images), atol=1e-6)
    cell = network.cells[-1]
    outputs = []
    cell.register_forward_hook(lambda module, inputs, output: outputs.append(output))
    network(images)
    width = cell.shape.channels
    assert (outputs[0][:, :width] == 0).all() and outputs[0].shape[1] == 2 * width
