import numpy as np
from pymoo.core.population import Population
from pymoo.optimize import minimize
from toy import Toy

from moonas.operators import EvaluatedRow, SameArchitecture, SameRow


def population(*rows):
    return Population.new(X=np.array(rows))


def test_duplicates_within_a_population_and_of_another_population_are_eliminated():
    pop, other = population([0, 1], [0, 2], [0, 1], [3, 3]), population([3, 3])
    assert SameRow().do(pop, other).get("X").tolist() == [[0, 1], [0, 2]]
    assert SameRow().do(pop).get("X").tolist() == [[0, 1], [0, 2], [3, 3]]


def test_rows_that_decode_to_equal_architectures_are_duplicates():
    pop = population([1.0, 2.0], [1.2, 2.0], [2.0, 2.0], [1.0, 2.4])
    elimination = SameArchitecture(lambda x: tuple(np.floor(x)))
    assert elimination.do(pop).get("X").tolist() == [[1, 2], [2, 2]]
    remaining = elimination.do(pop, population([2.5, 2.5]))
    assert remaining.get("X").tolist() == [[1, 2]]


def test_rows_that_were_already_evaluated_in_the_run_are_duplicates():
    toy = Toy(nonstationary=False)
    elimination = EvaluatedRow(toy)
    new = population([0, 1, 2, 3, 0, 1], [3, 3, 3, 3, 3, 3], [0, 1, 2, 3, 0, 1])
    assert len(elimination.do(new)) == 2
    search = toy.algorithm()
    result = minimize(toy, search, ("n_gen", 2), seed=1)
    evaluated = result.pop.get("X")[0]
    mixed = population(evaluated, *new.get("X"))
    assert elimination.do(mixed).get("X").tolist() == new.get("X")[:2].tolist()


def test_rows_of_an_earlier_run_are_not_duplicates():
    toy = Toy(nonstationary=False)
    result = minimize(toy, toy.algorithm(), ("n_gen", 2), seed=1)
    elimination = EvaluatedRow(toy)  # for the next run
    assert len(elimination.do(result.pop[:3])) == 3
