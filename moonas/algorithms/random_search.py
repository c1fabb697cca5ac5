"""Random search as a mating: offspring have no parents. A sampling that fills up."""

from pymoo.core.infill import InfillCriterion
from pymoo.core.population import Population
from pymoo.core.sampling import Sampling


class RandomMating(InfillCriterion):
    """Offspring drawn by a sampling, whatever the population is.

    In an algorithm that keeps the best of parents and offspring, this is random search.

    Args:
        sampling: a pymoo Sampling.
        kwargs: ``eliminate_duplicates``, ``repair`` and ``n_max_iterations`` of pymoo's infill.
    """

    def __init__(self, sampling, **kwargs):
        super().__init__(**kwargs)
        self.sampling = sampling

    def _do(self, problem, pop, n_offsprings, *args, random_state=None, **kwargs):
        drawn = self.sampling.do(problem, n_offsprings, random_state=random_state)
        return Population.new(X=drawn.get("X"))


class WholeSampling(Sampling):
    """A sampling that draws again until no row is there twice, and all are there.

    Args:
        sampling: a pymoo Sampling.
        kwargs: as of :class:`RandomMating`.
    """

    def __init__(self, sampling, **kwargs):
        super().__init__()
        self.mating = RandomMating(sampling, **kwargs)

    def do(self, problem, n_samples, *args, random_state=None, **kwargs):
        """A population of n_samples; a ``ValueError`` if there are not so many different ones."""
        drawn = self.mating.do(problem, Population(), n_samples, random_state=random_state)
        if len(drawn) < n_samples:
            raise ValueError(
                f"population={n_samples} will not do: only {len(drawn)} different architectures "
                "were found."
            )
        return drawn
