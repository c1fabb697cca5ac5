"""Pictures of fronts."""

import numpy as np
import pytest
from figures import assert_no_text_overlaps, text_boxes
from matplotlib.colors import to_rgba
from toy import Toy

import moonas
from moonas import plot
from moonas.pareto import Row, front_from_scores
from moonas.plot.fronts import PICKED, axis_title
from moonas.plot.style import ACCENT, INK
from moonas.problem import Column

EVALUATED = {"error": np.array([5.0, 20.0, 10.0, 30.0]), "params": np.array([9.0, 1.0, 4.0, 8.0])}


def make_front():
    """Return a front of the first three candidates, which are not sorted by params."""
    values = [{name: v[i] for name, v in EVALUATED.items()} for i in range(3)]
    return [Row(np.full(6, i), f"net {i}", v, v) for i, v in enumerate(values)]


def table_front(*objectives, n=200):
    """Return digits-table with these objectives, the columns of n networks and their front."""
    problem = moonas.load_problem("digits-table", objectives=objectives)
    X = problem.table.X[:: len(problem.table.X) // n][:n]
    columns = problem.table.look_up(X)
    return problem, columns, front_from_scores(problem, X, columns)


def points_of(axes, label):
    """Return the (n, 2) points of the only scatter plot with a label."""
    (found,) = (c for c in axes.collections if c.get_label() == label)
    return np.asarray(found.get_offsets())


def test_every_evaluated_candidate_and_every_row_has_a_point():
    problem, columns, rows = table_front("error", "params")
    _, axes = plot.create_figure()
    assert plot.front(axes, problem, rows, evaluated=columns) is axes
    drawn = points_of(axes, "evaluated")
    assert drawn.tolist() == np.column_stack([columns["params"], columns["error"]]).tolist()
    assert len(points_of(axes, "Pareto front")) == len(rows) > 5


def test_the_front_is_joined_by_steps_along_the_x_axis():
    axes = plot.front(plot.create_figure()[1], Toy(), make_front(), evaluated=EVALUATED)
    (line,) = axes.lines
    assert to_rgba(line.get_color()) == to_rgba(ACCENT) and line.get_drawstyle() == "steps-post"
    assert line.get_xydata().tolist() == [[1, 20], [4, 10], [9, 5]]


def ring_of(axes):
    (ring,) = (c for c in axes.collections if c.get_gid() == PICKED)
    return ring


def test_the_picked_row_has_a_ring_and_a_name():
    figure, axes = plot.create_figure()
    plot.front(axes, Toy(), make_front(), evaluated=EVALUATED, picked=2)
    ring = ring_of(axes)
    assert ring.get_offsets().tolist() == [[4, 10]]
    assert np.allclose(ring.get_edgecolor()[0], to_rgba(INK))
    assert "picked (row 2)" in [text for text, _ in text_boxes(figure)]


def test_the_ring_is_not_cut_at_an_error_of_zero():
    columns = {"error": np.array([0.0, 20.0]), "params": np.array([9.0, 1.0])}
    values = [{name: v[i] for name, v in columns.items()} for i in range(2)]
    rows = [Row(np.full(6, i), "net", v, v) for i, v in enumerate(values)]
    axes = plot.front(plot.create_figure()[1], Toy(), rows, evaluated=columns, picked=0)
    assert axes.get_ylim()[0] == 0 and not ring_of(axes).get_clip_on()


def test_errors_and_sizes_that_span_more_than_a_factor_of_20_have_logarithmic_scales():
    problem, columns, rows = table_front("error", "params")
    axes = plot.front(plot.create_figure()[1], problem, rows, evaluated=columns)
    assert np.ptp(np.log(columns["error"])) > np.log(20)
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")
    axes = plot.front(plot.create_figure()[1], Toy(), make_front(), evaluated=EVALUATED)
    assert (axes.get_xscale(), axes.get_yscale()) == ("linear", "linear")


def test_a_known_true_front_is_drawn():
    problem, _, rows = table_front("error", "params")
    axes = plot.front(plot.create_figure()[1], problem, rows[2:3])
    true = problem.pareto_front()[:, ::-1]
    assert points_of(axes, "true front").tolist() == true.tolist()
    for (low, high), values in zip((axes.get_xlim(), axes.get_ylim()), true.T, strict=True):
        assert low < values.min() and values.max() < high


def test_colors_and_a_bar_show_a_third_objective():
    problem, columns, rows = table_front("error", "params", "latency_ms")
    figure, axes = plot.create_figure()
    plot.front(axes, problem, rows, evaluated=columns)
    (found,) = (c for c in axes.collections if c.get_label() == "Pareto front")
    assert found.get_array().tolist() == [row.columns["latency_ms"] for row in rows]
    assert figure.axes[1].get_ylabel() == "latency (ms)"


def test_more_than_three_objectives_have_parallel_scales():
    problem, columns, rows = table_front("error", "params", "macs", "latency_ms")
    figure, axes = plot.create_figure((6.4, 4))
    assert plot.front(axes, problem, rows, evaluated=columns, picked=1) is axes
    lines = [line for line in axes.lines if len(line.get_xdata()) == 4]
    assert len(lines) == len(rows) + 1  # the picked row has another line on top
    heights = np.array([line.get_ydata() for line in lines])
    assert (heights.min(axis=0) == 0).all() and np.allclose(heights.max(axis=0), 1)
    texts = [text for text, _ in text_boxes(figure)]
    assert {"error (%), log", "latency (ms)", "picked (row 1)"} <= set(texts)
    assert_no_text_overlaps(figure)


def test_other_networks_are_marked_by_name():
    figure, axes = plot.create_figure()
    marks = {"CARS_A": {"error": 7.0, "params": 5.0}, "CARS_I": {"error": 25.0, "params": 2.0}}
    plot.front(axes, Toy(), make_front(), evaluated=EVALUATED, picked=0, marks=marks)
    assert {"CARS_A", "CARS_I"} <= {text for text, _ in text_boxes(figure)}
    drawn = [c.get_offsets().tolist() for c in axes.collections]
    assert [[5.0, 7.0]] in drawn and [[2.0, 25.0]] in drawn
    assert_no_text_overlaps(figure)


def test_names_of_near_networks_do_not_cover_each_other_and_have_lines_to_their_points():
    figure, axes = plot.create_figure()
    marks = {
        f"a-published-network-{i}": {"error": 12 + i / 10, "params": 5 - i / 10} for i in range(8)
    }
    plot.front(axes, Toy(), make_front(), evaluated=EVALUATED, picked=2, marks=marks)
    assert_no_text_overlaps(figure)
    names = [t for t in axes.texts if t.get_text()]
    lines = [t.xy for t in axes.texts if t.arrow_patch is not None]
    assert lines == [t.xy for t in names if np.hypot(*t.get_position()) > 16]
    assert 0 < len(lines) < len(names) == 9


@pytest.mark.parametrize("objectives", [("error", "params"), ("error", "macs", "latency_ms")])
def test_no_text_of_a_front_overlaps(objectives):
    problem, columns, rows = table_front(*objectives)
    for picked in (0, len(rows) // 2, len(rows) - 1):
        figure, axes = plot.create_figure()
        plot.front(axes, problem, rows, evaluated=columns, picked=picked)
        assert_no_text_overlaps(figure)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("n_obj", [2, 3, 4])
@pytest.mark.parametrize("value", [np.inf, np.nan])
def test_values_that_are_not_finite_are_left_out(n_obj, value):
    objectives = ("error", "params", "latency_ms", "macs")[:n_obj]
    problem, _, rows = table_front(*objectives)
    for name in objectives:
        broken = dict(rows[1].columns) | {name: value}
        changed = [rows[0], Row(rows[1].x, rows[1].architecture, broken, broken), *rows[2:]]
        for picked in (0, 1):
            figure, axes = plot.create_figure((6.4, 4))
            plot.front(axes, problem, changed, picked=picked, marks={"published": broken})
            assert_no_text_overlaps(figure)
        texts = [text for text, _ in text_boxes(figure)]
        assert ("picked (row 1)" in texts) == (n_obj == 3 and name == "latency_ms")


def test_an_empty_front_is_drawn():
    axes = plot.create_figure()[1]
    assert plot.front(axes, Toy(), []) is axes


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        (Column("error", "%"), "error (%)"),
        (Column("latency_ms", "ms"), "latency (ms)"),
        (Column("params", "parameters"), "parameters"),
        (Column("balanced_error", "%"), "balanced error (%)"),
        (Column("fid", "digits classifier"), "FID (digits classifier)"),
    ],
)
def test_the_title_of_an_axis_contains_the_unit(column, expected):
    assert axis_title(column) == expected
