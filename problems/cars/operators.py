"""Offspring as CARS makes them."""

import numpy as np
from pymoo.core.infill import InfillCriterion
from pymoo.core.population import Population

from moonas.operators.categorical import sample_genes
from moonas.operators.nodes import cross_nodes, reset_nodes


class CARSMating(InfillCriterion):
    """Each child is crossed, mutated or drawn afresh (section 4.1); parents are drawn uniformly.

    Args:
        crossover: chance that a child is crossed from two parents, which may coincide.
        mutation: chance that it is one parent with nodes drawn afresh; else it is all new.
        prob_node: chance of each node in both.
        kwargs: ``eliminate_duplicates``, ``repair`` and ``n_max_iterations`` of pymoo's infill.
    """

    def __init__(self, crossover=0.25, mutation=0.25, prob_node=0.5, **kwargs):
        super().__init__(**kwargs)
        self.crossover, self.mutation, self.prob_node = crossover, mutation, prob_node

    def _do(self, problem, pop, n_offsprings, *args, random_state=None, **kwargs):
        rng, n = random_state, n_offsprings
        parents = pop.get("X")[rng.integers(len(pop), size=(2, n))]
        crossed, _ = cross_nodes(*parents, problem.nodes, self.prob_node, rng)
        mutated = reset_nodes(parents[0], problem.nodes, problem.n_choices, self.prob_node, rng)
        fresh = sample_genes(problem.n_choices, n, rng)
        coin = rng.random((n, 1))
        X = np.where(coin < self.crossover + self.mutation, mutated, fresh)
        X = np.where(coin < self.crossover, crossed, X)
        return Population.new(X=X)
