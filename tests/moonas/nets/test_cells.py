import pytest
import torch

from moonas.nets.cell_network import CellNetwork
from moonas.nets.cells import CellNetworkShape, cell_shapes, even_layout, staged_layout


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
