"""A figure that shows the cells that stage 1 found and the course of the search."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure

from moonas.files import save_figure
from moonas.plot.graphs import graph as draw_graph
from moonas.plot.graphs import graph_size
from moonas.plot.style import ACCENT, INK, finish, scale_axis, styled

if TYPE_CHECKING:
    from .cell_search import CellSearchResult


@styled
def draw_search(result: CellSearchResult, path: Path) -> None:
    """Draw both cells, and plot loss and complexity over architecture steps.

    Args:
        result: result of stage 1.
        path: path of the PNG file.
    """
    graphs = result.cells.graphs()
    sizes = [graph_size(graph) for graph in graphs]
    width = max(9.0, sum(width for width, _ in sizes) + 0.5)
    height = max(height for _, height in sizes)
    figure = Figure(figsize=(width, height + 3.5), layout="constrained")
    ratios = [height, 3.5]
    top, bottom = figure.subfigures(2, 1, squeeze=False, height_ratios=ratios)[:, 0]
    for axes, graph in zip(
        top.subplots(1, 2, width_ratios=[width for width, _ in sizes]), graphs, strict=True
    ):
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
        (loss_axes, "losses", "validation loss"),
        (size_axes, "complexities", "change of expected params (%)"),
    ):
        axes.scatter(
            steps[~red],
            columns[name][~red],
            s=14,
            marker="o",
            color="#0072b2",
            label="black gradient",
        )
        axes.scatter(
            steps[red], columns[name][red], s=16, marker="^", color=ACCENT, label="red gradient"
        )
        for change in np.flatnonzero(np.diff(periods)):
            axes.axvline(change + 0.5, color=INK, lw=0.8, ls=":")
        axes.set_ylabel(title)
        axes.set_xlabel("architecture step (dotted line: start of a period)")
        finish(axes)
    scale_axis(loss_axes.yaxis, columns["losses"])
    handles, labels = size_axes.get_legend_handles_labels()
    bottom.legend(handles, labels, loc="outside upper center", ncols=2, frameon=False)
    save_figure(figure, path)
