"""Sampling and mutation of categorical genes, whose values are labels without an order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from pymoo.core.mutation import Mutation
from pymoo.core.sampling import Sampling

from ..wrapping import architecture_problem
from .ask_and_tell import pass_algorithm_on

if TYPE_CHECKING:
    from ..problem import ArchitectureProblem


def sample_genes(n_choices: np.ndarray, n_samples: int, rng: np.random.Generator) -> np.ndarray:
    """Sample rows uniformly: (n_samples, n_var) int64, gene j in [0, n_choices[j])."""
    return rng.integers(0, n_choices, size=(n_samples, len(n_choices)))


def sample_different_choices(
    X: np.ndarray, n_choices: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Sample a new value for each gene, uniformly from all values except the current one.

    Args:
        X: (n, n_var) ints, gene j in [0, n_choices[j]).
        n_choices: (n_var,) number of choices; a gene with one choice never changes.
        rng: ``numpy.random.Generator``.

    Returns:
        A new (n, n_var) array.
    """
    step = rng.integers(1, np.maximum(n_choices, 2), size=X.shape)  # 1 to n_choices - 1
    choices: np.ndarray = (X + step) % n_choices
    return choices


def reset_genes(
    X: np.ndarray, n_choices: np.ndarray, prob: float, rng: np.random.Generator
) -> np.ndarray:
    """Replace each gene by a different choice with probability ``prob``.

    Args:
        X: (n, n_var) ints, gene j in [0, n_choices[j]).
        n_choices: (n_var,) number of choices; a gene with one choice never changes.
        prob: mutation probability per gene, in [0, 1].
        rng: ``numpy.random.Generator``.

    Returns:
        A new (n, n_var) array with the dtype of X.
    """
    replacements = sample_different_choices(X, n_choices, rng)
    mutated = (rng.random(X.shape) < prob) & (n_choices > 1)
    return np.where(mutated, replacements, X).astype(X.dtype)


class CategoricalSampling(Sampling):
    """Applies :func:`sample_genes` to the problem's genes."""

    def _do(
        self,
        problem: ArchitectureProblem,
        n_samples: int,
        *args: Any,
        random_state: np.random.Generator,
        **kwargs: Any,
    ) -> np.ndarray:
        pass_algorithm_on(kwargs.get("algorithm"))
        return sample_genes(architecture_problem(problem).n_choices, n_samples, random_state)


class ResetGenes(Mutation):
    """Random resetting mutation: applies :func:`reset_genes` to the problem's genes.

    Args:
        n_genes: mean number of changed genes per row, in (0, n_var]; a gene with one choice never
            changes.
    """

    def __init__(self, n_genes: float = 1.0) -> None:
        super().__init__()
        self.n_genes = n_genes

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
        return reset_genes(X, n_choices, min(1.0, self.n_genes / n_free), random_state)
