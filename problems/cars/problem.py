"""CARS as a pymoo problem: its settings, and the search of the paper."""

from dataclasses import dataclass
from functools import partial

import numpy as np

from moonas.algorithms.named import algorithm
from moonas.algorithms.pnsga3 import CUTS, SECOND_SORTS
from moonas.data import describe
from moonas.evaluators import (
    COSTS,
    NetworkCosts,
    SupernetEvaluator,
    SupernetSettings,
    quality_columns,
)
from moonas.models.zoo import Published
from moonas.nets.cell_network import CellNetwork
from moonas.nets.counting import CellCosts
from moonas.nets.devices import resolve_device
from moonas.nets.parts import network_parts, space_parts
from moonas.operators import CategoricalSampling, NodeCrossover, NodeReset, SameRow
from moonas.problem import Column, MovingProblem
from moonas.settings import require, setting

from . import space, zoo
from .operators import CARSMating
from .supernet import Supernet


@dataclass(frozen=True, kw_only=True)
class Settings(SupernetSettings):
    """What a CARS search can be told; the defaults suit digits and are small."""

    size: str | None = setting(
        None, "objective that pNSGA-III takes for the size; none: the second, or the first of two"
    )
    population: int = setting(24, "P, architectures that survive a generation", least=1)
    generations: int = setting(
        16, "horizon of the learning rate, in generations; the first one is the warm-up's", least=1
    )
    expand: float = setting(1.0, "t, offspring a generation in units of the population", above=0)
    protection: str = setting(
        "growth",
        "second sort: growth of accuracy, size as released, or none",
        (*SECOND_SORTS, "none"),
    )
    cut: str = setting("niching", "how pNSGA-III cuts the last front", CUTS)

    def __post_init__(self):
        super().__post_init__()
        sizes = [name for name in self.objectives if name in COSTS]
        require(self.size is None or self.size in sizes, self, "size", f"one of {sizes}")


PRESETS = {
    "digits": {},
    # Section 4.2; learning rate, clipping and weight decay are DARTS's, as the release has them.
    # 45 generations of 10 epochs follow on 50 of warm-up: 500 epochs.
    "paper": dict(
        data="cifar10",
        population=128,
        generations=46,
        warmup_epochs=50,
        epochs=10,
        frozen_epochs=500,
        batch=128,
        learning_rate=0.025,
        channels=16,
        layers=8,
        score_batch=500,
        target_channels=36,
        target_layers=20,
    ),
}


def build(**options):
    """The problem; ``options`` are fields of :class:`Settings`."""
    return CARS(Settings(**options))


def target_shape(settings, info):
    """Arguments of the network that params, macs and latency belong to."""
    return dict(
        channels=settings.target_channels or settings.channels,
        layers=settings.target_layers or settings.layers,
        n_classes=info.n_classes,
        in_channels=info.channels,
        image_size=info.side,
    )


class CARS(MovingProblem):
    """Cells of the DARTS space by error, size and speed, under weights that train as it goes."""

    space = space
    in_words = "normal cell / reduction cell"

    def __init__(self, settings):
        self.info = describe(settings.data, settings.image_size)
        qualities = quality_columns(settings.objectives, self.info)
        self.growth_of = qualities[0].name
        self.shape = target_shape(settings, self.info)
        self.costs = CellCosts(space.OPERATIONS, **self.shape)
        resolve_device(settings.device)
        self.network_costs = NetworkCosts(self, settings, self.info)
        self.inputs = self.network_costs.inputs
        columns = [*qualities, *self.network_costs.described(*self.costs.largest())]
        columns.append(Column("growth", "% an epoch", direction="max"))
        super().__init__(
            settings, columns=columns, n_choices=space.N_CHOICES, nodes=list(space.NODES)
        )

    def count(self, architectures):
        """Params and macs of the target networks, (n, 2) ints."""
        X = np.array([space.encode(a) for a in architectures])
        return self.costs.count(*space.edges(X))

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
    def moves(self):
        """Whether weights train on during a run."""
        return self.settings.weights == "shared"

    def make_evaluator(self):
        """A :class:`SupernetEvaluator`; images and weights come at its first use."""
        s, info = self.settings, self.info
        make_net = partial(
            Supernet,
            channels=s.channels,
            layers=s.layers,
            n_classes=info.n_classes,
            in_channels=info.channels,
            image_size=info.side,
        )
        return SupernetEvaluator(
            s,
            info,
            self.network_costs,
            make_net=make_net,
            n_choices=space.N_CHOICES,
            decode=space.decode,
            tell=self.report_progress,
        )

    def operators(self):
        """Sampling, crossover, mutation and duplicate elimination for any genetic algorithm."""
        return dict(
            sampling=CategoricalSampling(),
            crossover=NodeCrossover(),
            mutation=NodeReset(prob=0.5),
            eliminate_duplicates=SameRow(),
        )

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


__all__ = ["CARS", "PRESETS", "Settings", "build"]
