"""NSGA-Net's macro space as a pymoo problem: accuracy against robustness (section G.3)."""

import numpy as np

from moonas.algorithms import nsga2_by_rank
from moonas.classifier import ClassifierProblem

from ..nsganet.operators import operators
from . import space
from .networks import MacroNetwork, cost, macro_parts
from .settings import Settings


def build(**options):
    """The problem; ``options`` are fields of :class:`Settings`."""
    return NSGANetMacro(Settings(**options))


class NSGANetMacro(ClassifierProblem):
    """Connections of three phases, by the error of proxies and their robustness."""

    space = space
    architecture_title = "phase / phase / phase, each node with what it takes"

    def __init__(self, settings):
        super().__init__(
            settings, n_choices=space.N_CHOICES, nodes=space.NODES, blocks=space.BLOCKS
        )

    @property
    def trained_shape(self):
        """Arguments of the networks; they take images of any size."""
        return dict(
            channels=self.settings.channels,
            n_classes=self.info.n_classes,
            in_channels=self.info.channels,
        )

    def count(self, candidates):
        """Params and macs of the networks, (n, 2) ints."""
        side, shape = self.info.side, self.trained_shape
        return np.array([cost(a, image_size=side, **shape) for a in candidates])

    def parts(self, architecture):
        """The parts of the network, whose latencies add up to its own."""
        n_nodes = [len(phase.nodes) for phase in architecture.phases]
        return macro_parts(n_nodes, image_size=self.info.side, **self.trained_shape)

    def operators(self):
        """Sampling, crossover, mutation and duplicate elimination for any genetic algorithm."""
        return operators(self.settings, space.N_VAR)

    def algorithm(self):
        """NSGA-II with the paper's genetic operators."""
        return nsga2_by_rank(self)

    def network(self, architecture, **shape):
        """The stand-alone network, a ``MacroNetwork``, for images of any size."""
        shape.pop("image_size", None)
        return MacroNetwork(architecture, **self.trained_shape | shape)

    def graphs(self, architecture):
        """The three phases."""
        return [phase.graph(f"phase {i + 1}") for i, phase in enumerate(architecture.phases)]

    def operations(self):
        """Every part at every shape that a network of the space can have."""
        found = macro_parts([1] * space.N_PHASES, image_size=self.info.side, **self.trained_shape)
        return list(dict.fromkeys(found))


__all__ = ["NSGANetMacro", "Settings", "build"]
