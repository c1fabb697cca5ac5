"""The figure of a Pareto front."""

import numpy as np
from toy import Toy

from moonas.pareto import Row
from moonas.views.drawing import ACCENT, INK
from moonas.views.front import plot_front

POPULATION_COLUMNS = {
    "error": np.array([5.0, 20.0, 10.0, 30.0]),
    "params": np.array([9.0, 1.0, 4.0, 8.0]),
}


def make_front():
    """Return a front of the first three candidates, which are not sorted by params."""
    values = [{name: v[i] for name, v in POPULATION_COLUMNS.items()} for i in range(3)]
    return [Row(np.full(6, i), f"net {i}", v, v) for i, v in enumerate(values)]


def test_the_line_through_a_front_is_sorted_along_the_x_axis():
    axes = plot_front(Toy(), POPULATION_COLUMNS, make_front())[0].axes[0]
    (line,) = axes.lines
    assert line.get_color() == ACCENT
    assert line.get_xydata().tolist() == [[1, 20], [4, 10], [9, 5]]


def test_the_ring_marks_the_picked_row():
    axes = plot_front(Toy(), POPULATION_COLUMNS, make_front(), picked=2)[0].axes[0]
    population, front, ring = axes.collections
    assert population.get_offsets().tolist() == [[9, 5], [1, 20], [4, 10], [8, 30]]
    assert front.get_offsets().tolist() == [[9, 5], [1, 20], [4, 10]]
    assert ring.get_offsets().tolist() == [[4, 10]] and ring.get_label() == "picked"
    assert np.allclose(
        ring.get_edgecolor()[0, :3], [int(INK[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    )


def test_the_tooltip_of_a_row_contains_its_finite_columns_and_its_architecture():
    _, points = plot_front(Toy(), POPULATION_COLUMNS, make_front())
    assert [(p.x, p.y) for p in points] == [(9, 5), (1, 20), (4, 10)]
    assert points[1].tip.splitlines() == ["error (%): 20.00", "params: 1", "net 1"]
