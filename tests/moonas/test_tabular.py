"""Problems whose scores are looked up in a table."""

import pickle

import numpy as np
import pytest

from moonas.problem import Column
from moonas.settings import TabularSettings
from moonas.tabular import Table, TabularProblem

X = [[0, 0], [0, 1], [1, 0], [2, 0], [2, 1]]  # the row (1, 1) is missing
COLUMNS = {"error": [50, np.nan, 30, 30, 70], "params": [1, 0, 2, 2, 5]}


class SmallTableProblem(TabularProblem):
    """A space of six architectures: one is not in the table, and one has no error there."""

    def __init__(self):
        settings = TabularSettings(objectives=("error", "params"))
        columns = [
            Column("error", "%", worst=100.0, bounds=(0, 100)),
            Column("params", "parameters", bounds=(0, 10)),
        ]
        super().__init__(settings, columns=columns, n_choices=[3, 2])

    def read_table(self):
        return Table(X, [3, 2], COLUMNS)

    def decode(self, x):
        return tuple(np.asarray(x).tolist())

    def encode(self, architecture):
        return np.array(architecture)

    def network(self, architecture, **shape):
        raise NotImplementedError


def test_a_table_returns_nan_for_rows_that_it_lacks():
    table = SmallTableProblem().table
    assert len(table) == 5
    assert table.indices([[2, 1], [1, 1], [0, 0]]).tolist() == [4, -1, 0]
    values = table.look_up([[2, 1], [1, 1], [0, 0]])
    assert np.array_equal(values["error"], [70, np.nan, 50], equal_nan=True)
    assert np.array_equal(values["params"], [5, np.nan, 1], equal_nan=True)


def test_the_true_front_excludes_dominated_incomplete_and_repeated_rows():
    X_front, F = SmallTableProblem().true_front()
    assert X_front.tolist() == [[1, 0], [0, 0]]
    assert F.tolist() == [[30, 2], [50, 1]]


def test_the_true_hypervolume_is_the_hypervolume_of_the_true_front():
    # corners (30, 2), (50, 1) of a 100 x 10 rectangle: 70 * 8 + 50 * 1 = 610 of 1000
    assert SmallTableProblem().true_hypervolume() == pytest.approx(0.61)


def test_an_architecture_without_an_error_gets_the_worst_error():
    F = SmallTableProblem().evaluate(np.array([[0, 1], [2, 1]]))
    assert F.tolist() == [[100, 0], [70, 5]]


def test_a_pickled_problem_does_not_include_its_table():
    problem = SmallTableProblem()
    problem.true_front()
    other = pickle.loads(pickle.dumps(problem))
    assert not {"table", "_true_front"} & set(vars(other))
    assert other.true_hypervolume() == problem.true_hypervolume()


@pytest.mark.parametrize(
    ("rows", "columns", "message"),
    [
        ([[0, 0], [0, 0]], {}, r"the architecture \[0, 0\] more than once"),
        ([[3, 0]], {}, "an architecture that is not in the space"),
        ([[0, 0]], {"error": [1, 2]}, r"'error' is invalid: .* got shape \(2,\)"),
    ],
)
def test_an_invalid_table_is_rejected(rows, columns, message):
    with pytest.raises(ValueError, match=message):
        Table(rows, [3, 2], columns)
