"""Stage 1 of EG-DARTS: cells by gradient (sections III-B, III-C and IV-C).

Three periods, each with a fresh network and fresh architecture parameters, after P-DARTS: the
network gets deeper, and of the candidates of an edge the strongest stay, until one is left. In each
period the weights train alone at first; then every step on a batch of training images comes behind
a step of the architecture parameters on a batch of validation images.
"""

from dataclasses import dataclass

import numpy as np

from moonas.data import checksums, describe
from moonas.files import write_json
from moonas.nets.devices import resolve_device
from moonas.run.stage import TrainingStage, read_stage_result
from moonas.spaces.genotype import Cells

from . import cell_space, drawing
from .relaxation import Relaxation
from .settings import CellSettings

FILE = "cells.json"


def build(**options):
    """The search for cells; ``options`` are fields of :class:`CellSettings`."""
    return CellSearch(CellSettings(**options))


def read_cells(folder):
    """The cells that a run of this stage has left in its folder.

    Raises:
        ValueError: there are none, or the file is damaged.
    """

    def parse(found):
        return cell_space.cells_of_text(found["cells"])

    return read_stage_result(folder, FILE, "eg-darts-cells", parse)


@dataclass(frozen=True)
class FoundCells:
    """What a search for cells ended with.

    Args:
        cells: that the architecture parameters lead to.
        epochs: list of dicts, what each epoch reported: period, epoch, loss, error (% of the
            relaxed network on the validation images; less AUROC where images have several labels),
            complexity (expected params at its end), and
            by architecture step complexities, losses, phis and reds; see
            :meth:`.relaxation.Relaxation.train`.
    """

    cells: Cells
    epochs: list


class CellSearch(TrainingStage):
    """The first stage of EG-DARTS; ``run(seed=1)`` gives :class:`FoundCells`."""

    description = "cells by gradient"

    def __init__(self, settings):
        self.settings = settings
        self.info = describe(settings.data, settings.image_size)
        self.inputs = checksums(self.info)
        self.device = resolve_device(settings.device)
        self.shape = dict(
            channels=settings.channels,
            n_classes=self.info.n_classes,
            in_channels=self.info.channels,
            image_size=self.info.side,
        )

    def run(self, seed):
        """Search, or go on with what the journal holds.

        Args:
            seed: of the run.

        Returns:
            :class:`FoundCells`.

        Raises:
            SearchFailed: the network diverges.
        """
        s = self.settings
        self.begin(seed)
        relaxation = Relaxation(self, seed)
        candidates, epochs = cell_space.all_candidates(), []
        phase, total = "searching for cells", len(s.candidates) * s.epochs
        for period, k in enumerate(s.candidates):
            if epochs:
                candidates = cell_space.keep_strongest(epochs[-1]["alphas"], candidates, k)
            relaxation.start(period, candidates)
            self.log(
                f"Period {period + 1} of {len(s.candidates)}: {s.layers[period]} cells, "
                f"{k} candidates an edge."
            )
            for epoch in range(s.epochs):
                self.report_progress(phase, len(epochs), total, "epochs")
                where = {"period": period, "epoch": epoch}
                report = self.recorded("train", where, relaxation.train, relaxation, saves=True)
                epochs.append(where | report)
                self.log(_line(epochs[-1]))
        self.report_progress(phase, total, total, "epochs")
        return FoundCells(cell_space.derive(epochs[-1]["alphas"], candidates, s.skip_limit), epochs)

    def report(self, found, folder):
        """Write cells.json and cells.png; the lines to print."""
        cells = found.cells
        genotype = {"normal": cells.normal, "reduce": cells.reduction}
        write_json(folder / FILE, {"cells": cells.text} | genotype)
        drawing.draw(found, folder / "cells.png")
        return [f"Normal cell / reduction cell: {cells}"]


def _line(epoch):
    steps = len(epoch["reds"])
    red = f", red {np.sum(epoch['reds']):.0f} of {steps} steps" if steps else ", weights alone"
    return (
        f"  epoch {epoch['epoch'] + 1:>2}: loss {epoch['loss']:.3f}, validation error "
        f"{epoch['error']:.2f} %, expected params {epoch['complexity']:,.0f}{red}"
    )
