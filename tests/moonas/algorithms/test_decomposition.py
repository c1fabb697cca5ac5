import numpy as np
import pytest
from pymoo.decomposition.pbi import PBI
from pymoo.decomposition.tchebicheff import Tchebicheff

import moonas
from moonas.algorithms.decomposition import ScaledDecomposition


class Bounds:
    def __init__(self, low, high):
        self.bounds = np.array([low, high], float)

    def objective_bounds(self):
        return self.bounds


@pytest.mark.parametrize("inner", [Tchebicheff(), PBI()])
def test_objectives_are_shares_of_their_bounds(inner):
    rng = np.random.default_rng(0)
    shares, weights = rng.random((7, 3)), rng.random((7, 3))
    low, size = np.array([1, 0, 50.0]), np.array([100, 3e6, 0.5])
    scaled = ScaledDecomposition(inner, Bounds(low, low + size))
    found = scaled.do(low + size * shares, weights, ideal_point=low + size * shares.min(axis=0))
    assert np.allclose(found, inner.do(shares, weights, ideal_point=shares.min(axis=0)))
    assert not np.allclose(found, inner.do(low + size * shares, weights, ideal_point=low))


def test_moead_does_not_change_with_the_unit_of_an_objective():
    ends = []
    for factor in (1, 1000):
        problem = moonas.load_problem("digits-table")
        look_up, bounds = problem.table.columns["params"], problem.objective_bounds()
        problem.table.columns["params"] = factor * look_up
        problem.objective_bounds = lambda b=bounds, f=factor: b * [1, f]
        search = moonas.algorithm("moead", problem)
        search.setup(problem, termination=("n_gen", 5), seed=1)
        while search.has_next():
            search.next()
        ends.append(search.pop.get("X"))
    assert np.array_equal(*ends)
