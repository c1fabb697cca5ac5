"""Random search as a mating: offspring have no parents."""

from pymoo.core.infill import InfillCriterion
from pymoo.core.population import Population


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
