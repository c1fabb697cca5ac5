import numpy as np
import pytest

from moonas.operators.ordered import PolynomialMutation, mutate_ordered, transition_probabilities


def polynomial_mutation(value, k, eta, rng, n):
    """Deb's operator as it is usually written, with bounds half a step wider, rounded."""
    low, high = -0.5, k - 0.5
    u = rng.random(n)
    d1, d2 = (value - low) / (high - low), (high - value) / (high - low)
    down = (2 * u + (1 - 2 * u) * (1 - d1) ** (eta + 1)) ** (1 / (eta + 1)) - 1
    up = 1 - (2 * (1 - u) + (2 * u - 1) * (1 - d2) ** (eta + 1)) ** (1 / (eta + 1))
    moved = value + np.where(u <= 0.5, down, up) * (high - low)
    return np.clip(np.round(moved), 0, k - 1).astype(int)


@pytest.mark.parametrize("k", [2, 3, 6, 12])
@pytest.mark.parametrize("eta", [0.0, 3.0, 20.0])
def test_moves_are_polynomial_mutation_rounded_given_that_the_value_changes(k, eta):
    table = transition_probabilities(k, eta)
    rng = np.random.default_rng(0)
    for value in range(k):
        drawn = polynomial_mutation(value, k, eta, rng, 200_000)
        drawn = drawn[drawn != value]
        if len(drawn) < 200:
            continue
        shares = np.bincount(drawn, minlength=k) / len(drawn)
        # 4 standard errors, and one for cells that hardly anyone reaches
        error = 4 * np.sqrt(table[value] * (1 - table[value]) / len(drawn)) + 1 / len(drawn)
        assert (np.abs(shares - table[value]) <= error).all()


@pytest.mark.parametrize("k", [1, 2, 5, 12])
def test_rows_of_moves_add_up_and_nobody_stays(k):
    table = transition_probabilities(k, 3.0)
    assert (np.diag(table) == 0).all()
    assert np.allclose(table.sum(axis=1), 0 if k == 1 else 1)
    assert np.allclose(table, table[::-1, ::-1])  # up and down are alike


def test_neighbours_are_likelier_than_values_far_away():
    table = transition_probabilities(12, 3.0)
    assert (np.diff(table[0, 1:]) < 0).all()
    assert (np.diff(table[5, 6:]) < 0).all() and (np.diff(table[5, :5]) > 0).all()


def test_genes_change_at_the_rate_that_is_asked_for_also_those_of_two_values():
    choices = np.array([1, 2, 3, 12])
    X = np.tile([0, 1, 0, 6], (20_000, 1))
    Y = mutate_ordered(X, choices, 0.3, 3.0, np.random.default_rng(0))
    assert Y.dtype == X.dtype and (Y >= 0).all() and (choices > Y).all()
    changed = (X != Y).mean(axis=0)
    assert changed[0] == 0
    assert np.abs(changed[1:] - 0.3).max() <= 4 * np.sqrt(0.3 * 0.7 / len(X))


def test_where_genes_move_to_follows_the_table():
    X = np.full((20_000, 1), 4)
    Y = mutate_ordered(X, np.array([12]), 1.0, 3.0, np.random.default_rng(0))
    expected = transition_probabilities(12, 3.0)[4]
    shares = np.bincount(Y[:, 0], minlength=12) / len(Y)
    assert (np.abs(shares - expected) <= 4 * np.sqrt(expected * (1 - expected) / len(Y))).all()


def test_the_class_changes_the_number_of_genes_it_says():
    class Problem:
        n_choices = np.array([1, 2, 3, 12])

    X = np.tile([0, 1, 0, 6], (20_000, 1))
    Y = PolynomialMutation(n_genes=1.5)._do(Problem, X, random_state=np.random.default_rng(0))
    assert abs((X != Y).sum(axis=1).mean() - 1.5) <= 4 * np.sqrt(3 * 0.25 / len(X))
