import numpy as np
from pymoo.core.population import Population

from moonas.operators import SameRow


def test_duplicates_are_found_within_and_against_others_and_the_later_one_goes():
    rows = np.array([[0, 1], [0, 2], [0, 1], [3, 3]])
    pop, other = Population.new(X=rows), Population.new(X=np.array([[3, 3]]))
    assert SameRow().do(pop, other).get("X").tolist() == [[0, 1], [0, 2]]
    assert SameRow().do(pop).get("X").tolist() == [[0, 1], [0, 2], [3, 3]]
