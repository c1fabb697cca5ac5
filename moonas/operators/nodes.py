"""Crossover and mutation of whole nodes: the genes that describe a node stay together."""

import numpy as np
from pymoo.core.crossover import Crossover
from pymoo.core.mutation import Mutation

from .categorical import draw_genes


def choose_nodes(nodes, n, prob, n_var, rng):
    """Which genes are taken when each node is, with probability ``prob``.

    Args:
        nodes: list of arrays of gene indices.
        n: number of rows.
        prob: in [0, 1].
        n_var: genes of a row.
        rng: ``numpy.random.Generator``.

    Returns:
        (n, n_var) bool; the genes of one node are equal.
    """
    coins = rng.random((n, len(nodes))) < prob
    taken = np.zeros((n, n_var), dtype=bool)
    for node, genes in enumerate(nodes):
        taken[:, genes] = coins[:, [node]]
    return taken


def cross_nodes(A, B, nodes, prob, rng):
    """Exchange each node of two rows with probability ``prob``; two new arrays (n, n_var)."""
    taken = choose_nodes(nodes, len(A), prob, A.shape[1], rng)
    return np.where(taken, B, A), np.where(taken, A, B)


def reset_nodes(X, nodes, n_choices, prob, rng):
    """Draw the genes of each node afresh with probability ``prob``; a new (n, n_var) array."""
    taken = choose_nodes(nodes, len(X), prob, X.shape[1], rng)
    return np.where(taken, draw_genes(n_choices, len(X), rng), X).astype(X.dtype)


class NodeCrossover(Crossover):
    """:func:`cross_nodes` over ``problem.nodes``: two parents, two children.

    Args:
        prob_node: chance of each node to change sides (CARS, section 4.1: 0.5).
        prob: chance that a pair of parents is crossed at all.
    """

    def __init__(self, prob_node=0.5, prob=0.9):
        super().__init__(2, 2, prob=prob)
        self.prob_node = prob_node

    def _do(self, problem, X, *args, random_state, **kwargs):
        return np.stack(cross_nodes(X[0], X[1], problem.nodes, self.prob_node, random_state))


class NodeReset(Mutation):
    """:func:`reset_nodes` over ``problem.nodes``.

    Args:
        prob_node: chance of each node to be drawn afresh (CARS, section 4.1: 0.5).
        prob: chance that a row is mutated at all.
    """

    def __init__(self, prob_node=0.5, prob=1.0):
        super().__init__(prob=prob)
        self.prob_node = prob_node

    def _do(self, problem, X, *args, random_state, **kwargs):
        return reset_nodes(X, problem.nodes, problem.n_choices, self.prob_node, random_state)
