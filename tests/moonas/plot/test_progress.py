"""Pictures of searches and trainings."""

import numpy as np
import pytest
from figures import assert_no_text_overlaps, text_boxes
from toy import Toy

from moonas import plot
from moonas.plot.progress import POPULATION
from moonas.views.losses import losses_caption, plot_losses


def test_the_hypervolume_is_drawn_as_steps():
    axes = plot.create_figure()[1]
    assert plot.hypervolume(axes, [8, 16, 24], [0.2, 0.5, 0.6]) is axes
    (line,) = axes.lines
    assert line.get_drawstyle() == "steps-post"
    assert line.get_xydata().tolist() == [[8, 0.2], [16, 0.5], [24, 0.6]]
    assert axes.get_xlim()[0] == 0 and axes.get_ylim()[1] <= 1


def test_the_latest_candidates_are_on_top():
    columns = {"error": np.array([3.0, 2.0, 1.0]), "params": np.array([1, 2, 3])}
    axes = plot.create_figure()[1]
    assert plot.travel(axes, Toy(), columns, [2, 1, 3]) is axes
    (dots,) = (c for c in axes.collections if c.get_gid() == POPULATION)
    assert dots.get_array().tolist() == [1, 2, 3]
    assert dots.get_offsets().tolist() == [[2, 2], [1, 3], [3, 1]]
    assert axes.figure.axes[1].get_ylabel() == "evaluations so far"


def test_phases_are_sorted_by_their_time_and_share_a_unit():
    figure, axes = plot.create_figure()
    assert plot.durations(axes, {"short": 9.0, "long": 300.0}) is axes
    assert [bar.get_width() for bar in axes.patches] == [5.0, 0.15]
    assert axes.get_xlabel() == "time (minutes)"
    assert {"5:00", "9 s"} <= {text for text, _ in text_boxes(figure)}
    assert_no_text_overlaps(figure)


def test_losses_that_fall_by_orders_have_a_logarithmic_scale():
    for last, scale in ((0.1, "linear"), (0.01, "log")):
        axes = plot.create_figure()[1]
        assert plot.losses(axes, {"loss": ([1, 2, 3], [1.0, np.nan, last])}) is axes
        assert axes.get_yscale() == scale
        assert axes.lines[0].get_xydata().tolist() == [[1, 1], [3, last]]


@pytest.mark.parametrize(
    ("n", "ticks"), [(1, [1]), (2, [1, 2]), (22, range(0, 25, 5)), (60, range(0, 70, 10))]
)
def test_ticks_of_losses_are_round_whole_numbers(n, ticks):
    axes = plot.create_figure()[1]
    epochs = list(range(1, n + 1))
    plot.losses(axes, {"loss": (epochs, [1 / e for e in epochs])})
    low, high = axes.get_xlim()
    assert [t for t in axes.get_xticks() if low <= t <= high] == [t for t in ticks if t <= high]


def train_record(request, **losses):
    return {"kind": "train", "request": request, "result": {"steps": 3} | losses}


def test_the_losses_of_both_networks_of_a_gan_are_drawn():
    records = [
        train_record({"who": "uniform"}, d_loss=6.0, g_loss=None),
        {"kind": "score", "request": {}, "result": {"loss": [1.0]}},
        train_record({"who": []}, d_loss=3.0, g_loss=-1.0),
        train_record({"who": []}, d_loss=2.0, g_loss=0.5),
    ]
    figure = plot_losses(records)
    (axes,) = figure.axes
    curves = {line.get_label(): line.get_xydata().tolist() for line in axes.lines}
    assert curves == {
        "discriminator": [[1, 6], [2, 3], [3, 2]],
        "generator": [[2, -1], [3, 0.5]],
    }
    assert axes.get_xlabel() == "training (1 is the warm-up)"
    assert losses_caption(records) == "Mean losses of each training."


def test_losses_of_epochs_are_named_so():
    records = [train_record({"epoch": i}, loss=1.0 / i) for i in (1, 2)]
    assert plot_losses(records).axes[0].get_xlabel() == "epoch"
    assert losses_caption(records) == "Mean losses of each epoch."


def test_a_single_training_has_no_picture_of_losses():
    assert plot_losses([train_record({"who": "uniform"}, loss=1.0)]) is None
    assert plot_losses([]) is None


def test_rows_of_images_are_drawn_below_each_other():
    rows = {"input": np.zeros((3, 4, 4)), "output": np.ones((3, 4, 4, 3))}
    figure, axes = plot.create_figure()
    assert plot.image_rows(axes, rows) is axes
    (image,) = axes.images
    assert image.get_array().shape == (12, 18, 3)  # a border of one pixel around each image
    assert image.get_array()[2, 2].tolist() == [0, 0, 0]
    assert image.get_array()[8, 2].tolist() == [1, 1, 1]
    assert [text for text, _ in text_boxes(figure)] == ["input", "output"]
