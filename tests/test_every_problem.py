"""The contract of problems, held by every registered one."""

import numpy as np
import pytest
from pymoo.operators.mutation.pm import PM
from toy import Toy

import moonas
from moonas.testing import check_problem


@pytest.mark.parametrize("name", moonas.problem_names())
def test_problem_keeps_the_contract(name, tiny):
    check_problem(moonas.load_problem(name, **tiny), n=4, generations=2)


def test_frozen_cars_keeps_the_contract(tiny):
    check_problem(moonas.load_problem("cars", weights="frozen", **tiny), n=4, generations=2)


def test_a_problem_in_closed_form_keeps_the_contract():
    check_problem(Toy())


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (dict(encode=lambda x: np.zeros(6, int)), "encode"),
        (dict(operations=list), "operations"),
        (dict(objective_bounds=lambda: np.array([[0, 0], [1, 1]])), "bounds"),
        (dict(operators=lambda: Toy().operators() | {"mutation": PM(eta=3)}), "type"),
    ],
)
def test_the_check_notices_a_broken_contract(fault, message):
    toy = Toy()
    vars(toy).update(fault)
    with pytest.raises(AssertionError, match=message):
        check_problem(toy)
