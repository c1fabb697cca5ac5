"""Learning curves of a full training."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from moonas.files import save_figure
from moonas.views.drawing import ACCENT, COLORS, INK

CURVES_FILE = "curves.png"


def save_curves(
    history: Sequence[Mapping[str, Any]],
    features: str,
    folder: Path,
    best_epoch: int | None = None,
) -> None:
    """Draw losses, FID and Inception Score by epoch to ``curves.png``.

    Args:
        history: metrics of each epoch: ``d_loss`` and ``g_loss`` and, after an evaluation, ``fid``
            and ``is_mean``. A panel without values is left out.
        features: name of the feature network.
        folder: folder that receives the file.
        best_epoch: number of epochs after which the generator was kept, which is marked; by
            default, the evaluation with the lowest FID.
    """
    fids = _points(history, "fid")
    if best_epoch is None and fids:
        best_epoch = min(fids, key=lambda point: point[1])[0]
    panels: list[tuple[str, list[tuple[str, list[tuple[int, float]]]]]] = [
        ("FID", [("FID", fids)]),
        ("Inception Score", [("Inception Score", _points(history, "is_mean"))]),
        (
            "loss",
            [
                ("discriminator", _points(history, "d_loss")),
                ("generator", _points(history, "g_loss")),
            ],
        ),
    ]
    panels = [(label, curves) for label, curves in panels if any(points for _, points in curves)]
    if not panels:
        return
    figure = Figure(figsize=(5.2, 2.1 * len(panels) + 0.4), layout="constrained", dpi=72)
    all_axes = figure.subplots(len(panels), sharex=True, squeeze=False)[:, 0]
    for axes, (label, curves) in zip(all_axes, panels, strict=True):
        for color, (name, points) in zip(COLORS, curves, strict=False):
            epochs, values = zip(*points, strict=True) if points else ((), ())
            style = "o-" if len(points) < len(history) else "-"
            axes.plot(epochs, values, style, color=color, markersize=3.5, label=name)
        if label == "FID":
            axes.set_yscale("log")
        if best_epoch is not None:
            axes.axvline(best_epoch, color=ACCENT, linestyle=":", linewidth=1)
        axes.set_ylabel(label, fontsize=9)
        axes.grid(alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
        if len(curves) > 1:
            axes.legend(frameon=False, fontsize=9)
    if fids:
        all_axes[0].set_title(f"Feature network: {features}", color=INK, loc="left", fontsize=10)
    all_axes[-1].xaxis.set_major_locator(MaxNLocator(integer=True))
    all_axes[-1].set_xlabel("epoch" if best_epoch is None else "epoch (dotted: lowest FID)")
    save_figure(figure, folder / CURVES_FILE)


def _points(history: Sequence[Mapping[str, Any]], name: str) -> list[tuple[int, float]]:
    """Return (number of the epoch, value) of the finite values of a metric."""
    values = ((epoch, metrics.get(name)) for epoch, metrics in enumerate(history, 1))
    return [(epoch, v) for epoch, v in values if v is not None and math.isfinite(v)]
