"""Stage 2 of EG-DARTS as a pymoo problem: depth and width of a network of given cells."""

import math
from dataclasses import dataclass, replace
from itertools import product

import numpy as np

from moonas.algorithms import nsga2_by_rank
from moonas.data import describe
from moonas.evaluators import (
    ClassifierSettings,
    NetworkCosts,
    ScratchEvaluator,
    quality_columns,
)
from moonas.nets.cell_network import CellNetwork
from moonas.nets.cells import staged_layout
from moonas.nets.counting import CellCosts
from moonas.nets.devices import resolve_device
from moonas.nets.parts import network_parts
from moonas.operators import MixedCrossover, MixedMoves, MixedSampling, SameArchitecture
from moonas.problem import ArchitectureProblem
from moonas.settings import require, setting

from ..cars import zoo
from . import cell_space
from .cell_search import read_cells
from .space import N_STAGES, Architecture, Space

DEFAULT_CELLS = "PDARTS"


@dataclass(frozen=True, kw_only=True)
class Settings(ClassifierSettings):
    """What a search can be told; the defaults suit digits and are small."""

    cells: str | None = setting(
        None,
        f"published cells by name, or edges as in sep3@0 skip@1 ... / ...; none: {DEFAULT_CELLS}'s",
    )
    from_run: str | None = setting(None, "run folder of eg-darts-cells, whose cells to take")
    population: int = setting(15, "networks that survive a generation", least=1)
    generations: int = setting(10, "generations to run", least=1)
    crossover: float = setting(0.9, "chance that two parents are crossed", above=0, most=1)
    mutation: float = setting(0.1, "chance of each gene to move", above=0, most=1)
    crossover_eta: float = setting(15.0, "the larger, the nearer to their parents", least=0)
    mutation_eta: float = setting(20.0, "the larger, the nearer a moved gene stays", least=0)
    first_width: tuple[int, ...] = setting((4, 12), "v0, least and most channels at first", least=1)
    stage_cells: tuple[int, ...] = setting((1, 2), "v1 to v3, least and most cells", least=1)
    widening: tuple[float, ...] = setting((1.0, 2.0), "v4 and v5, least and most", least=1)
    proxy_epochs: int = setting(5, "epochs that a candidate trains", least=1)
    final_epochs: int = setting(60, "epochs that the picked network trains in the end", least=0)
    train_share: float = setting(
        0.8, "share of the images to search with that trains; the rest validates", above=0
    )
    batch: int = setting(64, "images a training step", least=1)
    learning_rate_end: float = setting(0.0, "at the horizon, and from there on", least=0)
    weight_decay: float = setting(5e-4, "of SGD", least=0)

    def __post_init__(self):
        super().__post_init__()
        require(
            self.cells is None or self.from_run is None,
            self,
            "cells",
            "from_run brings cells of its own; to search with others, run --stage eg-darts alone",
        )
        for name in ("first_width", "stage_cells", "widening"):
            bounds = getattr(self, name)
            ordered = len(bounds) == 2 and bounds[0] <= bounds[1]
            require(ordered, self, name, "the least and the most, two numbers in order")


PRESETS = {
    "digits": {},
    # Table I; momentum and clipping are P-DARTS's, and are not printed.
    "paper": dict(
        data="cifar10",
        population=15,
        generations=20,
        proxy_epochs=36,
        final_epochs=600,
        batch=128,
        learning_rate=0.025,
        first_width=(8, 60),
        stage_cells=(1, 6),
        widening=(1.0, 3.0),
        score_batch=500,
    ),
}


def build(**options):
    """The problem; ``options`` are fields of :class:`Settings`."""
    settings = Settings(**options)
    if settings.from_run is not None:
        cells = read_cells(settings.from_run).text
        settings = replace(settings, cells=cells, from_run=None)
    return EGDarts(settings)


def find_cells(words):
    """The :class:`~moonas.spaces.genotype.Cells` of a name or a text; None is the default.

    Raises:
        ValueError: there are none of that name, or the text is no cells.
    """
    published = zoo.architectures()
    words = words or DEFAULT_CELLS
    if words in published:
        cells = published[words]
        return cell_space.from_genotype(cells.normal, cells.reduction)
    if "@" not in words:
        raise ValueError(f"cells={words!r} are not known; choose from {sorted(published)}.")
    return cell_space.cells_of_text(words)


