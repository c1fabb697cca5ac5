import pytest

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
