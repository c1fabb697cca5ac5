"""Operators of NSGANetV1 (section III-C), for its block space and its macro space."""

from __future__ import annotations

from typing import Any

from moonas.evaluators.settings import ProxySettings
from moonas.operators import BlockCrossover, CategoricalSampling, PolynomialMutation, SameRow

from .settings import MUTATION_ETA


def operators(settings: ProxySettings, n_var: int, eta: float = MUTATION_ETA) -> dict[str, Any]:
    """Return sampling, crossover, mutation and duplicate elimination for pymoo's algorithms.

    Args:
        settings: settings of the search; ``crossover`` is the probability per pair of parents and
            ``mutation`` the probability per gene.
        n_var: number of genes.
        eta: distribution index of the polynomial mutation.

    Returns:
        A dict of keyword arguments: ``sampling``, ``crossover``, ``mutation`` and
        ``eliminate_duplicates``.
    """
    return dict(
        sampling=CategoricalSampling(),
        crossover=BlockCrossover(prob=settings.crossover),
        mutation=PolynomialMutation(n_genes=settings.mutation * n_var, eta=eta),
        eliminate_duplicates=SameRow(),
    )
