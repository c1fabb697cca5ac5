"""Stage 2 of EG-DARTS as a pymoo problem: depth and width of a network of given cells."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
from pymoo.core.algorithm import Algorithm

from moonas.algorithms import nsga2_by_rank
from moonas.classifier import ClassifierProblem
from moonas.nets.cell_network import CellNetwork
from moonas.nets.cells import staged_layout
from moonas.nets.counting import CellCosts
from moonas.nets.parts import Part, network_parts
from moonas.operators import MixedCrossover, MixedMutation, MixedSampling, SameArchitecture
from moonas.pareto import Front, Row
from moonas.run.candidates import Candidates
from moonas.run.numbers import plural
from moonas.spaces.genotype import Edge
from moonas.spaces.graph import Graph

from . import cell_space
from .cells import find_cells, read_cells
from .settings import NetworkSettings
from .space import N_LEVELS, Architecture, Space


def build(**options: Any) -> EGDarts:
    """Return the problem; ``options`` are fields of :class:`NetworkSettings`."""
    settings = NetworkSettings(**options)
    if settings.from_run is not None:
        cells = read_cells(settings.from_run).text
        settings = replace(settings, cells=cells, from_run=None)
    return EGDarts(settings)


class EGDarts(ClassifierProblem):
    """Search for the depth and width of networks with low validation error and few parameters.

    Args:
        settings: settings of the search.

    Attributes:
        cells: cells of the networks.
    """

    settings: NetworkSettings
    space: Space
    architecture_title = "channels and cells of the three resolution levels"

    def __init__(self, settings: NetworkSettings) -> None:
        s = settings
        self.cells = find_cells(s.cells)
        (v0, v0_max), (v1, v1_max), (v4, v4_max) = s.first_width, s.stage_cells, s.widening
        self.space = Space((v0, v0_max), (v1, v1_max), (v4, v4_max))
        super().__init__(s, genes=self.space.genes)

    @property
    def edges(self) -> tuple[tuple[Edge, ...], tuple[Edge, ...]]:
        """Edges of the normal cell and edges of the reduction cell."""
        return self.cells.normal, self.cells.reduction

    def count(self, candidates: Candidates) -> np.ndarray:
        """Return params and macs of the networks, (n, 2) ints."""
        shape = (1, 2, cell_space.N_NODES, 2)
        names = [[cell_space.OPERATIONS.index(name) for name, _ in cell] for cell in self.edges]
        states = [[state for _, state in cell] for cell in self.edges]
        genes = np.reshape(names, shape), np.reshape(states, shape)
        count_fixed = self.settings.count_fixed
        counts = [
            CellCosts(cell_space.OPERATIONS, count_fixed=count_fixed, **self._shape(a)).count(
                *genes
            )[0]
            for a in candidates
        ]
        return np.array(counts)

    def _shape(self, architecture: Architecture) -> dict[str, Any]:
        """Return the keyword arguments that build the network of an architecture."""
        layout = staged_layout(architecture.widths, architecture.depths)
        return self.image_shape | dict(layout=layout, stem=self.settings.stem)

    def parts(self, architecture: Any) -> list[Part]:
        """Return the parts of a network; their latencies add up to the latency of the network."""
        return network_parts(*self.edges, **self._shape(architecture))

    def operators(self) -> dict[str, Any]:
        """Return sampling, crossover, mutation and duplicate elimination."""
        s = self.settings
        return dict(
            sampling=MixedSampling(),
            crossover=MixedCrossover(s.crossover, s.crossover_eta),
            mutation=MixedMutation(s.mutation, s.mutation_eta),
            eliminate_duplicates=SameArchitecture(self.space.decode),
        )

    def algorithm(self) -> Algorithm:
        """Return NSGA-II with tournaments by rank, then by crowding distance (algorithm 1)."""
        return nsga2_by_rank(self)

    def ends_of_the_line(self, rows: Sequence[Row]) -> np.ndarray | None:
        """Return the objectives among which the end points of the knee are (algorithm 2).

        Table III of the paper contains dominated networks, such as the largest one on CIFAR-100.
        Its bold rows follow if the line passes through the smallest and the largest network of the
        table. So the line ends at networks of the final population if ``rows`` are a
        :class:`~moonas.pareto.Front`; the knee itself is always on the front.
        """
        if isinstance(rows, Front) and self.settings.knee_of == "population":
            return rows.population
        return None

    def final_training(self) -> dict[str, Any] | None:
        """Return the number of epochs of the training of the picked network, if it has any."""
        s = self.settings
        return {"epochs": s.final_epochs} if s.final_epochs and s.final == "model" else None

    def after_search(self, row: Row) -> list[str]:
        """With ``final="test"``, as in earlier versions, train and test the picked network."""
        s = self.settings
        if not s.final_epochs or s.final == "model":
            return []

        def test() -> dict[str, Any]:
            phase, total = "training the picked network", s.final_epochs
            final = self.scratch_evaluator(
                epochs=total,
                final=True,
                on_epoch=lambda done: self.callbacks.on_progress(phase, done, total, "epochs"),
            )
            assert self.session.seed is not None, "the search has set the seed"
            final.begin(self.session.seed)
            columns: dict[str, Any] = final.score(self.candidates([row.architecture]))
            return columns

        columns = self.session.recorded("final test", {"x": row.x.tolist()}, test)
        name = next(c.name for c in self.columns if c.unit == "%")
        final, proxy = float(columns[name][0]), float(row.columns[name])
        picked = f"Picked: {row.architecture}."
        if not math.isfinite(final):
            return [f"{picked} The final training diverged, so there is no test {name}."]
        return [
            f"{picked} Test {name} after training from scratch on the whole training set for "
            f"{plural(s.final_epochs, 'epoch')}: {final:.2f} %. Validation {name} of its proxy "
            f"after {plural(s.proxy_epochs, 'epoch')}: {proxy:.2f} %."
        ]

    def network(self, architecture: Any, **shape: Any) -> CellNetwork:
        """Return the untrained stand-alone network of an architecture."""
        return CellNetwork(*self.edges, **self._shape(architecture) | shape)

    def graphs(self, architecture: Any) -> list[Graph]:
        """Return the graphs of both cells, which are the same for all architectures."""
        return self.cells.graphs()

    def operations(self) -> list[Part]:
        """Return every part in every shape that it can have in a network of the search space.

        The shape of a part depends on the widths of at most two successive resolution levels, and
        on whether a level has one, two or more normal cells.
        """
        fewest, most = self.space.cells
        depths = range(fewest, min(most, fewest + 2) + 1)
        architectures = (
            Architecture(widths, stage_depths)
            for widths in self.space.neighboring_widths()
            for stage_depths in product(depths, repeat=N_LEVELS)
        )
        parts = (p for a in architectures for p in self.parts(a))
        return list(dict.fromkeys(parts))
