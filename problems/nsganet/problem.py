"""NSGANetV1 as a pymoo problem: its settings, its two evaluators, and the search of the paper."""

from dataclasses import dataclass
from functools import partial

import numpy as np

from moonas.algorithms import BayesianMating, nsga2_by_rank
from moonas.data import describe
from moonas.evaluators import (
    OBJECTIVES,
    NetworkCosts,
    ScratchEvaluator,
    SupernetEvaluator,
    SupernetSettings,
    quality_columns,
)
from moonas.nets.cell_network import CellNetwork
from moonas.nets.cells import loose_ends
from moonas.nets.counting import CellCosts
from moonas.nets.devices import resolve_device
from moonas.nets.parts import network_parts, space_parts
from moonas.problem import MovingProblem
from moonas.settings import setting

from . import space, zoo
from .operators import ETA, operators
from .supernet import Supernet


@dataclass(frozen=True, kw_only=True)
class Settings(SupernetSettings):
    """What a search can be told; the defaults suit digits and are small."""

    objectives: tuple[str, ...] = setting(
        ("error", "macs"), f"columns to minimise, two or more of {', '.join(OBJECTIVES)}"
    )
    evaluator: str = setting(
        "proxy",
        "proxy trains each candidate from scratch, supernet shares weights",
        ("proxy", "supernet"),
    )
    population: int = setting(20, "K, architectures that survive a generation", least=1)
    generations: int = setting(10, "horizon of the schedules, in generations", least=1)
    exploitation: float | None = setting(
        2 / 3, "share of the generations after which the model begins; none: never", above=0, most=1
    )
    first_share: float = setting(
        0.25, "of the offspring that come from the model at its beginning", least=0, most=1
    )
    n_best: int = setting(100, "architectures that the model is fitted on", least=1)
    crossover: float = setting(0.9, "chance that two parents are crossed", above=0, most=1)
    mutation: float = setting(0.1, "chance of each gene to move", above=0, most=1)
    eta: float = setting(ETA, "the larger, the nearer a moved gene stays", least=0)
    proxy_epochs: int = setting(5, "epochs that a proxy trains", least=1)
    train_share: float = setting(
        0.8, "share of the images to search with that trains; the rest validates", above=0
    )
    batch: int = setting(64, "images a training step", least=1)
    architectures_per_step: int = setting(4, "architectures a step of the supernet", least=1)
    learning_rate_end: float = setting(0.0, "at the horizon, and from there on", least=0)
    weight_decay: float = setting(5e-4, "of SGD; what a step does not use does not decay", least=0)
    channels: int = setting(4, "channels of the first cell of a proxy or of the supernet", least=1)
    increment: int = setting(2, "channels that each cell has more than the one before", least=0)
    layers: int = setting(3, "cells of a proxy or of the supernet", least=1)
    macs_bound: float | None = setting(
        None, "upper end of macs in hypervolumes; none: that of the space", above=0
    )


PRESETS = {
    "digits": {},
    # Digits under shared weights that have learned before the search begins: some five minutes.
    "supernet": dict(
        evaluator="supernet",
        batch=32,
        learning_rate=0.05,
        channels=8,
        increment=4,
        warmup_epochs=60,
        epochs=3,
        frozen_epochs=200,
    ),
    # Table I and section V-C; learning rate, momentum and clipping are DARTS's, whose training
    # the paper follows, and are not printed. 14 cells are N = 4. Hypervolume as in section H.
    "paper": dict(
        data="cifar100",
        population=40,
        generations=30,
        proxy_epochs=36,
        warmup_epochs=36,
        epochs=10,
        frozen_epochs=360,
        batch=128,
        learning_rate=0.025,
        channels=36,
        increment=6,
        layers=14,
        score_batch=500,
        macs_bound=1e9,
    ),
}


def build(**options):
    """The problem; ``options`` are fields of :class:`Settings`."""
    return NSGANet(Settings(**options))


