"""The losses of a run's trainings, read from its journal."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..files import save_figure
from ..plot.progress import losses
from ..plot.style import create_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FILE_NAME = "losses.png"
NAMES = {  # key of a loss -> its name in a legend
    "loss": "training loss",
    "d_loss": "discriminator",
    "g_loss": "generator",
    "gan_loss": "adversarial",
    "cycle_loss": "cycle consistency",
    "identity_loss": "identity",
}


def plot_losses(records: Sequence[Mapping[str, Any]]) -> Figure | None:
    """Plot the losses of all trainings of a run: by epoch or, of a search, by training.

    Args:
        records: records of the run's journal.

    Returns:
        The figure; None if fewer than two trainings have recorded a loss.
    """
    trainings = [record for record in records if record["kind"] == "train"]
    curves: dict[str, tuple[list[float], list[float]]] = {}
    for number, record in enumerate(trainings, 1):
        for key, value in record["result"].items():
            if key in NAMES and isinstance(value, int | float) and math.isfinite(value):
                epochs, values = curves.setdefault(NAMES[key], ([], []))
                epochs.append(number)
                values.append(float(value))
    if not any(len(epochs) > 1 for epochs, _ in curves.values()):
        return None
    figure, axes = create_figure()
    xlabel = "epoch" if _by_epoch(records) else "training (1 is the warm-up)"
    losses(axes, curves, xlabel=xlabel, ylabel="loss" if len(curves) > 1 else "training loss")
    return figure


def losses_caption(records: Sequence[Mapping[str, Any]]) -> str:
    """Return the caption of :func:`plot_losses`."""
    return f"Mean losses of each {'epoch' if _by_epoch(records) else 'training'}."


def _by_epoch(records: Sequence[Mapping[str, Any]]) -> bool:
    return all("epoch" in record["request"] for record in records if record["kind"] == "train")


def save_losses(folder: Path, records: Sequence[Mapping[str, Any]]) -> None:
    """Write losses.png into a run folder if its journal records trainings, see plot_losses."""
    figure = plot_losses(records)
    if figure is not None:
        save_figure(figure, folder / FILE_NAME)
