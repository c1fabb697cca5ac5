"""The contract of problems, held by every registered one."""

import pytest

import moonas
from moonas.testing import check_problem


@pytest.mark.parametrize("name", moonas.problem_names())
def test_problem_keeps_the_contract(name, tiny):
    check_problem(lambda: moonas.load_problem(name, **tiny))


def test_frozen_cars_keeps_the_contract(tiny):
    check_problem(lambda: moonas.load_problem("cars", weights="frozen", **tiny))
