"""Stage 2 of EG-DARTS as a pymoo problem: depth and width of a network of given cells."""

import math
from dataclasses import replace
from itertools import product

import numpy as np

from moonas.algorithms import nsga2_by_rank
from moonas.classifier import ClassifierProblem
from moonas.nets.cell_network import CellNetwork
from moonas.nets.cells import staged_layout
from moonas.nets.counting import CellCosts
from moonas.nets.parts import network_parts
from moonas.operators import MixedCrossover, MixedMutation, MixedSampling, SameArchitecture

from ..cars import zoo
from . import cell_space
from .cell_search import read_cells
from .settings import DEFAULT_CELLS, NetworkSettings
from .space import N_STAGES, Architecture, Space


def build(**options):
    """The problem; ``options`` are fields of :class:`NetworkSettings`."""
    settings = NetworkSettings(**options)
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


class EGDarts(ClassifierProblem):
    """Depth and width of networks, by the error of proxies and their size.

    Attributes:
        cells: that the networks are made of.
    """

    architecture_title = "channels and cells of the three stages"

    def __init__(self, settings):
        s = settings
        self.cells = find_cells(s.cells)
        self.space = Space(s.first_width, s.stage_cells, s.widening)
        super().__init__(s, genes=self.space.genes)

    @property
    def edges(self):
        """Edges of the normal and of the reduction cell."""
        return self.cells.normal, self.cells.reduction

    def count(self, candidates):
        """Params and macs of the networks, (n, 2) ints."""
        names = [[cell_space.OPERATIONS.index(name) for name, _ in cell] for cell in self.edges]
        states = [[state for _, state in cell] for cell in self.edges]
        chosen = (np.reshape(genes, (1, 2, cell_space.N_NODES, 2)) for genes in (names, states))
        names, states = chosen
        counts = [
            CellCosts(cell_space.OPERATIONS, **self._shape(a)).count(names, states)[0]
            for a in candidates
        ]
        return np.array(counts)

    def _shape(self, architecture):
        layout = staged_layout(architecture.widths, architecture.depths)
        return self.image_shape | dict(layout=layout)

    def parts(self, architecture):
        """The parts of a network, what its latency is the sum of where there is a table."""
        return network_parts(*self.edges, **self._shape(architecture))

    def operators(self):
        """Sampling, crossover, mutation and duplicate elimination for any genetic algorithm."""
        s = self.settings
        return dict(
            sampling=MixedSampling(),
            crossover=MixedCrossover(s.crossover, s.crossover_eta),
            mutation=MixedMutation(s.mutation, s.mutation_eta),
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
            final = self.scratch_evaluator(
                epochs=total,
                final=True,
                on_epoch=lambda done: self.callbacks.on_progress(phase, done, total, "epochs"),
            )
            final.begin(self.session.seed)
            return final.score(self.candidates([row.architecture]))

        columns = self.session.recorded("final test", {"x": row.x.tolist()}, test)
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
