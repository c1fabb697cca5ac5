"""The search of NSGANetV1 as a pymoo problem, with two evaluators."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
from pymoo.core.algorithm import Algorithm

from moonas.algorithms import BayesianMating, nsga2_by_rank
from moonas.classifier import ClassifierProblem
from moonas.models.zoo import Published
from moonas.nets.cell_network import CellNetwork
from moonas.nets.cells import loose_ends
from moonas.nets.counting import CellCosts
from moonas.nets.parts import Part, network_parts, space_parts
from moonas.problem import Evaluator
from moonas.run.candidates import Candidates
from moonas.spaces.graph import Graph

from . import space, zoo
from .operators import operators
from .settings import Settings
from .supernet import Supernet


def build(**options: Any) -> NSGANet:
    """Build the problem; ``options`` are fields of :class:`Settings`."""
    return NSGANet(Settings(**options))


class NSGANet(ClassifierProblem):
    """Search for a normal and a reduction block of 20 genes each.

    With ``evaluator="proxy"`` each candidate is trained from scratch as a small network; with
    ``evaluator="supernet"`` candidates share the weights of a supernet.

    Args:
        settings: a :class:`Settings`.
    """

    space = space
    architecture_title = "normal block / reduction block"
    settings: Settings

    def __init__(self, settings: Settings) -> None:
        super().__init__(
            settings, n_choices=space.N_CHOICES, nodes=space.NODES, blocks=space.BLOCKS
        )
        self.nonstationary = settings.evaluator == "supernet" and settings.weights == "shared"

    @property
    def trained_shape(self) -> dict[str, Any]:
        """Keyword arguments of each proxy network, or of the supernet."""
        s = self.settings
        size = dict(channels=s.channels, layers=s.layers, increment=s.increment)
        return self.image_shape | size | dict(stem=s.stem)

    @cached_property
    def shape(self) -> dict[str, Any]:
        """Keyword arguments of the target network, which params, macs and latency refer to."""
        s = self.settings
        target = dict(channels=s.target_channels or s.channels, layers=s.target_layers or s.layers)
        return self.trained_shape | self.target_image_shape | target

    @cached_property
    def costs(self) -> CellCosts:
        """Closed form of the target network's params and macs."""
        count_fixed = self.settings.count_fixed
        return CellCosts(
            space.OPERATIONS, n_nodes=space.N_NODES, count_fixed=count_fixed, **self.shape
        )

    def count(self, candidates: Candidates) -> np.ndarray:
        """Return params and macs of the candidates' target networks, (n, 2) int64."""
        rows = candidates.rows
        return self.costs.count(*space.edges(rows), space.count_loose_ends(rows))

    def largest(self) -> tuple[int, float]:  # type: ignore[override]  # a bound may be fractional
        """Return an upper bound of the target networks' params, and the reference value of macs.

        The reference value is ``settings.macs_bound``; if that is None, it is an upper bound of the
        macs of all target networks.
        """
        params, macs = self.costs.largest()
        return int(params), self.settings.macs_bound or int(macs)

    def make_evaluator(self) -> Evaluator:
        """Return the evaluator that ``settings.evaluator`` names; it loads images when first used.

        Returns:
            A :class:`~moonas.evaluators.ScratchEvaluator` or
            :class:`~moonas.evaluators.SupernetEvaluator`.
        """
        if self.settings.evaluator == "proxy":
            return super().make_evaluator()
        return self.supernet_evaluator(Supernet)

    def parts(self, architecture: space.Architecture) -> list[Part]:
        """Return the parts of the target network; a latency table lists their latencies."""
        edges = architecture.normal, architecture.reduction
        return network_parts(*edges, concat=loose_ends, **self.shape)

    def operators(self) -> dict[str, Any]:
        """Return the paper's sampling, crossover and mutation, and duplicate elimination."""
        s = self.settings
        return operators(s, space.N_VAR, s.eta)

    def algorithm(self) -> Algorithm:
        """Return the paper's algorithm: NSGA-II with offspring sampled from a Bayesian network.

        The Bayesian network is used after the fraction ``exploitation`` of the generations; with
        None, the algorithm is NSGA-II without a Bayesian network.
        """
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

    def network(self, architecture: space.Architecture, **shape: Any) -> CellNetwork:
        """Build the stand-alone network of an architecture, untrained.

        Args:
            architecture: an :class:`~moonas.problems.nsganet.space.Architecture`.
            shape: keyword arguments of :class:`~moonas.nets.cell_network.CellNetwork`; by
                default those of the target network.
        """
        edges = architecture.normal, architecture.reduction
        return CellNetwork(*edges, concat=loose_ends, **self.shape | shape)

    def graphs(self, architecture: space.Architecture) -> list[Graph]:
        """Return the graphs of the normal and the reduction block."""
        return architecture.graphs("block", loose_ends)

    def operations(self) -> list[Part]:
        """Return all parts that a target network of the space can have, for latency tables."""
        n_concat = range(1, space.N_NODES + 1)
        return space_parts(space.OPERATIONS, space.N_NODES, n_concat=n_concat, **self.shape)

    def zoo(self) -> list[Published]:
        """Return the published architectures, with params and macs as their papers count them."""
        return zoo.published()


__all__ = ["NSGANet", "Settings", "build"]
