"""Operators for rows of integer and real genes, see :class:`moonas.spaces.genes.Genes`.

The values of all genes are ordered. Crossover treats an integer as a real number in [low - 1/2,
high + 1/2] and rounds the result, so that each value covers an interval of the same length.
Integers are mutated as in :mod:`moonas.operators.ordered`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from pymoo.core.crossover import Crossover
from pymoo.core.mutation import Mutation
from pymoo.core.sampling import Sampling
from pymoo.operators.crossover.sbx import cross_sbx
from pymoo.operators.mutation.pm import mut_pm

from ..wrapping import architecture_problem
from .ask_and_tell import pass_algorithm_on
from .ordered import mutate_ordered

if TYPE_CHECKING:
    from ..problem import ArchitectureProblem
    from ..spaces.genes import Genes


def sample_mixed(genes: Genes, n_samples: int, rng: np.random.Generator) -> np.ndarray:
    """Sample rows uniformly within the bounds: (n_samples, n_var), with the dtype of the genes."""
    low, high = _real_bounds(genes)
    return round_integers(rng.uniform(low, high, size=(n_samples, len(low))), genes)


def cross_mixed(
    A: np.ndarray, B: np.ndarray, genes: Genes, eta: float, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Apply simulated binary crossover (Deb and Agrawal, 1995) to each gene with probability 1/2.

    Args:
        A: (n, n_var) rows, the first parents.
        B: (n, n_var) rows, the second parents.
        genes: bounds and kinds of the genes, a :class:`~moonas.spaces.genes.Genes`.
        eta: distribution index; a larger index creates children closer to their parents.
        rng: ``numpy.random.Generator``.

    Returns:
        Two new (n, n_var) arrays.
    """
    low, high = _real_bounds(genes)
    parents = np.stack([A, B]).astype(float)
    half, index = np.full((len(A), 1), 0.5), np.full((len(A), 1), float(eta))
    children = cross_sbx(parents, low, high, index, half, half, random_state=rng)
    first, second = round_integers(children, genes)
    return first, second


def mutate_mixed(
    X: np.ndarray, genes: Genes, prob: float, eta: float, rng: np.random.Generator
) -> np.ndarray:
    """Apply polynomial mutation (Deb and Goyal, 1996) to each gene with probability ``prob``.

    Args:
        X: (n, n_var) rows.
        genes: bounds and kinds of the genes, a :class:`~moonas.spaces.genes.Genes`.
        prob: mutation probability per gene, in [0, 1].
        eta: distribution index; a larger index creates mutants closer to the original. A mutated
            integer always changes.
        rng: ``numpy.random.Generator``.

    Returns:
        A new (n, n_var) array.
    """
    real, mutants = genes.real, np.array(X, float)
    mutants[:, ~real] = genes.low[~real] + mutate_ordered(
        (mutants - genes.low)[:, ~real].astype(np.int64), genes.n_choices[~real], prob, eta, rng
    )
    low, high = genes.low[real], genes.high[real]
    indices, probs = np.full(len(X), float(eta)), np.full(len(X), float(prob))
    mutants[:, real] = mut_pm(
        mutants[:, real], low, high, indices, probs, at_least_once=False, random_state=rng
    )
    return mutants.astype(genes.dtype)


def _real_bounds(genes: Genes) -> tuple[np.ndarray, np.ndarray]:
    """Return (n_var,) lower and upper bounds before rounding: wider by 1/2 for integers."""
    margin = np.where(genes.real, 0, 0.5)
    return genes.low - margin, genes.high + margin


def round_integers(X: np.ndarray, genes: Genes) -> np.ndarray:
    """Round the integer genes of rows, (..., n_var), and return values within the bounds.

    Halves are rounded up. The result has the dtype of the genes.
    """
    rounded = np.where(genes.real, X, np.floor(X + 0.5))
    rows: np.ndarray = np.clip(rounded, genes.low, genes.high).astype(genes.dtype)
    return rows


class MixedSampling(Sampling):
    """Applies :func:`sample_mixed` to the problem's genes."""

    def _do(
        self,
        problem: ArchitectureProblem,
        n_samples: int,
        *args: Any,
        random_state: np.random.Generator,
        **kwargs: Any,
    ) -> np.ndarray:
        pass_algorithm_on(kwargs.get("algorithm"))
        return sample_mixed(architecture_problem(problem).genes, n_samples, random_state)


class MixedCrossover(Crossover):
    """Applies :func:`cross_mixed` to the problem's genes: two parents, two children.

    Args:
        prob: probability that a pair of parents is crossed over.
        eta: distribution index; 15 is pymoo's default.
    """

    def __init__(self, prob: float = 0.9, eta: float = 15.0) -> None:
        super().__init__(2, 2, prob=prob)
        self.index = eta

    def _do(
        self,
        problem: ArchitectureProblem,
        X: np.ndarray,
        *args: Any,
        random_state: np.random.Generator,
        **kwargs: Any,
    ) -> np.ndarray:
        genes = architecture_problem(problem).genes
        return np.stack(cross_mixed(X[0], X[1], genes, self.index, random_state))


class MixedMutation(Mutation):
    """Applies :func:`mutate_mixed` to the problem's genes.

    Args:
        prob_gene: mutation probability per gene.
        eta: distribution index; 20 is pymoo's default.
    """

    def __init__(self, prob_gene: float = 0.1, eta: float = 20.0) -> None:
        super().__init__()
        self.prob_gene, self.index = prob_gene, eta

    def _do(
        self,
        problem: ArchitectureProblem,
        X: np.ndarray,
        *args: Any,
        random_state: np.random.Generator,
        **kwargs: Any,
    ) -> np.ndarray:
        genes = architecture_problem(problem).genes
        return mutate_mixed(X, genes, self.prob_gene, self.index, random_state)
