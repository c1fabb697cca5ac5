"""Stage 1 of EG-DARTS: a gradient-based search for cells (sections III-B, III-C and IV-C).

As in P-DARTS, the search has several periods, each with a new network and new architecture
parameters. The network is deeper in each period than in the previous one, and each edge keeps fewer
candidate operations, until it has one. At the start of a period only the weights are updated.
Later, an update of the architecture parameters on a validation batch precedes each weight update on
a training batch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from moonas.data import checksums, describe
from moonas.evaluators.measures import classifier_measures
from moonas.files import write_json
from moonas.nets.cells import staged_layout
from moonas.nets.devices import resolve_device
from moonas.run.folders import last_run
from moonas.run.front_file import find_row, read_front_csv
from moonas.run.monitor import TrainingMonitor
from moonas.run.stage import TrainingStage
from moonas.spaces.genotype import Cells

from . import cell_space, drawing
from .cells import CELLS_FILE
from .relaxation import Relaxation
from .settings import CellSettings
from .space import Architecture


def build(**options: Any) -> CellSearch:
    """Return a search for cells; ``options`` are fields of :class:`CellSettings`."""
    settings = CellSettings(**options)
    if settings.target_run is not None:
        network = read_picked_network(settings.target_run)
        settings = replace(settings, widths=network.widths, depths=network.depths, target_run=None)
    return CellSearch(settings)


def read_picked_network(folder: str | Path) -> Architecture:
    """Read the depth and width that a search for networks picked.

    Args:
        folder: run folder of ``eg-darts``, or of a whole search with both stages.

    Raises:
        ValueError: the folder is not the run folder of a completed search for networks.
    """
    folder, name = last_run(folder)
    if name != "eg-darts":
        raise ValueError(f"{folder} is a run of {name}; expected the run folder of eg-darts.")
    rows = read_front_csv(folder)
    row = rows[find_row(rows, "knee", error="error", size="params")]
    return Architecture(*(tuple(row.architecture[key]) for key in ("widths", "depths")))


@dataclass(frozen=True)
class CellSearchResult:
    """Result of a search for cells.

    Args:
        cells: cells derived from the architecture parameters.
        epochs: one dict per epoch, with ``period`` and ``epoch`` (numbers from 0) and the entries
            that :meth:`.relaxation.Relaxation.train` returns.
    """

    cells: Cells
    epochs: list[dict[str, Any]]


class CellSearch(TrainingStage):
    """Stage 1 of EG-DARTS; ``run(seed)`` returns a :class:`CellSearchResult`.

    Args:
        settings: settings of the search.
    """

    settings: CellSettings
    description = "cells by gradient"

    def __init__(self, settings: CellSettings) -> None:
        self.settings = settings
        self.info = describe(settings.data, **settings.image_form)
        self.inputs = checksums(self.info)
        self.device = resolve_device(settings.device)
        self.shape: dict[str, Any] = dict(
            channels=settings.channels,
            n_classes=self.info.n_classes,
            in_channels=self.info.channels,
            image_size=self.info.side,
            stem=settings.stem,
        )
        if settings.widths:
            self.shape["layout"] = staged_layout(settings.widths, settings.depths)

    def network_shape(self, period: int) -> dict[str, Any]:
        """Return the keyword arguments that determine the shape of a period's proxy network."""
        return self.shape | {"layers": self.settings.layers[period]}

    def run(self, seed: int) -> CellSearchResult:
        """Search for cells; resume if the journal contains an interrupted search.

        Args:
            seed: seed of the run.

        Raises:
            SearchFailed: the proxy network diverges.
        """
        s = self.settings
        self.begin(seed)
        relaxation = Relaxation(self, seed)
        candidates = cell_space.all_candidates()
        epochs: list[dict[str, Any]] = []
        measures = classifier_measures(self.info, "error", title="validation error")
        monitor = TrainingMonitor(measures, self.session.callbacks)
        phase, total = "searching for cells", len(s.candidates) * s.epochs
        for period, k in enumerate(s.candidates):
            if epochs:
                alphas = epochs[-1]["alphas"]
                candidates = cell_space.strongest_candidates(alphas, candidates, k)
            relaxation.start(period, candidates)
            self.log(
                f"Period {period + 1} of {len(s.candidates)}: {len(relaxation.net.cells)} cells, "
                f"{k} candidates per edge."
            )
            for epoch in range(s.epochs):
                self.report_progress(phase, len(epochs), total, "epochs")
                request = {"period": period, "epoch": epoch}
                report = self.recorded("train", request, relaxation.train, relaxation, saves=True)
                epochs.append(request | report)
                self.log(_log_line(epochs[-1], judged=s.enhanced or s.judged_step == "last"))
            monitor.update_from_report(epochs[-1])
        self.report_progress(phase, total, total, "epochs")
        cells = cell_space.derive_cells(epochs[-1]["alphas"], candidates, s.skip_limit)
        return CellSearchResult(cells, epochs)

    def report(self, result: CellSearchResult, folder: Path) -> list[str]:
        """Write ``cells.json`` and ``cells.png`` to a folder; return the lines to print."""
        cells = result.cells
        genotype = {"normal": cells.normal, "reduce": cells.reduction}
        write_json(folder / CELLS_FILE, {"cells": cells.text} | genotype)
        drawing.draw_search(result, folder / "cells.png")
        return [f"Normal cell / reduction cell: {cells}"]


def _log_line(epoch: Mapping[str, Any], judged: bool) -> str:
    """Return the line of an epoch; ``judged``: whether gradients were red or black."""
    n_steps = len(epoch["reds"])
    steps = "only weights trained"
    if n_steps:
        reds = f"{np.sum(epoch['reds']):.0f} of {n_steps} gradients red"
        steps = reds if judged else f"{n_steps} architecture steps"
    return (
        f"  epoch {epoch['epoch'] + 1:>2}: loss {epoch['loss']:.3f}, validation error "
        f"{epoch['error']:.2f} %, expected params {epoch['complexity']:,.0f}, {steps}"
    )
