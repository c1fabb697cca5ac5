"""The search of CARS as a pymoo problem."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
from pymoo.core.algorithm import Algorithm

from moonas.algorithms.named import algorithm
from moonas.classifier import ClassifierProblem
from moonas.models.zoo import Published
from moonas.nets.cell_network import CellNetwork
from moonas.nets.counting import CellCosts
from moonas.nets.parts import Part, network_parts, space_parts
from moonas.operators import NodeReset, SameRow
from moonas.problem import Column, Evaluator
from moonas.run.candidates import Candidates
from moonas.spaces.graph import Graph

from . import space, zoo
from .operators import CARSMating
from .settings import Settings
from .supernet import Supernet


def build(**options: Any) -> CARS:
    """Build the problem; ``options`` are fields of :class:`Settings`."""
    return CARS(Settings(**options))


class CARS(ClassifierProblem):
    """Search for cells of the DARTS space, evaluated with the weights of a supernet.

    With ``weights="shared"`` the supernet trains throughout the search, so objectives change from
    generation to generation; with ``weights="frozen"`` it is trained once, before the search.

    Args:
        settings: a :class:`Settings`.
    """

    space = space
    architecture_title = "normal cell / reduction cell"
    settings: Settings

    def __init__(self, settings: Settings) -> None:
        super().__init__(
            settings,
            n_choices=space.N_CHOICES,
            nodes=space.NODES,
            more_columns=[Column("growth", "% per epoch", direction="max")],
        )
        self.growth_of = self.columns[0].name
        self.nonstationary = settings.weights == "shared"
        second = {} if settings.protection == "none" else {"second": settings.protection}
        self.pnsga3_options = second | {"cut": settings.cut, "size": settings.size}

    @property
    def trained_shape(self) -> dict[str, Any]:
        """Keyword arguments of the supernet."""
        s = self.settings
        return self.image_shape | dict(channels=s.channels, layers=s.layers, stem=s.stem)

    @cached_property
    def shape(self) -> dict[str, Any]:
        """Keyword arguments of the target network, which params, macs and latency refer to."""
        s = self.settings
        target = dict(channels=s.target_channels or s.channels, layers=s.target_layers or s.layers)
        return self.trained_shape | self.target_image_shape | target

    @cached_property
    def costs(self) -> CellCosts:
        """Closed form of the target network's params and macs."""
        return CellCosts(space.OPERATIONS, **self.shape)

    def count(self, candidates: Candidates) -> np.ndarray:
        """Return params and macs of the candidates' target networks, (n, 2) int64."""
        return self.costs.count(*space.edges(candidates.rows))

    def largest(self) -> tuple[int, int]:
        """Return upper bounds of the target networks' params and macs."""
        params, macs = self.costs.largest()
        return int(params), int(macs)

    def parts(self, architecture: space.Architecture) -> list[Part]:
        """Return the parts of the target network; a latency table lists their latencies."""
        return network_parts(architecture.normal, architecture.reduction, **self.shape)

    def make_evaluator(self) -> Evaluator:
        """Return a :class:`SupernetEvaluator`, which loads its images when it is first used."""
        return self.supernet_evaluator(Supernet)

    def operators(self) -> dict[str, Any]:
        """Return operators for any genetic algorithm; :meth:`algorithm` uses CARSMating instead."""
        return super().operators() | {"mutation": NodeReset(prob=0.5)}

    def algorithm(self) -> Algorithm:
        """Return the paper's algorithm: pNSGA-III with the mating of section 4.1.

        With ``protection="none"`` it is NSGA-III with the same mating; with a single objective, a
        genetic algorithm with the same mating.
        """
        s = self.settings
        name = "nsga3" if s.protection == "none" else "pnsga3"
        return algorithm(
            "ga" if self.n_obj == 1 else name,
            self,
            s.population,
            n_offsprings=max(1, round(s.expand * s.population)),
            mating=CARSMating(
                s.crossover, s.mutation, s.node_share, eliminate_duplicates=SameRow()
            ),
        )

    def network(self, architecture: space.Architecture, **shape: Any) -> CellNetwork:
        """Build the stand-alone network of an architecture, untrained.

        Args:
            architecture: an :class:`~moonas.problems.cars.space.Architecture`.
            shape: keyword arguments of :class:`~moonas.nets.cell_network.CellNetwork`; by
                default those of the target network.
        """
        return CellNetwork(architecture.normal, architecture.reduction, **self.shape | shape)

    def graphs(self, architecture: space.Architecture) -> list[Graph]:
        """Return the graphs of the normal and the reduction cell."""
        return architecture.graphs()

    def operations(self) -> list[Part]:
        """Return all parts that a target network of the space can have, for latency tables."""
        return space_parts(space.OPERATIONS, space.N_NODES, **self.shape)

    def zoo(self) -> list[Published]:
        """Return the published architectures, with params and macs for CIFAR-10 and ImageNet."""
        shapes: dict[str, dict[str, Any]] = {
            "CIFAR-10, 36 channels, 20 cells": dict(
                channels=36, layers=20, n_classes=10, image_size=32
            ),
            "ImageNet, 48 channels, 14 cells": dict(
                channels=48, layers=14, n_classes=1000, image_size=224
            ),
        }
        architectures = zoo.architectures()
        X = np.array([space.encode(a) for a in architectures.values()])
        counts = {
            title: CellCosts(space.OPERATIONS, **shape).count(*space.edges(X)).tolist()
            for title, shape in shapes.items()
        }
        return [
            Published(
                name,
                "cars",
                architecture,
                zoo.source(name),
                {title: tuple(rows[i]) for title, rows in counts.items()},
                shapes,
            )
            for i, (name, architecture) in enumerate(architectures.items())
        ]


__all__ = ["CARS", "Settings", "build"]
