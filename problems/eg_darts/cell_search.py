"""Stage 1 of EG-DARTS: cells by gradient (sections III-B, III-C and IV-C).

Three periods, each with a fresh network and fresh architecture parameters, after P-DARTS: the
network gets deeper, and of the candidates of an edge the strongest stay, until one is left. In each
period the weights train alone at first; then every step on a batch of training images comes behind
a step of the architecture parameters on a batch of validation images.
"""

import json
from dataclasses import dataclass

import numpy as np

from moonas.data import checksums, describe
from moonas.evaluators import TrainingSettings
from moonas.files import write_atomically
from moonas.nets.devices import resolve_device
from moonas.run.stage import Preparation, read_left
from moonas.settings import require, setting
from moonas.spaces.genotype import Cells

from . import cell_space, drawing
from .relaxation import Relaxation

FILE = "cells.json"


@dataclass(frozen=True, kw_only=True)
class Settings(TrainingSettings):
    """What the search for cells can be told; the defaults suit digits and are small."""

    batch: int = setting(64, "images a step, of the training and of the validation images", least=1)
    channels: int = setting(8, "channels of the proxy network's first cell", least=1)
    layers: tuple[int, ...] = setting(
        (3, 4, 5), "cells of the proxy network by period; two of them are reductions", least=3
    )
    candidates: tuple[int, ...] = setting(
        (12, 8, 4), "operations of an edge by period, all 12 at first", least=2
    )
    epochs: int = setting(12, "epochs of a period", least=1)
    weight_epochs: int = setting(4, "of these, the first ones, that train weights alone", least=0)
    order: str = setting("first", "order of the architecture gradient", ("first", "second"))
    enhanced: bool = setting(True, "enhance the gradient where complexity falls (eqs. 5-10)")
    history: int = setting(20, "m, steps that the line of loss over complexity fits", least=2)
    limit: float = setting(1.0, "the largest Phi; a gradient grows by 1 + Phi at most", least=0)
    alpha_optimizer: str = setting("sgd", "of the architecture parameters", ("sgd", "adam"))
    alpha_learning_rate: float = setting(1.0, "of the architecture parameters", above=0)
    alpha_weight_decay: float = setting(1e-3, "of the architecture parameters", least=0)
    skip_dropout: tuple[float, ...] = setting(
        (0.0, 0.2, 0.4), "dropout behind identities by period, at its start; it decays", least=0
    )
    skip_limit: int | None = setting(2, "identities of the normal cell; none: any number", least=0)

    def __post_init__(self):
        super().__post_init__()
        n = len(self.candidates)
        require(n > 0, self, "candidates", "one number a period")
        every = len(cell_space.OPERATIONS)
        falling = list(self.candidates) == sorted(self.candidates, reverse=True)
        require(
            falling and self.candidates[0] == every, self, "candidates", f"falling from {every}"
        )
        for name in ("layers", "skip_dropout"):
            same = len(getattr(self, name)) == n
            require(same, self, name, f"{n} numbers, one a period, as candidates has")
        below = all(rate < 1 for rate in self.skip_dropout)
        require(below, self, "skip_dropout", "less than 1")
        shorter = self.weight_epochs < self.epochs
        require(shorter, self, "weight_epochs", f"less than epochs={self.epochs}")


PRESETS = {
    "digits": {},
    # Table I for batch, weight decay, learning rate and epochs, section IV-C for depths and
    # candidates; P-DARTS for channels, weight epochs, Adam and dropout, which are not printed.
    "paper": dict(
        data="cifar10",
        batch=96,
        channels=16,
        layers=(5, 11, 17),
        epochs=40,
        weight_epochs=10,
        learning_rate=0.025,
        learning_rate_end=0.0,
        weight_decay=5e-4,
        alpha_optimizer="adam",
        alpha_learning_rate=6e-4,
        skip_dropout=(0.0, 0.4, 0.7),
        score_batch=500,
    ),
}


def build(**options):
    """The search for cells; ``options`` are fields of :class:`Settings`."""
    return CellSearch(Settings(**options))


def read_cells(folder):
    """The cells that a run of this stage has left in its folder.

    Raises:
        ValueError: there are none, or the file is damaged.
    """

    def parse(found):
        return cell_space.cells_of_text(found["cells"])

    return read_left(folder, FILE, "eg-darts-cells", parse)


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


class CellSearch(Preparation):
    """The first stage of EG-DARTS; ``run(seed=1)`` gives :class:`FoundCells`."""

    in_words = "cells by gradient"

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
        text = json.dumps({"cells": cells.text} | genotype, indent=1) + "\n"
        write_atomically(folder / FILE, text.encode())
        drawing.draw(found, folder / "cells.png")
        return [f"Normal cell / reduction cell: {cells}"]


def _line(epoch):
    steps = len(epoch["reds"])
    red = f", red {np.sum(epoch['reds']):.0f} of {steps} steps" if steps else ", weights alone"
    return (
        f"  epoch {epoch['epoch'] + 1:>2}: loss {epoch['loss']:.3f}, validation error "
        f"{epoch['error']:.2f} %, expected params {epoch['complexity']:,.0f}{red}"
    )
