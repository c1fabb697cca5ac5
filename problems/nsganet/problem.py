"""NSGANetV1 as a pymoo problem: its two evaluators, and the search of the paper."""

from functools import cached_property

from moonas.algorithms import BayesianMating, nsga2_by_rank
from moonas.classifier import ClassifierProblem
from moonas.nets.cell_network import CellNetwork
from moonas.nets.cells import loose_ends
from moonas.nets.counting import CellCosts
from moonas.nets.parts import network_parts, space_parts

from . import space, zoo
from .operators import operators
from .settings import Settings
from .supernet import Supernet


def build(**options):
    """The problem; ``options`` are fields of :class:`Settings`."""
    return NSGANet(Settings(**options))


class NSGANet(ClassifierProblem):
    """Blocks of 40 decisions by error and size: of proxies from scratch, or in a supernet."""

    space = space
    architecture_title = "normal block / reduction block"

    def __init__(self, settings):
        super().__init__(
            settings, n_choices=space.N_CHOICES, nodes=space.NODES, blocks=space.BLOCKS
        )

    @property
    def trained_shape(self):
        """Arguments of proxies, or of the supernet."""
        s = self.settings
        return self.image_shape | dict(channels=s.channels, layers=s.layers, increment=s.increment)

    @cached_property
    def shape(self):
        """Arguments of the network that params, macs and latency belong to."""
        s = self.settings
        return self.trained_shape | dict(
            channels=s.target_channels or s.channels, layers=s.target_layers or s.layers
        )

    @cached_property
    def costs(self):
        """Counts params and macs in closed form."""
        return CellCosts(space.OPERATIONS, n_nodes=space.N_NODES, **self.shape)

    def count(self, candidates):
        """Params and macs of the target networks, (n, 2) ints."""
        rows = candidates.rows
        return self.costs.count(*space.edges(rows), space.n_loose(rows))

    def largest(self):
        """Params that no target network exceeds, and the upper bound of macs."""
        params, macs = self.costs.largest()
        return params, self.settings.macs_bound or macs

    @property
    def nonstationary(self):
        """Whether weights train on during a run."""
        return self.settings.evaluator == "supernet" and self.settings.weights == "shared"

    def make_evaluator(self):
        """What ``settings.evaluator`` names; images and weights come at its first use."""
        if self.settings.evaluator == "proxy":
            return super().make_evaluator()
        return self.supernet_evaluator(Supernet)

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


__all__ = ["NSGANet", "Settings", "build"]
