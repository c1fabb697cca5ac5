"""Stage 1 of EG-DARTS: a gradient-based search for cells (sections III-B, III-C and IV-C).

As in P-DARTS, the search has several periods, each with a new network and new architecture
parameters. The network is deeper in each period than in the previous one, and each edge keeps fewer
candidate operations, until it has one. At the start of a period only the weights are updated.
Later, an update of the architecture parameters on a validation batch precedes each weight update on
a training batch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from moonas.data import checksums, describe
from moonas.files import write_json
from moonas.nets.devices import resolve_device
from moonas.run.stage import TrainingStage, read_stage_result
from moonas.spaces.genotype import Cells

from . import cell_space, drawing
from .relaxation import Relaxation
from .settings import CellSettings

CELLS_FILE = "cells.json"


def build(**options: Any) -> CellSearch:
    """Return a search for cells; ``options`` are fields of :class:`CellSettings`."""
    return CellSearch(CellSettings(**options))


def read_cells(folder: str | Path) -> Cells:
    """Read the cells that a run of stage 1 wrote.

    Args:
        folder: run folder of stage 1.

    Raises:
        ValueError: ``cells.json`` is missing or damaged.
    """

    def parse(content: Mapping[str, Any]) -> Cells:
        return cell_space.cells_from_text(content["cells"])

    cells: Cells = read_stage_result(folder, CELLS_FILE, "eg-darts-cells", parse)
    return cells


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
        self.info = describe(settings.data, settings.image_size)
        self.inputs = checksums(self.info)
        self.device = resolve_device(settings.device)
        self.shape: dict[str, Any] = dict(
            channels=settings.channels,
            n_classes=self.info.n_classes,
            in_channels=self.info.channels,
            image_size=self.info.side,
        )

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
        phase, total = "searching for cells", len(s.candidates) * s.epochs
        for period, k in enumerate(s.candidates):
            if epochs:
                alphas = epochs[-1]["alphas"]
                candidates = cell_space.strongest_candidates(alphas, candidates, k)
            relaxation.start(period, candidates)
            self.log(
                f"Period {period + 1} of {len(s.candidates)}: {s.layers[period]} cells, "
                f"{k} candidates per edge."
            )
            for epoch in range(s.epochs):
                self.report_progress(phase, len(epochs), total, "epochs")
                request = {"period": period, "epoch": epoch}
                report = self.recorded("train", request, relaxation.train, relaxation, saves=True)
                epochs.append(request | report)
                self.log(_log_line(epochs[-1]))
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


def _log_line(epoch: Mapping[str, Any]) -> str:
    n_steps = len(epoch["reds"])
    steps = "only weights trained"
    if n_steps:
        steps = f"{np.sum(epoch['reds']):.0f} of {n_steps} gradients red"
    return (
        f"  epoch {epoch['epoch'] + 1:>2}: loss {epoch['loss']:.3f}, validation error "
        f"{epoch['error']:.2f} %, expected params {epoch['complexity']:,.0f}, {steps}"
    )
