"""Pictures of comparisons and of trained classifiers."""

import numpy as np
import pytest
from figures import assert_no_text_overlaps, text_boxes

from moonas import plot
from moonas.plot.style import look

COUNTS = np.array([10, 20, 30])


def test_medians_are_steps_for_every_algorithm_with_its_own_look():
    values = np.array([[0.1, 0.2, 0.3], [0.2, 0.4, 0.5], [0.3, 0.6, 0.9]])
    axes = plot.create_figure()[1]
    curves = {"a": (COUNTS, values), "b": (COUNTS[:2], values[:, :2] / 2)}
    assert plot.convergence(axes, curves) is axes
    medians = [line for line in axes.lines if line.get_drawstyle() == "steps-post"]
    assert [line.get_ydata().tolist() for line in medians] == [[0.2, 0.4, 0.5], [0.1, 0.2]]
    assert [line.get_color() for line in medians] == [look(0)["color"], look(1)["color"]]
    assert axes.get_ylabel() == "hypervolume (share)"


def test_error_bars_reach_to_the_quartiles_at_different_places():
    values = np.linspace(0.1, 0.5, 5)[:, None] + np.zeros(3)
    axes = plot.create_figure()[1]
    plot.convergence(axes, {"a": (COUNTS, values), "b": (COUNTS, values)})
    places = []
    for bars in axes.containers:
        _, _, (lines,) = bars
        ends = np.array(lines.get_segments())
        assert np.allclose(ends[:, :, 1], [0.2, 0.4])
        places.append(set(ends[:, 0, 0]))
    assert len(places) == 2 and not places[0] & places[1]


def test_a_missing_share_of_zero_is_drawn_just_below_the_smallest_other_share():
    figure, axes = plot.create_figure()
    plot.convergence(axes, {"a": (COUNTS, np.array([[0.9, 0.99, 1 - 1e-15]]))}, missing=True)
    assert axes.get_yscale() == "log"
    *shares, zero = axes.lines[0].get_ydata()
    assert np.allclose(shares, [0.1, 0.01]) and 0.005 < zero < 0.008
    figure.draw_without_rendering()
    assert axes.get_yticklabels()[0].get_text() == "0"
    ticks = axes.get_yticks()
    assert ticks[0] == zero and ticks[1] >= 0.01
    assert_no_text_overlaps(figure)


def test_hypervolumes_that_are_not_known_are_left_out():
    values = np.array([[0.1, np.nan, 0.3], [0.1, 0.2, 0.3]])
    axes = plot.create_figure()[1]
    unknown = np.full((2, 3), np.nan)
    plot.convergence(axes, {"a": (COUNTS, values), "b": (COUNTS, unknown)}, missing=True)
    (median,) = (line for line in axes.lines if line.get_drawstyle() == "steps-post")
    assert median.get_xydata().tolist() == [[10, 0.9], [30, 0.7]]


def test_runs_that_all_miss_nothing_are_drawn_from_zero():
    axes = plot.create_figure()[1]
    plot.convergence(axes, {"a": (COUNTS, np.ones((2, 3)))}, missing=True)
    assert axes.get_yscale() == "linear" and axes.get_ylim()[0] == 0


def test_attainment_surfaces_and_the_true_front_are_drawn():
    surface = np.array([[50.0, 100.0], [5.0, 1000.0], [1.0, 30_000.0]])
    axes = plot.create_figure()[1]
    drawn = plot.attainment(axes, {"a": surface, "b": surface}, true_front=surface[:, :] * 0.9)
    assert drawn is axes
    first, second = (line for line in axes.lines if line.get_drawstyle() == "steps-post")
    assert first.get_linewidth() > second.get_linewidth()  # both are visible
    inner = first.get_xydata()[1:-1]
    assert inner.tolist() == surface[:, ::-1].tolist()
    (true,) = (c for c in axes.collections if c.get_label() == "true front")
    assert true.get_offsets().tolist() == (0.9 * surface[:, ::-1]).tolist()
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")


@pytest.mark.parametrize("name", ["a{}", "algorithm-{}", "a-very-long-name-of-an-algorithm-{}"])
def test_many_algorithms_leave_room_for_axes(name):
    names = [name.format(i) for i in range(20)]
    curve = COUNTS, np.array([[0.1, 0.2, 0.3], [0.2, 0.4, 0.5]])
    figure, axes = plot.create_figure(plot.size_with_legend(names))
    plot.convergence(axes, dict.fromkeys(names, curve))
    figure.draw_without_rendering()
    assert 2.6 < axes.get_window_extent().height / figure.dpi < 4.2  # inches
    assert_no_text_overlaps(figure)


def test_an_empty_attainment_surface_is_left_out_and_the_others_keep_their_looks():
    surface = np.array([[50.0, 100.0], [5.0, 1000.0]])
    axes = plot.create_figure()[1]
    plot.attainment(axes, {"a": np.empty((0, 2)), "b": surface})
    (line,) = axes.lines
    assert line.get_label() == "b" and line.get_color() == look(1)["color"]
    plot.attainment(plot.create_figure()[1], {"a": np.empty((0, 2))})


RANKS = [
    {"nsga2": 1.84, "spea2": 1.88, "moead": 2.9, "random": 3.4},
    {"a": 1.0, "b": 2.0},
    {"nsga2-local": 2.0, "nsga2": 2.0, "pareto-local-search": 2.0},
    {name: float(i) for i, name in enumerate(("agemoea", *"bcdefgh", "smsemoa"), 1)},
    {f"a-rather-long-name-{i}": float(i) for i in range(1, 21)},
    {f"m{i}": 1.0 + i / 2 for i in range(15)},
]


