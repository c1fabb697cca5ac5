import numpy as np
import pytest

from moonas.pareto import hypervolume, nondominated

BOUNDS = [[0, 0], [100, 10]]


def test_nondominated_rows_by_brute_force():
    rng = np.random.default_rng(0)
    F = rng.integers(0, 12, size=(60, 2)).astype(float)
    expected = [i for i, f in enumerate(F) if not any((g <= f).all() and (g < f).any() for g in F)]
    assert nondominated(F).tolist() == expected


def test_hypervolume_of_a_staircase():
    # corners (20, 5), (50, 2) of a 100 x 10 rectangle: 80 * 5 + 50 * 3 = 550 of 1000
    assert hypervolume([[20, 5], [50, 2]], BOUNDS) == pytest.approx(0.55)


def test_hypervolume_is_one_at_the_best_corner_and_zero_at_the_worst():
    assert hypervolume([[0, 0]], BOUNDS) == 1
    assert hypervolume([[100, 10]], BOUNDS) == 0
    assert hypervolume([[100, 0], [0, 10], [120, -5]], BOUNDS) == 0


def test_dominated_rows_add_nothing_and_better_than_best_is_capped():
    assert hypervolume([[20, 5], [30, 6]], BOUNDS) == hypervolume([[20, 5]], BOUNDS)
    assert hypervolume([[-10, -1]], BOUNDS) == 1
