import numpy as np
import pytest
from pymoo.decomposition.pbi import PBI
from pymoo.decomposition.tchebicheff import Tchebicheff

import moonas
from moonas.algorithms.decomposition import ScaledDecomposition


class ProblemWithBounds:
    def __init__(self, low, high):
        self.bounds = np.array([low, high], float)

    def objective_bounds(self):
        return self.bounds


@pytest.mark.parametrize("inner", [Tchebicheff(), PBI()])
def test_objectives_are_scaled_by_their_bounds(inner):
    rng = np.random.default_rng(0)
    scaled, weights = rng.random((7, 3)), rng.random((7, 3))
    low, size = np.array([1, 0, 50.0]), np.array([100, 3e6, 0.5])
    decomposition = ScaledDecomposition(inner, ProblemWithBounds(low, low + size))
    F, ideal_point = low + size * scaled, low + size * scaled.min(axis=0)
    decomposed = decomposition.do(F, weights, ideal_point=ideal_point)
    assert np.allclose(decomposed, inner.do(scaled, weights, ideal_point=scaled.min(axis=0)))
    assert not np.allclose(decomposed, inner.do(F, weights, ideal_point=low))


def test_the_population_of_moead_does_not_depend_on_the_unit_of_an_objective():
    populations = []
    for factor in (1, 1000):
        problem = moonas.load_problem("digits-table")
        params, bounds = problem.table.columns["params"], problem.objective_bounds()
        problem.table.columns["params"] = factor * params
        problem.objective_bounds = lambda b=bounds, f=factor: b * [1, f]
        search = moonas.algorithm("moead", problem)
        search.setup(problem, termination=("n_gen", 5), seed=1)
        while search.has_next():
            search.next()
        populations.append(search.pop.get("X"))
    assert np.array_equal(*populations)