@pytest.mark.parametrize("mean_ranks", RANKS)
@pytest.mark.parametrize("critical", [0.3, 1.1, 4.0])
def test_no_text_of_ranks_overlaps_and_the_critical_difference_is_drawn(mean_ranks, critical):
    n = len(mean_ranks)
    figure, axes = plot.create_figure(plot.ranks_size(mean_ranks, critical))
    assert plot.ranks(axes, mean_ranks, critical) is axes
    assert_no_text_overlaps(figure)
    assert axes.get_window_extent().width / figure.dpi > max(1.7, 0.22 * n)  # inches
    texts = [text for text, _ in text_boxes(figure)]
    assert f"critical difference {critical:.2f}" in texts
    for name in mean_ranks:
        assert any(name in text.split() for text in texts)
    (bar,) = (line for line in axes.lines if set(line.get_ydata()) == {-1.0})
    assert np.ptp(bar.get_xdata()) == pytest.approx(min(critical, n - 1))


@pytest.mark.parametrize("mean_ranks", RANKS)
def test_no_stem_of_a_rank_crosses_a_name(mean_ranks):
    figure, axes = plot.create_figure(plot.ranks_size(mean_ranks, 1.1))
    plot.ranks(axes, mean_ranks, 1.1)
    names = [box for text, box in text_boxes(figure) if set(text.split()) & set(mean_ranks)]
    assert len(names) == len(mean_ranks)
    for line in axes.lines:
        path = line.get_path().interpolated(50).vertices
        pixels = axes.transData.transform(path)
        for box in names:
            inside = (pixels > [box.x0, box.y0]) & (pixels < [box.x1, box.y1])
            assert not inside.all(axis=1).any()


def test_the_agreement_of_two_measurements_has_the_line_of_equality():
    axes = plot.create_figure()[1]
    pairs = {"a": ([1.0, 2.0], [2.0, 3.0])}
    assert plot.agreement(axes, pairs, xlabel="x (%)", ylabel="y (%)") is axes
    assert axes.collections[0].get_offsets().tolist() == [[1, 2], [2, 3]]
    assert axes.lines[0].get_xydata().tolist() == [[1, 1], [3, 3]]


def test_a_bar_of_a_corruption_ends_at_the_largest_error():
    axes = plot.create_figure()[1]
    plot.corruptions(axes, {"model": {"contrast": [5.0, 7.0, 6.0]}}, {"model": 0.5})
    assert [bar.get_width() for bar in axes.patches] == [7.0]
    assert "largest" in axes.get_xlabel()


CORRUPTED = {"noise": [1.0, 2.0, 4.0], "gaussian_blur": [3.0, 6.0, 9.0]}


@pytest.mark.parametrize("n_models", [1, 3])
def test_the_error_at_every_strength_of_a_corruption_is_drawn(n_models):
    errors = {f"model {i}": CORRUPTED for i in range(n_models)}
    figure, axes = plot.create_figure()
    clean = dict.fromkeys(errors, 0.5)
    assert plot.corruptions(axes, errors, clean) is axes
    marks = [segment for c in axes.collections for segment in c.get_segments()]
    assert len(marks) == 6 * n_models
    assert sorted({segment[0, 0] for segment in marks}) == [1, 2, 3, 4, 6, 9]
    assert {bar.get_width() for bar in axes.patches} == {4.0, 9.0}
    assert (axes.get_legend() is None) == (n_models == 1)
    assert "%" in axes.get_xlabel() and not axes.xaxis.get_gridlines()[0].get_visible()
    assert_no_text_overlaps(figure)


def test_the_error_under_attack_has_axes_with_units():
    figure, axes = plot.create_figure((3.6, 3.6))
    strengths = (0.0, 0.01, 0.03, 0.05, 0.07, 0.1, 0.15)
    curve = {strength: 100 * strength for strength in strengths}
    assert plot.attack(axes, {"model": curve}) is axes
    assert axes.lines[0].get_xdata().tolist() == list(strengths)
    assert axes.get_ylabel() == "error (%)" and "share" in axes.get_xlabel()
    assert_no_text_overlaps(figure)


def test_a_confusion_matrix_shows_every_count():
    figure, axes = plot.create_figure()
    matrix = [[5, 1], [0, 4]]
    assert plot.confusion(axes, matrix, ["cat", "dog"]) is axes
    assert np.allclose(axes.images[0].get_array(), [[500 / 6, 100 / 6], [0, 100]])
    assert {"5", "1", "0", "4", "cat", "dog"} <= {text for text, _ in text_boxes(figure)}


def test_the_rates_of_a_roc_curve_are_evenly_spaced():
    axes = plot.create_figure((7, 4))[1]
    assert plot.roc(axes, {"label": [0, 50, 100]}) is axes
    assert axes.lines[0].get_xydata().tolist() == [[0, 0], [50, 50], [100, 100]]


def test_proxies_have_bars_for_saved_time_and_intervals_for_correlations():
    axes = plot.create_figure()[1]
    drawn = plot.proxies(
        axes, ["4", "8"], [0.9, 0.5], [0.6, 0.8], [[0.4, 0.7], [0.7, 0.9]], xlabel="channels"
    )
    assert drawn is axes
    assert [bar.get_height() for bar in axes.patches] == [0.9, 0.5]
