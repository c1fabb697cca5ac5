"""Random search as a pymoo mating that ignores the parents, and a sampling without duplicates."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from pymoo.core.infill import InfillCriterion
from pymoo.core.population import Population
from pymoo.core.sampling import Sampling

if TYPE_CHECKING:
    from ..problem import ArchitectureProblem


class RandomMating(InfillCriterion):
    """Samples offspring independently of the population.

    With this mating, an algorithm whose survival selects the best of parents and offspring performs
    random search.

    Args:
        sampling: a pymoo sampling.
        kwargs: ``eliminate_duplicates``, ``repair`` and ``n_max_iterations`` of pymoo's
            ``InfillCriterion``.
    """

    def __init__(self, sampling: Sampling, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.sampling = sampling

    def _do(
        self,
        problem: ArchitectureProblem,
        pop: Population,
        n_offsprings: int,
        *args: Any,
        random_state: np.random.Generator | None = None,
        **kwargs: Any,
    ) -> Population:
        sampled = self.sampling.do(
            problem, n_offsprings, random_state=random_state, algorithm=kwargs.get("algorithm")
        )
        return Population.new(X=sampled.get("X"))


class UniqueSampling(Sampling):
    """Repeats a sampling until it has returned the requested number of different rows.

    Args:
        sampling: a pymoo sampling.
        kwargs: keyword arguments of :class:`RandomMating`.
    """

    def __init__(self, sampling: Sampling, **kwargs: Any) -> None:
        super().__init__()
        self.mating = RandomMating(sampling, **kwargs)

    def do(
        self,
        problem: ArchitectureProblem,
        n_samples: int,
        *args: Any,
        random_state: np.random.Generator | None = None,
        **kwargs: Any,
    ) -> Population:
        """Return a population of ``n_samples`` individuals without duplicates.

        Raises:
            ValueError: if fewer than ``n_samples`` different architectures were found.
        """
        sampled = self.mating.do(
            problem, Population(), n_samples, random_state=random_state, **kwargs
        )
        if len(sampled) < n_samples:
            raise ValueError(
                f"population={n_samples} is too large: only {len(sampled)} different "
                "architectures were found. Choose a smaller population."
            )
        return sampled
