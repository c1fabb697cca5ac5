"""CARS as a pymoo problem, and the search of the paper."""

from functools import cached_property

import numpy as np

from moonas.algorithms.named import algorithm
from moonas.classifier import ClassifierProblem
from moonas.models.zoo import Published
from moonas.nets.cell_network import CellNetwork
from moonas.nets.counting import CellCosts
from moonas.nets.parts import network_parts, space_parts
from moonas.operators import NodeReset, SameRow
from moonas.problem import Column

from . import space, zoo
from .operators import CARSMating
from .settings import Settings
from .supernet import Supernet


def build(**options):
    """The problem; ``options`` are fields of :class:`Settings`."""
    return CARS(Settings(**options))


class CARS(ClassifierProblem):
    """Cells of the DARTS space by error, size and speed, under weights that train as it goes."""

    space = space
    architecture_title = "normal cell / reduction cell"

    def __init__(self, settings):
        super().__init__(
            settings,
            n_choices=space.N_CHOICES,
            nodes=space.NODES,
            more_columns=[Column("growth", "% an epoch", direction="max")],
        )
        self.growth_of = self.columns[0].name

    @property
    def trained_shape(self):
        """Arguments of the supernet."""
        return self.image_shape | dict(channels=self.settings.channels, layers=self.settings.layers)

    @cached_property
    def shape(self):
        """Arguments of the network that params, macs and latency belong to."""
        s = self.settings
        return self.image_shape | dict(
            channels=s.target_channels or s.channels, layers=s.target_layers or s.layers
        )

    @cached_property
    def costs(self):
        """Counts params and macs in closed form."""
        return CellCosts(space.OPERATIONS, **self.shape)

    def count(self, candidates):
        """Params and macs of the target networks, (n, 2) ints."""
        return self.costs.count(*space.edges(candidates.rows))

    def largest(self):
        """Params and macs that no target network exceeds."""
        return self.costs.largest()

    def parts(self, architecture):
        """The parts of the target network, what a latency is the sum of where there is a table."""
        return network_parts(architecture.normal, architecture.reduction, **self.shape)

    @property
    def pnsga3_options(self):
        """What the settings ask of pNSGA-III."""
        s = self.settings
        second = {} if s.protection == "none" else {"second": s.protection}
        return second | {"cut": s.cut, "size": s.size}

    @property
    def nonstationary(self):
        """Whether weights train on during a run."""
        return self.settings.weights == "shared"

    def make_evaluator(self):
        """A :class:`SupernetEvaluator`; images and weights come at its first use."""
        return self.supernet_evaluator(Supernet)

    def operators(self):
        """Operators for any genetic algorithm; the paper's search has :class:`CARSMating`."""
        return super().operators() | {"mutation": NodeReset(prob=0.5)}

    def algorithm(self):
        """The paper's search: NSGA-III, offspring of section 4.1, and pNSGA-III's survival."""
        s = self.settings
        return algorithm(
            "nsga3" if s.protection == "none" else "pnsga3",
            self,
            s.population,
            n_offsprings=max(1, round(s.expand * s.population)),
            mating=CARSMating(eliminate_duplicates=SameRow()),
        )

    def network(self, architecture, **shape):
        """The stand-alone network, a ``CellNetwork``; of the target's shape by default."""
        shape = self.shape | shape
        return CellNetwork(architecture.normal, architecture.reduction, **shape)

    def graphs(self, architecture):
        """Both cells."""
        return architecture.graphs()

    def operations(self):
        """Every operation at every shape it can take in the target network, and the fixed parts."""
        return space_parts(space.OPERATIONS, space.N_NODES, **self.shape)

    def zoo(self):
        """Published architectures of the space, counted at the two shapes that papers print."""
        shapes = {
            "CIFAR-10, 36 channels, 20 cells": {},
            "ImageNet, 48 channels, 14 cells": dict(
                channels=48, layers=14, n_classes=1000, image_size=224
            ),
        }
        items = zoo.architectures()
        X = np.array([space.encode(a) for a in items.values()])
        counts = {
            words: CellCosts(space.OPERATIONS, **shape).count(*space.edges(X)).tolist()
            for words, shape in shapes.items()
        }
        return [
            Published(
                name,
                "cars",
                architecture,
                zoo.source(name),
                {words: tuple(rows[i]) for words, rows in counts.items()},
            )
            for i, (name, architecture) in enumerate(items.items())
        ]


__all__ = ["CARS", "Settings", "build"]
