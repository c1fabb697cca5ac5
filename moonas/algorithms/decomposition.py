"""Decompositions of objectives of different scales, for MOEA/D."""

import numpy as np
from pymoo.core.decomposition import Decomposition


class Scaled(Decomposition):
    """Another decomposition, of objectives as shares of the problem's bounds.

    Without it, weights between an error in percent and parameters by the thousand say nothing, and
    pymoo's MOEA/D does not scale by itself.

    Args:
        inner: a pymoo Decomposition.
        problem: gives ``objective_bounds()``, (2, n_obj).
    """

    def __init__(self, inner, problem):
        super().__init__()
        self.inner = inner
        self.low, high = problem.objective_bounds()
        self.range = high - self.low

    def do(self, F, weights, ideal_point=None, **kwargs):
        """As the inner one; F and ideal_point in the problem's units."""
        if ideal_point is not None:
            ideal_point = (ideal_point - self.low) / self.range
        scaled = (np.asarray(F) - self.low) / self.range
        return self.inner.do(scaled, weights, ideal_point=ideal_point, **kwargs)
