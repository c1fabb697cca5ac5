"""The search of the macro space of NSGA-Net as a pymoo problem (section G.3)."""

from __future__ import annotations

from typing import Any

import numpy as np
from pymoo.core.algorithm import Algorithm

from moonas.algorithms import nsga2_by_rank
from moonas.classifier import ClassifierProblem
from moonas.nets.parts import Part
from moonas.run.candidates import Candidates
from moonas.spaces.graph import Graph

from ..nsganet.operators import operators
from . import space
from .networks import MacroNetwork, count_costs, macro_parts
from .settings import Settings


def build(**options: Any) -> NSGANetMacro:
    """Build the problem; ``options`` are fields of :class:`Settings`."""
    return NSGANetMacro(Settings(**options))


class NSGANetMacro(ClassifierProblem):
    """Search for the connections in three phases; each candidate is trained from scratch.

    Args:
        settings: a :class:`Settings`.
    """

    space = space
    architecture_title = "phases, each node with its inputs"
    settings: Settings

    def __init__(self, settings: Settings) -> None:
        super().__init__(
            settings, n_choices=space.N_CHOICES, nodes=space.NODES, blocks=space.BLOCKS
        )

    @property
    def trained_shape(self) -> dict[str, Any]:
        """Keyword arguments of the networks, which accept images of any size."""
        return dict(
            channels=self.settings.channels,
            n_classes=self.info.n_classes,
            in_channels=self.info.channels,
        )

    def count(self, candidates: Candidates) -> np.ndarray:
        """Return params and macs of the candidates' networks, (n, 2) ints."""
        side, shape = self.info.side, self.trained_shape
        return np.array([count_costs(a, image_size=side, **shape) for a in candidates])

    def parts(self, architecture: space.Architecture) -> list[Part]:
        """Return the parts of the network; a latency table lists their latencies."""
        n_nodes = [len(phase.nodes) for phase in architecture.phases]
        return macro_parts(n_nodes, image_size=self.info.side, **self.trained_shape)

    def operators(self) -> dict[str, Any]:
        """Return the paper's sampling, crossover and mutation, and duplicate elimination."""
        return operators(self.settings, space.N_VAR)

    def algorithm(self) -> Algorithm:
        """Return NSGA-II with the operators of the paper."""
        return nsga2_by_rank(self)

    def network(self, architecture: space.Architecture, **shape: Any) -> MacroNetwork:
        """Build the stand-alone network of an architecture, untrained.

        Args:
            architecture: an :class:`~moonas.problems.nsganet_macro.space.Architecture`.
            shape: ``channels``, ``n_classes`` and ``in_channels``, by default those of the problem;
                ``image_size`` is accepted and ignored.
        """
        shape.pop("image_size", None)
        return MacroNetwork(architecture, **self.trained_shape | shape)

    def graphs(self, architecture: space.Architecture) -> list[Graph]:
        """Return the graph of each phase."""
        return [phase.graph(f"phase {i + 1}") for i, phase in enumerate(architecture.phases)]

    def operations(self) -> list[Part]:
        """Return all parts that a network of the space can have, for latency tables."""
        n_nodes = [1] * space.N_PHASES
        parts = macro_parts(n_nodes, image_size=self.info.side, **self.trained_shape)
        return list(dict.fromkeys(parts))


__all__ = ["NSGANetMacro", "Settings", "build"]