class NSGANet(MovingProblem):
    """Blocks of 40 decisions by error and size: of proxies from scratch, or in a supernet.

    Attributes:
        blocks: arrays of columns, the nodes of the normal and of the reduction block.
    """

    blocks = space.BLOCKS
    space = space
    in_words = "normal block / reduction block"

    def __init__(self, settings):
        s = settings
        self.info = describe(s.data, s.image_size)
        qualities = quality_columns(s.objectives, self.info)
        resolve_device(s.device)
        images = dict(
            n_classes=self.info.n_classes,
            in_channels=self.info.channels,
            image_size=self.info.side,
            increment=s.increment,
        )
        self.trained_shape = dict(channels=s.channels, layers=s.layers, **images)
        self.shape = self.trained_shape | dict(
            channels=s.target_channels or s.channels, layers=s.target_layers or s.layers
        )
        self.costs = CellCosts(space.OPERATIONS, n_nodes=space.N_NODES, **self.shape)
        self.network_costs = NetworkCosts(self, s, self.info)
        self.inputs = self.network_costs.inputs
        params, macs = self.costs.largest()
        columns = [*qualities, *self.network_costs.described(params, s.macs_bound or macs)]
        super().__init__(s, columns=columns, n_choices=space.N_CHOICES, nodes=list(space.NODES))

    @property
    def moves(self):
        """Whether weights train on during a run."""
        return self.settings.evaluator == "supernet" and self.settings.weights == "shared"

    def make_evaluator(self):
        """What ``settings.evaluator`` names; images and weights come at its first use."""
        s = self.settings
        if s.evaluator == "proxy":
            return ScratchEvaluator(
                s,
                self.info,
                self.network_costs,
                epochs=s.proxy_epochs,
                build=partial(self.network, **self.trained_shape),
                encode=space.encode,
            )
        return SupernetEvaluator(
            s,
            self.info,
            self.network_costs,
            make_net=partial(Supernet, **self.trained_shape),
            n_choices=space.N_CHOICES,
            decode=space.decode,
            tell=self.report_progress,
        )

    def count(self, architectures):
        """Params and macs of the target networks, (n, 2) ints."""
        X = np.array([space.encode(a) for a in architectures])
        return self.costs.count(*space.edges(X), space.n_loose(X))

    def parts(self, architecture):
        """The parts of the target network, what a latency is the sum of where there is a table."""
        edges = architecture.normal, architecture.reduction
        return network_parts(*edges, concat=loose_ends, **self.shape)

    def operators(self):
        """Sampling, crossover, mutation and duplicate elimination for any genetic algorithm."""
        s = self.settings
        return operators(s, space.N_VAR, s.eta)

    def algorithm(self):
        """The paper's search: NSGA-II, and a Bayesian network from ``exploitation`` on."""
        s = self.settings
        search = nsga2_by_rank(self)
        if s.exploitation is not None:
            search.mating = BayesianMating(
                search.mating,
                self.blocks,
                start=s.exploitation,
                generations=s.generations,
                first_share=s.first_share,
                n_best=s.n_best,
            )
        return search

    def network(self, architecture, **shape):
        """The stand-alone network, a ``CellNetwork``; of the target's shape by default."""
        edges = architecture.normal, architecture.reduction
        return CellNetwork(*edges, concat=loose_ends, **self.shape | shape)

    def graphs(self, architecture):
        """Both blocks."""
        return architecture.graphs("block")

    def operations(self):
        """Every operation at every shape it can take in the target network, and the fixed parts."""
        n_concat = range(1, space.N_NODES + 1)
        return space_parts(space.OPERATIONS, space.N_NODES, n_concat=n_concat, **self.shape)

    def zoo(self):
        """Published architectures of the space, counted as their papers print them."""
        return zoo.published()


__all__ = ["PRESETS", "NSGANet", "Settings", "build"]
