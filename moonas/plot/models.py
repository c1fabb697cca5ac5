"""Scores of trained classifiers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike

from .style import INK, finish, legend, look, number_formatter, styled

MOST_LABELED = 30  # classes whose names are drawn
MOST_COUNTED = 12  # classes whose numbers of images are drawn
HATCHES = ("", "///", "...", "xx", "\\\\\\", "++")


@styled
def corruptions(
    axes: Axes,
    errors: Mapping[str, Mapping[str, Sequence[float]]],
    clean: Mapping[str, float],
    *,
    legend_above: bool = True,
) -> Axes:
    """Draw the error of models under corruptions as bars with a mark for each strength.

    A bar ends at the largest error, which is usually that under the strongest corruption. A dotted
    line marks the error on clean images.

    Args:
        axes: axes to draw on.
        errors: model -> corruption -> error (%) at each strength, from weak to strong.
        clean: model -> error (%) on clean images.
        legend_above: whether to draw the legend of several models.

    Returns:
        ``axes``.
    """
    width = 0.8 / len(errors)
    names = list(next(iter(errors.values())))
    for i, (model, rows) in enumerate(errors.items()):
        color = look(i)["color"]
        positions = np.arange(len(names)) + (i - (len(errors) - 1) / 2) * width
        table = np.array([rows[name] for name in names], float)
        axes.barh(
            positions,
            table.max(axis=1),
            0.9 * width,
            color=color,
            alpha=0.45,
            hatch=HATCHES[i % len(HATCHES)],
            edgecolor="white",
            lw=0,
            label=model,
        )
        marks = np.repeat(positions, table.shape[1])
        ends = marks - 0.45 * width, marks + 0.45 * width
        axes.vlines(table.ravel(), *ends, color=INK, lw=0.8, zorder=3)
        axes.axvline(clean[model], color=color, lw=1.2, ls=":", zorder=1)
    axes.set_yticks(range(len(names)), [name.replace("_", " ") for name in names])
    text = "largest error (%); marks: each strength; dotted: clean"
    axes.set(xlabel=text, xlim=(0, None), ylim=(len(names) - 0.4, -0.6))
    axes.tick_params(axis="y", length=0)
    finish(axes, grid="none")
    return legend(axes) if legend_above else axes


@styled
def attack(axes: Axes, errors: Mapping[str, Mapping[float, float]]) -> Axes:
    """Draw the error of models over the strength of an adversarial attack.

    Args:
        axes: axes to draw on.
        errors: model -> strength of the attack, as a share of the range of pixels -> error (%).

    Returns:
        ``axes``.
    """
    for i, (model, curve) in enumerate(errors.items()):
        axes.plot(list(curve), list(curve.values()), label=model, clip_on=False, **look(i))
    axes.set(xlabel="attack strength (share of the pixel range)", ylabel="error (%)")
    axes.set(xlim=(0, None), ylim=(0, None))
    axes.xaxis.set_major_locator(MaxNLocator(4))
    axes.xaxis.set_major_formatter(number_formatter())
    finish(axes)
    return legend(axes)


@styled
def confusion(axes: Axes, matrix: ArrayLike, names: Sequence[str]) -> Axes:
    """Draw a confusion matrix; colors are shares of the images of a class.

    Args:
        axes: axes to draw on.
        matrix: (n, n) numbers of images by class (rows) and prediction (columns).
        names: names of the n classes.

    Returns:
        ``axes``.
    """
    counts = np.asarray(matrix)
    n = len(names)
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    image = axes.imshow(100 * shares, cmap="Blues", vmin=0, vmax=100)
    axes.grid(False)
    if n <= MOST_COUNTED:
        for (i, j), count in np.ndenumerate(counts):
            color = "#fdfdfd" if shares[i, j] > 0.5 else "#1a2530"
            axes.text(j, i, f"{count:,}", ha="center", va="center", fontsize=8, color=color)
    if n <= MOST_LABELED:
        axes.set_xticks(range(n), list(names), rotation=45, ha="right", rotation_mode="anchor")
        axes.set_yticks(range(n), list(names))
    axes.set(xlabel="prediction", ylabel="class")
    figure = axes.get_figure()
    assert figure is not None
    bar = figure.colorbar(image, ax=axes, label="images of the class (%)", shrink=0.8)
    bar.outline.set_visible(False)
    return axes


@styled
def roc(axes: Axes, curves: Mapping[str, Sequence[float]]) -> Axes:
    """Draw ROC curves (figure 13b of NSGANetV1), with a legend on the right.

    Args:
        axes: axes to draw on.
        curves: name of a label -> true positive rates (%) at n evenly spaced false positive rates
            from 0 to 100 %.

    Returns:
        ``axes``.
    """
    for i, (name, rates) in enumerate(curves.items()):
        style = look(i) | {"marker": None}
        false_positives = np.linspace(0, 100, len(rates))
        axes.plot(false_positives, rates, lw=1.4, label=name, clip_on=False, **style)
    axes.plot([0, 100], [0, 100], color="#9aa5ad", lw=0.8, ls=":", label="chance")
    axes.set(xlim=(0, 100), ylim=(0, 101), aspect="equal")
    axes.set(xlabel="false positive rate (%)", ylabel="true positive rate (%)")
    finish(axes)
    axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1), borderaxespad=0, title="label (AUROC)")
    return axes
