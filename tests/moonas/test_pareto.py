"""Fronts, the knee and hypervolumes."""

import numpy as np
import pytest
from eg_darts_tables import BOLD_ROW, table
from toy import Toy

from moonas.pareto import (
    Row,
    front_from_scores,
    front_indices,
    hypervolume,
    knee,
    nondominated,
    pick,
    spread,
    tradeoffs,
)

BOUNDS = [[0, 0], [100, 10]]


def test_nondominated_returns_the_rows_that_pairwise_comparisons_find():
    rng = np.random.default_rng(0)
    F = rng.integers(0, 12, size=(60, 2)).astype(float)
    expected = [i for i, f in enumerate(F) if not any((g <= f).all() and (g < f).any() for g in F)]
    assert nondominated(F).tolist() == expected


def test_front_indices_are_unique_nondominated_and_sorted_by_the_first_objective():
    rng = np.random.default_rng(1)
    F = rng.integers(0, 9, size=(60, 3)).astype(float)
    expected = sorted(set(map(tuple, F[nondominated(F)])))
    indices = front_indices(F)
    assert list(map(tuple, F[indices])) == expected
    assert all((F[:i] != F[i]).any(axis=1).all() for i in indices)  # i is the first of equal rows


def test_front_indices_are_sorted_by_the_given_order():
    F = np.array([[1.0, 5.0, 2.0], [2.0, 4.0, 2.0], [3.0, 4.0, 1.0], [3.0, 5.0, 2.0]])
    assert front_indices(F, order=(1, 0)).tolist() == [1, 2, 0]
    assert front_indices(F, order=(2,)).tolist() == [2, 0, 1]  # the sort is stable


def test_front_indices_include_candidates_with_equal_objectives_but_different_genes():
    F = np.array([[1.0], [1.0], [2.0], [1.0]])
    assert front_indices(F).tolist() == [0]
    assert front_indices(F, X=[[7, 0], [3, 0], [5, 0], [7, 0]]).tolist() == [0, 1]
    assert front_indices(np.empty((0, 2))).tolist() == []


def test_a_front_from_scores_has_every_column_of_its_rows():
    toy = Toy()
    X = np.array([[0] * 6, [1] * 6, [0] * 6, [2] * 6])
    F = np.array([[3.0, 4.0], [9.0, 1.0], [3.0, 4.0], [9.0, 9.0]])
    columns = {"error": F[:, 0], "params": F[:, 1], "more": np.arange(4)}
    rows = front_from_scores(toy, X, columns)
    assert [row.x.tolist() for row in rows] == [[1] * 6, [0] * 6]
    assert [row.architecture for row in rows] == [toy.decode(X[1]), toy.decode(X[0])]
    assert [list(row.objectives.values()) for row in rows] == [[9.0, 1.0], [3.0, 4.0]]
    assert [row.columns for row in rows] == [
        {"error": 9.0, "params": 1.0, "more": 1},
        {"error": 3.0, "params": 4.0, "more": 0},
    ]


def test_the_hypervolume_of_two_points_is_the_area_that_they_dominate():
    # corners (20, 5), (50, 2) of a 100 x 10 rectangle: 80 * 5 + 50 * 3 = 550 of 1000
    assert hypervolume([[20, 5], [50, 2]], BOUNDS) == pytest.approx(0.55)


def test_hypervolume_is_one_at_the_best_corner_and_zero_at_the_worst():
    assert hypervolume([[0, 0]], BOUNDS) == 1
    assert hypervolume([[100, 10]], BOUNDS) == 0
    assert hypervolume([[100, 0], [0, 10], [120, -5]], BOUNDS) == 0


def test_hypervolume_ignores_dominated_rows_and_clips_at_the_best_values():
    assert hypervolume([[20, 5], [30, 6]], BOUNDS) == hypervolume([[20, 5]], BOUNDS)
    assert hypervolume([[-10, -1]], BOUNDS) == 1


@pytest.mark.parametrize("name", ["cifar10", "cifar100"])
def test_the_knee_is_the_row_in_bold_in_the_paper(name):
    rows = table(name)
    error, params, macs = rows[:, 7], rows[:, 6], rows[:, 8]
    assert knee(np.column_stack([error, params])) == BOLD_ROW[name]
    accuracy = np.column_stack(
        [100 - error, params]
    )  # these rows are above the line, away from the ideal point
    assert knee(accuracy) != BOLD_ROW[name]
    assert knee(np.column_stack([error, macs])) != BOLD_ROW[name]  # the paper uses parameters


@pytest.mark.parametrize("name", ["cifar10", "cifar100"])
def test_the_knee_equals_the_knee_of_algorithm_2_applied_to_accuracy(name):
    x, y = table(name)[:, 6], 100 - table(name)[:, 7]
    large, small = x.argmax(), x.argmin()
    slope = (y[large] - y[small]) / (x[large] - x[small])
    distance = (-slope * x + y + (-slope * x[large] - y[large])) / (slope**2 + 1)
    assert distance.argmax() == knee(np.column_stack([100 - y, x]))


