import pytest
import torch

from moonas.nets.cell_network import CellNetwork
from moonas.nets.cells import CellNetworkShape, even_layout, stack, staged_layout


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


def test_stages_of_their_own_widths_with_reductions_between_them():
    layout = staged_layout((5, 6, 8), (2, 1, 3))
    wide = [(5, False)] * 2 + [(6, True), (6, False), (8, True)] + [(8, False)] * 3
    assert layout.cells == tuple(wide) and layout.stem == 5 and layout.last_reduction == 4
    sides = [shape.side_out for shape in stack(layout, 32)]
    assert sides == [32, 32, 16, 16, 8, 8, 8, 8]


def test_equal_stages_that_double_are_the_stack_of_darts():
    assert staged_layout((4, 8, 16), (3, 2, 3)) == even_layout(4, 10)


@pytest.mark.parametrize("name", ["channels", "layers", "n_classes"])
def test_a_network_of_cells_has_at_least_one_of_each(name):
    with pytest.raises(ValueError, match=f"{name}=0 is invalid: expected at least 1"):
        CellNetworkShape(**{name: 0})
    assert CellNetworkShape(channels=4, layers=10).cells == staged_layout((4, 8, 16), (3, 2, 3))


@pytest.mark.parametrize("side", [8, 7])
def test_a_node_without_operations_is_zero_and_can_be_traced_for_any_batch(side):
    """Exports trace a network: no size in it may be a number of the traced batch."""
    dead = [("none", 0), ("none", 1), *[("skip_connect", 1), ("max_pool_3x3", 2)] * 3]
    shape = dict(channels=2, layers=3, n_classes=3, in_channels=1, image_size=side)
    network = CellNetwork(dead, dead, **shape).eval()
    traced = torch.fx.symbolic_trace(network)
    program = torch.export.export(
        network, (torch.rand(2, 1, side, side),), dynamic_shapes=({0: torch.export.Dim("n")},)
    ).module()
    for n in (1, 2, 5):
        images = torch.rand(n, 1, side, side)
        assert torch.equal(traced(images), network(images))
        assert torch.allclose(program(images), network(images), atol=1e-6)
    cell = network.cells[-1]
    states = []
    cell.register_forward_hook(lambda module, inputs, output: states.append(output))
    network(images)
    width = cell.shape.channels
    assert (states[0][:, :width] == 0).all() and states[0].shape[1] == 4 * width
