"""A figure that shows the cells that stage 1 found and the course of the search."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure

from moonas.files import save_figure
from moonas.views.drawing import ACCENT, INK, QUIET, draw_graph

if TYPE_CHECKING:
    from .cell_search import CellSearchResult


def draw_search(result: CellSearchResult, path: Path) -> None:
    """Draw both cells, and plot loss and complexity over architecture steps.

    Args:
        result: result of stage 1.
        path: path of the PNG file.
    """
    figure = Figure(figsize=(11, 8), layout="constrained")
    top, bottom = figure.subfigures(2, 1, squeeze=False, height_ratios=[3, 2])[:, 0]
    for axes, graph in zip(top.subplots(1, 2), result.cells.graphs(), strict=True):
        draw_graph(axes, graph)
    loss_axes, size_axes = bottom.subplots(1, 2, sharex=True)
    periods = np.array([epoch["period"] for epoch in result.epochs for _ in epoch["losses"]])
    columns = {
        name: np.concatenate([epoch[name] for epoch in result.epochs])
        for name in ("losses", "complexities", "reds")
    }
    for period in np.unique(periods):
        size = columns["complexities"][periods == period]
        columns["complexities"][periods == period] = 100 * (size / size[0] - 1)
    steps, red = np.arange(len(periods)), columns["reds"].astype(bool)
    for axes, name, title in (
        (loss_axes, "losses", "validation loss of each batch"),
        (size_axes, "complexities", "change of the expected number of parameters in a period (%)"),
    ):
        axes.scatter(steps[~red], columns[name][~red], s=9, color=QUIET, label="black gradient")
        axes.scatter(steps[red], columns[name][red], s=9, color=ACCENT, label="red gradient")
        for change in np.flatnonzero(np.diff(periods)):
            axes.axvline(change + 0.5, color=INK, lw=0.8, ls=":")
        axes.set_title(title, color=INK, loc="left")
        axes.set_xlabel("architecture step (dotted line: start of a period)", color=INK)
        axes.grid(alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
    loss_axes.set_yscale("log")
    size_axes.legend(frameon=False)
    save_figure(figure, path, dpi=120)