class EGDarts(ArchitectureProblem):
    """Depth and width of networks, by the error of proxies and their size.

    Attributes:
        cells: that the networks are made of.
    """

    in_words = "channels and cells of the three stages"

    def __init__(self, settings):
        s = settings
        self.cells = find_cells(s.cells)
        self.space = Space(s.first_width, s.stage_cells, s.widening)
        self.info = describe(s.data, s.image_size)
        qualities = quality_columns(s.objectives, self.info)
        resolve_device(s.device)
        self.image_shape = dict(
            n_classes=self.info.n_classes,
            in_channels=self.info.channels,
            image_size=self.info.side,
        )
        self.network_costs = NetworkCosts(self, s, self.info)
        self.inputs = self.network_costs.inputs
        ((params, macs),) = self.count([self.space.widest()])
        columns = [*qualities, *self.network_costs.described(params, macs)]
        super().__init__(s, columns=columns, genes=self.space.genes)

    @property
    def edges(self):
        """Edges of the normal and of the reduction cell."""
        return self.cells.normal, self.cells.reduction

    def count(self, architectures):
        """Params and macs of the networks, (n, 2) ints."""
        names = [[cell_space.OPERATIONS.index(name) for name, _ in cell] for cell in self.edges]
        states = [[state for _, state in cell] for cell in self.edges]
        chosen = (np.reshape(genes, (1, 2, cell_space.N_NODES, 2)) for genes in (names, states))
        names, states = chosen
        counts = [
            CellCosts(cell_space.OPERATIONS, **self._shape(a)).count(names, states)[0]
            for a in architectures
        ]
        return np.array(counts)

    def _shape(self, architecture):
        layout = staged_layout(architecture.widths, architecture.depths)
        return self.image_shape | dict(layout=layout)

    def parts(self, architecture):
        """The parts of a network, what its latency is the sum of where there is a table."""
        return network_parts(*self.edges, **self._shape(architecture))

    def make_evaluator(self):
        """A :class:`ScratchEvaluator`; images come at its first use."""
        return self._scratch(epochs=self.settings.proxy_epochs)

    def _scratch(self, **options):
        return ScratchEvaluator(
            self.settings,
            self.info,
            self.network_costs,
            build=self.network,
            encode=self.space.encode,
            **options,
        )

    def operators(self):
        """Sampling, crossover, mutation and duplicate elimination for any genetic algorithm."""
        s = self.settings
        return dict(
            sampling=MixedSampling(),
            crossover=MixedCrossover(s.crossover, s.crossover_eta),
            mutation=MixedMoves(s.mutation, s.mutation_eta),
            eliminate_duplicates=SameArchitecture(self.space.decode),
        )

    def algorithm(self):
        """NSGA-II with tournaments by rank, then crowding (algorithm 1)."""
        return nsga2_by_rank(self)

    def after_search(self, row):
        """Train the picked network from scratch on all images to search with, and test it."""
        s = self.settings
        if not s.final_epochs:
            return []

        def test():
            phase, total = "training the picked network", s.final_epochs
            final = self._scratch(
                epochs=total,
                final=True,
                told=lambda done: self.report_progress(phase, done, total, "epochs"),
            )
            final.begin(self.seed)
            return final.score([row.architecture])

        columns = self.recorded("final test", {"x": row.x.tolist()}, test)
        name = next(c.name for c in self.columns if c.unit == "%")
        tested, proxy = float(columns[name][0]), float(row.columns[name])
        if not math.isfinite(tested):
            return [f"Picked: {row.architecture}. Its training from scratch diverged; no test."]
        return [
            f"Picked: {row.architecture}. Trained from scratch for {s.final_epochs} epochs on all "
            f"images to search with, it has a test {name} of {tested:.2f} %; as a proxy, trained "
            f"for {s.proxy_epochs}, its validation {name} was {proxy:.2f} %."
        ]

    def network(self, architecture, **shape):
        """The stand-alone network, a ``CellNetwork``."""
        return CellNetwork(*self.edges, **self._shape(architecture) | shape)

    def graphs(self, architecture):
        """Both cells, which all networks have."""
        return self.cells.graphs()

    def operations(self):
        """Every part at every shape that a network of the space can have.

        A part depends on the widths of two stages at most, and on whether a stage has one, two or
        more cells.
        """
        fewest, most = self.space.cells
        some = range(fewest, min(most, fewest + 2) + 1)
        architectures = (
            Architecture(widths, depths)
            for widths in self.space.neighbouring_widths()
            for depths in product(some, repeat=N_STAGES)
        )
        parts = (p for a in architectures for p in self.parts(a))
        return list(dict.fromkeys(parts))

    def zoo(self):
        """No network of this space is published with its cells in print."""
        return []
