"""Learning curves of a full training."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from moonas.files import save_figure
from moonas.plot.progress import losses
from moonas.plot.style import ACCENT, create_figure

CURVES_FILE = "curves.png"
Curve = tuple[list[float], list[float]]  # epochs, values


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
    curve = _points(history, "fid")
    fids = curve if curve[0] else None
    if best_epoch is None and fids is not None:
        best_epoch = int(fids[0][fids[1].index(min(fids[1]))])
    panels: list[tuple[str, list[tuple[str, Curve]]]] = [
        ("FID", [("FID", curve)]),
        ("Inception Score", [("Inception Score", _points(history, "is_mean"))]),
        (
            "loss",
            [
                ("discriminator", _points(history, "d_loss")),
                ("generator", _points(history, "g_loss")),
            ],
        ),
    ]
    panels = [
        (label, curves) for label, curves in panels if any(epochs for _, (epochs, _) in curves)
    ]
    if not panels:
        return
    size = (5.2, 2.1 * len(panels) + 0.4)
    figure, grid = create_figure(size, rows=len(panels), sharex=True, squeeze=False)
    first = 0  # so that every curve of the figure has its own color, marker and dashes
    for axes, (label, curves) in zip(grid[:, 0], panels, strict=True):
        losses(axes, dict(curves), xlabel="", ylabel=label, first=first)
        first += len(curves)
        if best_epoch is not None:
            axes.axvline(best_epoch, color=ACCENT, linestyle=":", linewidth=1)
    if fids is not None:
        grid[0, 0].set_title(f"Feature network: {features}", loc="left")
    grid[-1, 0].set_xlabel("epoch" if best_epoch is None else "epoch (dotted: lowest FID)")
    save_figure(figure, folder / CURVES_FILE)


def _points(history: Sequence[Mapping[str, Any]], name: str) -> Curve:
    """Return the numbers of the epochs and the finite values of a metric."""
    values = ((epoch, metrics.get(name)) for epoch, metrics in enumerate(history, 1))
    found = [(float(epoch), float(v)) for epoch, v in values if v is not None and math.isfinite(v)]
    return [epoch for epoch, _ in found], [value for _, value in found]
