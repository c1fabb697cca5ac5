"""Scales, colors and files of figures."""

from itertools import pairwise

import matplotlib
import matplotlib.colors
import numpy as np
import pytest
from figures import assert_no_text_overlaps
from matplotlib.figure import Figure

import moonas
from moonas.files import picture_formats
from moonas.plot import colors, create_figure, look, needs_log, save_figure
from moonas.plot.style import INK, legend, number_formatter, scale_axis


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([1, 20], False),
        ([1, 20.1], True),
        ([5, 100.5], True),
        ([0, 100], False),
        ([-1, 100], False),
        ([0.001, 0.1, np.nan, np.inf], True),
        ([], False),
        ([np.nan], False),
        ([[1, 2], [3, 40]], True),
    ],
)
def test_values_that_span_more_than_a_factor_of_20_need_a_logarithmic_scale(values, expected):
    assert needs_log(values) is expected


def limits(values, **options):
    """Return the scale and the limits of a y-axis for values."""
    axes = Figure().subplots()
    scale_axis(axes.yaxis, values, **options)
    return axes.get_yscale(), axes.get_ylim()


def test_an_axis_starts_at_zero_unless_all_values_are_far_above_it():
    assert limits([4, 10], from_zero=True) == ("linear", (0, 10.5))
    assert limits([9, 10], from_zero=True) == ("linear", pytest.approx((8.95, 10.05)))
    assert limits([0, 0]) == ("linear", (0, 1))
    assert limits([4, 10]) == ("linear", pytest.approx((3.7, 10.3)))
    scale, (low, high) = limits([1, 100], from_zero=True)
    assert scale == "log" and 0.5 < low < 1 and 100 < high < 200


def test_ticks_of_values_that_differ_little_differ():
    axes = Figure(figsize=(5, 4)).subplots()
    scale_axis(axes.yaxis, [0.57361, 0.57392])
    axes.figure.draw_without_rendering()
    labels = [label.get_text() for label in axes.get_yticklabels()]
    assert len(set(labels)) == len(labels) > 2


@pytest.mark.parametrize(
    ("ticks", "expected"),
    [
        ([1000, 1025, 1050, 1100], "1k 1.025k 1.05k 1.1k"),
        ([10_000, 10_250, 10_500], "10k 10.25k 10.5k"),
        ([100, 102.5, 105], "100 102.5 105"),
        ([1_498_000, 1_499_000, 1_500_000], "1.498M 1.499M 1.5M"),
        ([-0.2, -0.1, 2.8e-17, 0.1, 0.1 + 0.2], "-0.2 -0.1 0 0.1 0.3"),
        ([0.5], "0.5"),
    ],
)
def test_ticks_have_the_digits_of_their_values(ticks, expected):
    assert number_formatter().format_ticks(ticks) == expected.split()


def luminance(color):
    """Return the relative luminance of a color in [0, 1], as WCAG defines it."""
    rgb = np.array(matplotlib.colors.to_rgb(color))
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


def test_colors_stand_out_on_white_and_on_dark_pages():
    for color in colors():
        value = luminance(color)
        assert 1.05 / (value + 0.05) >= 2 and (value + 0.05) / (luminance("#1d242a") + 0.05) >= 2


def test_consecutive_colors_differ_in_gray():
    lightness = [116 * luminance(color) ** (1 / 3) - 16 for color in colors()]
    assert (np.abs(np.diff(lightness)) >= 6).all()


def test_consecutive_looks_differ_without_colors():
    looks = [(look(i)["marker"], str(look(i)["linestyle"])) for i in range(12)]
    assert len(set(looks)) == 12
    for (marker, dashes), (next_marker, next_dashes) in pairwise(looks):
        assert marker != next_marker and dashes != next_dashes


@pytest.mark.parametrize("name", ["legend that is short", "a very long name of an algorithm"])
def test_a_legend_stays_within_the_figure(name):
    figure, axes = create_figure((4, 3))
    for i in range(4):
        axes.plot([0, 1], [i, i + 1], label=f"{name} {i}")
    assert legend(axes) is axes
    assert_no_text_overlaps(figure)


def test_a_legend_of_one_entry_is_left_out():
    axes = create_figure()[1]
    axes.plot([0, 1], label="only")
    assert legend(axes).get_legend() is None


def test_figures_are_drawn_without_pyplot_and_leave_settings_as_they_are():
    before = dict(matplotlib.rcParams)
    figure, axes = create_figure()
    moonas.plot.losses(axes, {"loss": ([1, 2], [3.0, 2.0])})
    assert dict(matplotlib.rcParams) == before
    assert axes.xaxis.label.get_color() == INK
    assert figure.canvas.manager is None


MAGIC = {"png": b"\x89PNG", "pdf": b"%PDF", "svg": b"<?xml"}


def make_figure():
    figure, axes = create_figure((2, 2))
    axes.plot([0, 1], label="a line")
    return figure


@pytest.fixture
def figure():
    return make_figure()


def test_a_figure_is_written_in_every_format_with_equal_bytes(figure, tmp_path):
    paths = save_figure(figure, tmp_path / "a.png", formats=list(MAGIC))
    assert [path.name for path in paths] == ["a.png", "a.pdf", "a.svg"]
    for path in paths:
        assert path.read_bytes().startswith(MAGIC[path.suffix[1:]])
    assert b"CreationDate" not in paths[1].read_bytes()
    again = make_figure()
    contents = [path.read_bytes() for path in paths]
    save_figure(again, tmp_path / "a.png", formats=list(MAGIC))
    assert [path.read_bytes() for path in paths] == contents


def test_the_suffix_chooses_the_format_unless_formats_are_set(figure, tmp_path):
    save_figure(figure, tmp_path / "a.pdf")
    save_figure(figure, tmp_path / "front-1.5")
    assert {path.name for path in tmp_path.iterdir()} == {"a.pdf", "front-1.5.png"}
    with picture_formats(["svg", "png"]):
        save_figure(figure, tmp_path / "b.png")
    save_figure(figure, tmp_path / "c.png")
    names = {path.name for path in tmp_path.iterdir()} - {"a.pdf", "front-1.5.png"}
    assert names == {"b.svg", "b.png", "c.png"}


def test_an_unknown_format_is_an_error(figure, tmp_path):
    with pytest.raises(ValueError, match="Unknown format 'jpg' of pictures; choose from"):
        save_figure(figure, tmp_path / "a.png", formats=["jpg"])
    with pytest.raises(ValueError, match="Unknown format 'jpg'"), picture_formats(["jpg"]):
        pass
