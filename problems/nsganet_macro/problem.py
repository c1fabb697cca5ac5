"""NSGA-Net's macro space as a pymoo problem: accuracy against robustness (section G.3)."""

from dataclasses import dataclass

import numpy as np

from moonas.algorithms import nsga2_by_rank
from moonas.classifier import ClassifierProblem
from moonas.evaluators import OBJECTIVES, ClassifierSettings
from moonas.settings import setting

from ..nsganet.operators import operators
from . import space
from .network import MacroNetwork, cost, macro_parts


@dataclass(frozen=True, kw_only=True)
class Settings(ClassifierSettings):
    """What a search can be told; the defaults suit digits and are small."""

    objectives: tuple[str, ...] = setting(
        ("error", "robustness_error"),
        f"columns to minimise, two or more of {', '.join(OBJECTIVES)}",
    )
    population: int = setting(20, "architectures that survive a generation", least=1)
    generations: int = setting(10, "generations to run", least=1)
    crossover: float = setting(0.9, "chance that two parents are crossed", above=0, most=1)
    mutation: float = setting(0.1, "chance of each bit to flip", above=0, most=1)
    proxy_epochs: int = setting(5, "epochs that a candidate trains", least=1)
    train_share: float = setting(
        0.8, "share of the images to search with that trains; the rest validates", above=0
    )
    batch: int = setting(64, "images a training step", least=1)
    learning_rate_end: float = setting(0.0, "at the horizon, and from there on", least=0)
    weight_decay: float = setting(5e-4, "of SGD", least=0)
    channels: int = setting(8, "channels of every node", least=1)


PRESETS = {
    "digits": {},
    # Section G.3: 40,000 images of CIFAR-10 train, 10,000 validate. Batch, learning rate and width
    # are not printed; the first two are those of the cell search, the width is ours.
    "paper": dict(
        data="cifar10",
        population=40,
        generations=30,
        proxy_epochs=20,
        batch=128,
        learning_rate=0.025,
        channels=32,
        score_batch=500,
    ),
}


def build(**options):
    """The problem; ``options`` are fields of :class:`Settings`."""
    return NSGANetMacro(Settings(**options))


class NSGANetMacro(ClassifierProblem):
    """Connections of three phases, by the error of proxies and their robustness."""

    space = space
    in_words = "phase / phase / phase, each node with what it takes"

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


__all__ = ["PRESETS", "NSGANetMacro", "Settings", "build"]
