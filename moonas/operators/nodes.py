"""Crossover and mutation of nodes: all genes that encode a node change together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from pymoo.core.crossover import Crossover
from pymoo.core.mutation import Mutation

from ..wrapping import architecture_problem
from .categorical import sample_genes

if TYPE_CHECKING:
    from ..problem import ArchitectureProblem


def sample_nodes(
    nodes: Sequence[np.ndarray], n: int, prob: float, n_var: int, rng: np.random.Generator
) -> np.ndarray:
    """Select each node of each row with probability ``prob``.

    Args:
        nodes: list of arrays of column indices, the genes of each node.
        n: number of rows.
        prob: probability per node, in [0, 1].
        n_var: number of genes per row.
        rng: ``numpy.random.Generator``.

    Returns:
        (n, n_var) bool mask of the genes of the selected nodes.
    """
    selected = rng.random((n, len(nodes))) < prob
    mask = np.zeros((n, n_var), dtype=bool)
    for node, genes in enumerate(nodes):
        mask[:, genes] = selected[:, [node]]
    return mask


def cross_nodes(
    A: np.ndarray,
    B: np.ndarray,
    nodes: Sequence[np.ndarray],
    prob: float,
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    """Exchange each node of two rows with probability ``prob`` (uniform crossover of nodes).

    Args:
        A: (n, n_var) rows, the first parents.
        B: (n, n_var) rows, the second parents.
        nodes: list of arrays of column indices, the genes of each node.
        prob: probability per node, in [0, 1].
        rng: ``numpy.random.Generator``.

    Returns:
        Two new (n, n_var) arrays.
    """
    exchanged = sample_nodes(nodes, len(A), prob, A.shape[1], rng)
    return np.where(exchanged, B, A), np.where(exchanged, A, B)


def reset_nodes(
    X: np.ndarray,
    nodes: Sequence[np.ndarray],
    n_choices: np.ndarray,
    prob: float,
    rng: np.random.Generator,
) -> np.ndarray:
    """Resample the genes of each node uniformly with probability ``prob``.

    Args:
        X: (n, n_var) ints.
        nodes: list of arrays of column indices, the genes of each node.
        n_choices: (n_var,) number of possible values of each gene.
        prob: probability per node, in [0, 1].
        rng: ``numpy.random.Generator``.

    Returns:
        A new (n, n_var) array with the dtype of X.
    """
    reset = sample_nodes(nodes, len(X), prob, X.shape[1], rng)
    mutants: np.ndarray = np.where(reset, sample_genes(n_choices, len(X), rng), X)
    return mutants.astype(X.dtype)


class NodeCrossover(Crossover):
    """Applies :func:`cross_nodes` to ``problem.nodes``: two parents, two children.

    Args:
        prob_node: probability that a node is exchanged; 0.5 in CARS (section 4.1).
        prob: probability that a pair of parents is crossed over.
    """

    def __init__(self, prob_node: float = 0.5, prob: float = 0.9) -> None:
        super().__init__(2, 2, prob=prob)
        self.prob_node = prob_node

    def _do(
        self,
        problem: ArchitectureProblem,
        X: np.ndarray,
        *args: Any,
        random_state: np.random.Generator,
        **kwargs: Any,
    ) -> np.ndarray:
        nodes = architecture_problem(problem).nodes
        return np.stack(cross_nodes(X[0], X[1], nodes, self.prob_node, random_state))


class NodeReset(Mutation):
    """Applies :func:`reset_nodes` to ``problem.nodes``.

    Args:
        prob_node: probability that a node is resampled; 0.5 in CARS (section 4.1).
        prob: probability that a row is mutated.
    """

    def __init__(self, prob_node: float = 0.5, prob: float = 1.0) -> None:
        super().__init__(prob=prob)
        self.prob_node = prob_node

    def _do(
        self,
        problem: ArchitectureProblem,
        X: np.ndarray,
        *args: Any,
        random_state: np.random.Generator,
        **kwargs: Any,
    ) -> np.ndarray:
        known = architecture_problem(problem)
        return reset_nodes(X, known.nodes, known.n_choices, self.prob_node, random_state)
