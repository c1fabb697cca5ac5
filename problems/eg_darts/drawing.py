"""A picture of found cells, and of how the search for them went."""

import numpy as np
from matplotlib.figure import Figure

from moonas.files import save_figure
from moonas.views.drawing import ACCENT, INK, QUIET, draw_graph


def draw(found, path):
    """Both cells, and loss and complexity by architecture step.

    Args:
        found: :class:`~moonas.problems.eg_darts.cell_search.FoundCells`.
        path: of the PNG.
    """
    figure = Figure(figsize=(11, 8), layout="constrained")
    top, bottom = figure.subfigures(2, 1, height_ratios=[3, 2])
    for axes, graph in zip(top.subplots(1, 2), found.cells.graphs(), strict=True):
        draw_graph(axes, graph)
    loss_axes, size_axes = bottom.subplots(1, 2, sharex=True)
    periods = [epoch["period"] for epoch in found.epochs for _ in epoch["losses"]]
    columns = {
        name: np.concatenate([epoch[name] for epoch in found.epochs])
        for name in ("losses", "complexities", "reds")
    }
    periods = np.array(periods)
    for period in np.unique(periods):
        size = columns["complexities"][periods == period]
        columns["complexities"][periods == period] = 100 * (size / size[0] - 1)
    steps, red = np.arange(len(periods)), columns["reds"].astype(bool)
    for axes, name, title in (
        (loss_axes, "losses", "validation loss of a batch"),
        (size_axes, "complexities", "expected parameters, since the period's first step (%)"),
    ):
        axes.scatter(steps[~red], columns[name][~red], s=9, color=QUIET, label="black gradient")
        axes.scatter(steps[red], columns[name][red], s=9, color=ACCENT, label="red gradient")
        for change in np.flatnonzero(np.diff(periods)):
            axes.axvline(change + 0.5, color=INK, lw=0.8, ls=":")
        axes.set_title(title, color=INK, loc="left")
        axes.set_xlabel("architecture step; dotted: the next period", color=INK)
        axes.grid(alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
    loss_axes.set_yscale("log")
    size_axes.legend(frameon=False)
    save_figure(figure, path, dpi=120)
