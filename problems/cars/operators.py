"""The mating of CARS, which creates its offspring."""

from __future__ import annotations

from typing import Any

import numpy as np
from pymoo.core.infill import InfillCriterion
from pymoo.core.population import Population
from pymoo.core.problem import Problem

from moonas.operators.categorical import sample_genes
from moonas.operators.nodes import cross_nodes, reset_nodes
from moonas.wrapping import architecture_problem


class CARSMating(InfillCriterion):
    """Create each child by crossover, by mutation or by uniform sampling (section 4.1).

    Parents are chosen uniformly, with replacement. With the remaining probability,
    ``1 - crossover - mutation``, a child is a uniformly sampled architecture.

    Args:
        crossover: probability that a child is a crossover of two parents, which may be the same
            individual.
        mutation: probability that a child is a copy of one parent with some nodes resampled.
        prob_node: probability per node that crossover exchanges it or mutation resamples it.
        kwargs: arguments of pymoo's ``InfillCriterion``: ``eliminate_duplicates``, ``repair`` and
            ``n_max_iterations``.
    """

    def __init__(
        self,
        crossover: float = 0.25,
        mutation: float = 0.25,
        prob_node: float = 0.5,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.crossover, self.mutation, self.prob_node = crossover, mutation, prob_node

    def _do(
        self,
        problem: Problem,
        pop: Population,
        n_offsprings: int,
        *args: Any,
        random_state: np.random.Generator,
        **kwargs: Any,
    ) -> Population:
        rng, n, known = random_state, n_offsprings, architecture_problem(problem)
        parents = pop.get("X")[rng.integers(len(pop), size=(2, n))]
        crossed, _ = cross_nodes(parents[0], parents[1], known.nodes, self.prob_node, rng)
        mutated = reset_nodes(parents[0], known.nodes, known.n_choices, self.prob_node, rng)
        sampled = sample_genes(known.n_choices, n, rng)
        u = rng.random((n, 1))
        X = np.where(u < self.crossover + self.mutation, mutated, sampled)
        X = np.where(u < self.crossover, crossed, X)
        return Population.new(X=X)
