"""Polynomial mutation of integer genes with ordered values, which prefers neighboring values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from pymoo.core.mutation import Mutation

from ..wrapping import architecture_problem

if TYPE_CHECKING:
    from ..problem import ArchitectureProblem


def transition_probabilities(k: int, eta: float) -> np.ndarray:
    """Compute the probability of each mutation of a gene with ``k`` ordered values.

    Deb's bounded polynomial mutation is applied on [-0.5, k - 0.5], its result is rounded, and the
    probabilities are conditional on a change of the value. Each value covers an interval of length
    one, so the first and the last value are not favored. A gene with two values always changes,
    although polynomial mutation with rounding would rarely change it.

    Args:
        k: number of values, at least 1.
        eta: distribution index, at least 0; a larger index makes nearby values more probable.

    Returns:
        (k, k) floats, probabilities of changing from the row's value to the column's value; the
        diagonal is zero and rows sum to 1. For k = 1, the only element is zero.
    """
    table = np.zeros((k, k))
    if k == 1:
        return table
    edges = np.arange(k + 1) - 0.5
    for value in range(k):
        step = (edges - value) / k  # displacement as a fraction of the range
        low, high = (value + 0.5) / k, (k - 0.5 - value) / k  # distances to the bounds
        a, b = (1 - low) ** (eta + 1), (1 - high) ** (eta + 1)
        down = ((1 + np.minimum(step, 0)) ** (eta + 1) - a) / (2 * (1 - a))
        up = (2 - b - (1 - np.maximum(step, 0)) ** (eta + 1)) / (2 * (1 - b))
        table[value] = np.diff(np.where(step <= 0, down, up))
        table[value, value] = 0
    normalized: np.ndarray = table / table.sum(axis=1, keepdims=True)
    return normalized


def mutate_ordered(
    X: np.ndarray, n_choices: np.ndarray, prob: float, eta: float, rng: np.random.Generator
) -> np.ndarray:
    """Mutate each gene with probability ``prob``, according to :func:`transition_probabilities`.

    Args:
        X: (n, n_var) ints, gene j in [0, n_choices[j]).
        n_choices: (n_var,) number of values of each gene; a gene with one value never changes.
        prob: mutation probability per gene, in [0, 1].
        eta: distribution index, at least 0.
        rng: ``numpy.random.Generator``.

    Returns:
        A new (n, n_var) array with the dtype of X.
    """
    mutated = rng.random(X.shape) < prob
    quantile = rng.random(X.shape)
    mutants: np.ndarray = X.copy()
    for k in np.unique(n_choices[n_choices > 1]):
        cumulative = np.cumsum(transition_probabilities(k, eta), axis=1)  # (k, k)
        genes = np.flatnonzero(n_choices == k)
        rows = cumulative[X[:, genes]] / cumulative[X[:, genes], -1:]
        target = (rows <= quantile[:, genes, None]).sum(axis=2)
        mutants[:, genes] = np.where(mutated[:, genes], target, X[:, genes])
    return mutants


class PolynomialMutation(Mutation):
    """Applies :func:`mutate_ordered` to the problem's genes.

    Args:
        n_genes: mean number of changed genes per row, in (0, n_var]; a gene with one value never
            changes.
        eta: distribution index; 3 as in NSGA-Net's release.
    """

    def __init__(self, n_genes: float = 4.0, eta: float = 3.0) -> None:
        super().__init__()
        self.n_genes, self.eta = n_genes, eta

    def _do(
        self,
        problem: ArchitectureProblem,
        X: np.ndarray,
        *args: Any,
        random_state: np.random.Generator,
        **kwargs: Any,
    ) -> np.ndarray:
        n_choices = architecture_problem(problem).n_choices
        n_free = np.count_nonzero(n_choices > 1)
        prob = min(1.0, self.n_genes / n_free)
        return mutate_ordered(X, n_choices, prob, self.eta, random_state)