def test_the_knee_depends_neither_on_scale_and_shift_nor_on_the_order_of_rows():
    F = np.array([[0.0, 10.0], [10.0, 0.0], [2.0, 3.0], [4.0, 3.0], [9.0, 9.0]])
    for scale in ([1, 1], [1e3, 1e-6], [1e-9, 1]):
        for shift in ([0, 0], [50, -3]):
            assert knee(F * scale + shift) == 2
    assert knee(F[[4, 3, 2, 1, 0]]) == 2
    assert knee(F[:, ::-1]) == 2


def test_the_knee_is_the_smallest_row_if_none_is_below_the_line():
    assert knee([[0.0, 10.0], [10.0, 0.0], [8.0, 8.0]]) == 1
    assert knee([[5.0, 7.0]]) == 0
    assert knee([[1.0, 2.0], [2.0, 1.0]]) == 1


def test_the_line_ends_at_the_better_of_two_rows_with_equal_size():
    # from (4, 0), not from (9, 0), to (0, 8): (3, 3) is above the first line, below the second
    assert knee([[9.0, 0.0], [4.0, 0.0], [3.0, 3.0], [0.0, 8.0]]) == 1
    # (1, 5) is below the first line; the second one would put (4, 0) farthest below
    assert knee([[9.0, 0.0], [4.0, 0.0], [1.0, 5.0], [0.0, 8.0]]) == 2


@pytest.mark.parametrize("front", [[], [[1.0, 2.0, 3.0]], [[1.0, np.nan]], [1.0, 2.0]])
def test_the_knee_of_an_invalid_front_raises_an_error(front):
    with pytest.raises(ValueError, match=r"finite numbers \(n, 2\)"):
        knee(front)


def rows_of(F, names=("error", "params", "macs")):
    return [Row(None, None, dict(zip(names, f, strict=False)), {}) for f in F]


def test_the_knee_can_be_computed_in_two_named_objectives():
    rows = rows_of([[0.0, 10.0, 0.0], [1.0, 9.0, 0.2], [4.0, 4.0, 5.9], [10.0, 0.0, 10.0]])
    assert knee(rows) == 2
    assert knee(rows, ["params", "macs"]) == 1
    assert pick([]) is None


def test_the_line_can_end_at_dominated_rows_of_the_population():
    rows = rows_of([[0.0, 10.0], [1.0, 3.0], [4.0, 1.0], [10.0, 0.0]])
    population = np.array([[0.0, 10.0], [10.0, 0.0], [9.0, 30.0]])
    # the distances to the line from (10, 0) to (9, 30) are proportional to 290, 267 and 179
    assert pick(rows) == 1 and pick(rows, population=population) == 0
    assert knee(rows, population=population) == 0
    assert pick(rows, population=population[:0]) == 1
    with pytest.raises(ValueError, match="The population is invalid"):
        knee(rows, population=[[0.0, np.inf]])


def test_pick_ignores_rows_that_are_dominated_in_the_first_two_objectives():
    rows = rows_of([[0.0, 10.0, 5], [4.0, 4.0, 9], [10.0, 0.0, 5], [12.0, 30.0, 0]])
    assert knee(rows) == 0  # the line ends at the dominated last row
    assert pick(rows) == 1


def test_the_spread_has_the_lowest_error_of_each_interval_of_sizes():
    F = np.array([[9.0, 0], [8, 1], [5, 4], [6, 3.5], [4, 9], [3, 10], [7, 2]])
    assert spread(F, 2) == [2, 5]  # sizes below and from 5
    assert spread(F, 5) == [1, 3, 2, 5]  # no size is in [6, 8)
    assert spread(F, 1) == [5]
    assert spread(np.empty((0, 2)), 3) == []
    assert spread([[1.0, 7.0], [2.0, 7.0]], 3) == [0]


def test_a_tradeoff_is_the_smallest_ratio_of_loss_to_gain_of_a_move():
    # scaled: (1, 0), (0.2, 0.1), (0, 1)
    F = np.array([[11.0, 0.0], [3.0, 10.0], [1.0, 100.0]])
    # from row 0 to 1: loses 0.1, gains 0.8; from 1 to 0: 8, to 2: 4.5; from 2 to 1: 2 / 9
    assert tradeoffs(F, 1) == [1]
    assert tradeoffs(F, 2) == [1, 2]
    assert tradeoffs(F * [3, 0.1] + 7, 2) == [1, 2]
    assert tradeoffs(F, 5) == [0, 1, 2]
    assert tradeoffs([[1.0, 2.0]], 3) == [0]
