"""NSGA-Net's macro space as a pymoo problem: accuracy against robustness (section G.3)."""

from dataclasses import dataclass

from moonas.algorithms import nsga2_by_rank
from moonas.data import describe
from moonas.evaluators import (
    OBJECTIVES,
    ClassifierSettings,
    NetworkCosts,
    ScratchEvaluator,
    quality_columns,
)
from moonas.nets.devices import resolve_device
from moonas.problem import ArchitectureProblem
from moonas.settings import setting

from ..nsganet.operators import operators
from . import space
from .networks import MacroNetwork, cost, macro_parts


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


class NSGANetMacro(ArchitectureProblem):
    """Connections of three phases, by the error of proxies and their robustness.

    Attributes:
        blocks: arrays of columns, each phase's nodes and skip bit.
    """

    blocks = space.BLOCKS
    space = space
    in_words = "phase / phase / phase, each node with what it takes"

    def __init__(self, settings):
        self.info = describe(settings.data, settings.image_size)
        qualities = quality_columns(settings.objectives, self.info)
        resolve_device(settings.device)
        self.shape = dict(
            channels=settings.channels,
            n_classes=self.info.n_classes,
            in_channels=self.info.channels,
        )
        self.network_costs = NetworkCosts(self, settings, self.info)
        self.inputs = self.network_costs.inputs
        ((params, macs),) = self.count([space.decode([1] * space.N_VAR)])
        columns = [*qualities, *self.network_costs.described(params, macs)]
        super().__init__(
            settings, columns=columns, n_choices=space.N_CHOICES, nodes=list(space.NODES)
        )

    def count(self, architectures):
        """Params and macs of the target networks, (n, 2) ints."""
        return [cost(a, image_size=self.info.side, **self.shape) for a in architectures]

    def parts(self, architecture):
        """The parts of the target network, what a latency is the sum of where there is a table."""
        n_nodes = [len(phase.nodes) for phase in architecture.phases]
        return macro_parts(n_nodes, image_size=self.info.side, **self.shape)

    def make_evaluator(self):
        """A :class:`ScratchEvaluator`; images come at its first use."""
        return ScratchEvaluator(
            self.settings,
            self.info,
            self.network_costs,
            epochs=self.settings.proxy_epochs,
            build=self.network,
            encode=space.encode,
        )

    def operators(self):
        """Sampling, crossover, mutation and duplicate elimination for any genetic algorithm."""
        return operators(self.settings, space.N_VAR)

    def algorithm(self):
        """NSGA-II with the paper's genetic operators."""
        return nsga2_by_rank(self)

    def network(self, architecture, **shape):
        """The stand-alone network, a ``MacroNetwork``, for images of any size."""
        shape.pop("image_size", None)
        return MacroNetwork(architecture, **self.shape | shape)

    def graphs(self, architecture):
        """The three phases."""
        return [phase.graph(f"phase {i + 1}") for i, phase in enumerate(architecture.phases)]

    def operations(self):
        """Every part at every shape that a network of the space can have."""
        found = macro_parts([1] * space.N_PHASES, image_size=self.info.side, **self.shape)
        return list(dict.fromkeys(found))

    def zoo(self):
        """No architecture of this space is published in print."""
        return []


__all__ = ["PRESETS", "NSGANetMacro", "Settings", "build"]
