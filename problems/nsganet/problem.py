"""NSGANetV1 as a pymoo problem: its two evaluators, and the search of the paper."""

from functools import partial

import numpy as np

from moonas.algorithms import BayesianMating, nsga2_by_rank
from moonas.data import describe
from moonas.evaluators import (
    NetworkCosts,
    ScratchEvaluator,
    SupernetEvaluator,
    quality_columns,
)
from moonas.nets.cell_network import CellNetwork
from moonas.nets.cells import loose_ends
from moonas.nets.counting import CellCosts
from moonas.nets.devices import resolve_device
from moonas.nets.parts import network_parts, space_parts
from moonas.problem import MovingProblem
from moonas.spaces.genotype import graph_of_cell

from . import space, zoo
from .operators import operators
from .settings import Settings
from .supernet import Supernet


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
        return [
            graph_of_cell(architecture.normal, "normal block"),
            graph_of_cell(architecture.reduction, "reduction block"),
        ]

    def operations(self):
        """Every operation at every shape it can take in the target network, and the fixed parts."""
        n_concat = range(1, space.N_NODES + 1)
        return space_parts(space.OPERATIONS, space.N_NODES, n_concat=n_concat, **self.shape)

    def zoo(self):
        """Published architectures of the space, counted as their papers print them."""
        return zoo.published()


__all__ = ["NSGANet", "Settings", "build"]
