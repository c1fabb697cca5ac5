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

    def __init__(self, **options):
        settings = TabularSettings(objectives=("error", "params"), **options)
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


def test_hypervolumes_are_shares_of_the_true_one_in_a_box_around_the_true_front():
    problem = SmallTableProblem()
    # the ideal point is (30, 1), the nadir point (50, 2), and a tenth more is (52, 2.1)
    assert np.allclose(problem.hypervolume_box(), [[30, 1], [52, 2.1]])
    # 22 * 0.1 + 2 * 1 = 4.2 of 22 * 1.1 = 24.2
    assert problem.true_hypervolume() == pytest.approx(4.2 / 24.2)
    _, F = problem.true_front()
    assert problem.hypervolume(F) == pytest.approx(1)
    assert problem.hypervolume(F[:1]) == pytest.approx(2.2 / 4.2)
    assert problem.hypervolume(F + np.array([1, 0])) == pytest.approx((21 * 0.1 + 1 * 1) / 4.2)
    nothing = [[np.inf, np.inf], [52.0, 1.0]]
    assert problem.hypervolume(np.array(nothing)) == 0
    assert problem.hypervolume(np.vstack([F, nothing])) == pytest.approx(1)


def test_the_box_has_an_extent_if_the_true_front_is_a_single_point():
    problem = SmallTableProblem(limits=("params <= 1",))
    _, F = problem.true_front()
    assert F.tolist() == [[50, 1]]
    assert np.allclose(problem.hypervolume_box(), [[50, 1], [60, 2]])  # of ranges 100 and 10
    assert problem.hypervolume(F) == pytest.approx(1)


def test_a_reference_point_replaces_values_of_the_worst_corner():
    problem = SmallTableProblem(reference_point=("params=1.5",))
    assert np.allclose(problem.hypervolume_box(), [[30, 1], [52, 1.5]])
    _, F = problem.true_front()
    assert problem.hypervolume(F) == pytest.approx(1)
    assert problem.hypervolume(F[:1]) == 0, "it has 2 params"
    assert problem.true_hypervolume() == pytest.approx(2 * 0.5 / (22 * 0.5))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("error", "expected OBJECTIVE=NUMBER"),
        ("error=", "expected OBJECTIVE=NUMBER"),
        ("error=inf", "expected OBJECTIVE=NUMBER"),
        ("error=5, error=6", "expected OBJECTIVE=NUMBER, once for each objective"),
        ("latency_ms=5", "'latency_ms' is no objective; choose from"),
        ("error=0", "expected a value of error above 0, the best one"),
    ],
)
def test_an_invalid_reference_point_is_rejected(text, message):
    with pytest.raises(ValueError, match=message):
        SmallTableProblem(reference_point=tuple(text.split(",")))


def test_the_true_front_is_within_the_limits():
    X, F = SmallTableProblem(limits=("error <= 40",)).true_front()
    assert (X.tolist(), F.tolist()) == ([[1, 0]], [[30, 2]])
    impossible = SmallTableProblem(limits=("error <= 4",))
    with pytest.raises(ValueError, match=r"\['error <= 4'\] is invalid: no architecture"):
        impossible.true_front()
    assert np.array_equal(impossible.hypervolume_box(), impossible.objective_bounds())
    assert impossible.hypervolume(np.full((3, 2), np.inf)) == 0


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
