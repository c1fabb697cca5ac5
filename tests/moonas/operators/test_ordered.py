import numpy as np
import pytest
from four_genes import rng, tolerance

from moonas.operators.ordered import (
    PolynomialMutation,
    mutate_ordered,
    transition_probabilities,
)

N_CHOICES = np.array([1, 2, 3, 12])


def polynomial_mutation(value, k, eta, rng, n):
    """Apply Deb's original operator with bounds that are wider by 1/2, and round the result."""
    low, high = -0.5, k - 0.5
    u = rng.random(n)
    d1, d2 = (value - low) / (high - low), (high - value) / (high - low)
    down = (2 * u + (1 - 2 * u) * (1 - d1) ** (eta + 1)) ** (1 / (eta + 1)) - 1
    up = 1 - (2 * (1 - u) + (2 * u - 1) * (1 - d2) ** (eta + 1)) ** (1 / (eta + 1))
    mutants = value + np.where(u <= 0.5, down, up) * (high - low)
    return np.clip(np.round(mutants), 0, k - 1).astype(int)


@pytest.mark.parametrize("k", [2, 3, 6, 12])
@pytest.mark.parametrize("eta", [0.0, 3.0, 20.0])
def test_transition_probabilities_equal_frequencies_of_rounded_polynomial_mutation(k, eta):
    table = transition_probabilities(k, eta)
    for value in {0, k // 2, k - 1}:
        mutants = polynomial_mutation(value, k, eta, rng(value), 100_000)
        mutants = mutants[mutants != value]
        if len(mutants) < 200:
            continue
        frequencies = np.bincount(mutants, minlength=k) / len(mutants)
        # tolerate one more mutant, for values with a very low probability
        error = tolerance(len(mutants), table[value]) + 1 / len(mutants)
        assert (np.abs(frequencies - table[value]) <= error).all()


@pytest.mark.parametrize("k", [1, 2, 5, 12])
def test_transition_probabilities_sum_to_one_and_are_zero_on_the_diagonal(k):
    table = transition_probabilities(k, 3.0)
    assert (np.diag(table) == 0).all()
    assert np.allclose(table.sum(axis=1), 0 if k == 1 else 1)
    assert np.allclose(table, table[::-1, ::-1])  # up and down are symmetric


def test_transitions_to_nearby_values_are_more_probable():
    table = transition_probabilities(12, 3.0)
    assert (np.diff(table[0, 1:]) < 0).all()
    assert (np.diff(table[5, 6:]) < 0).all() and (np.diff(table[5, :5]) > 0).all()


def test_genes_change_with_the_given_probability_even_if_they_have_only_two_values():
    X = np.tile([0, 1, 0, 6], (20_000, 1))
    Y = mutate_ordered(X, N_CHOICES, 0.3, 3.0, rng())
    assert Y.dtype == X.dtype and (Y >= 0).all() and (Y < N_CHOICES).all()
    changed = (X != Y).mean(axis=0)
    assert changed[0] == 0
    assert np.abs(changed[1:] - 0.3).max() <= tolerance(len(X), 0.3)


def test_mutant_frequencies_equal_the_transition_probabilities():
    X = np.full((20_000, 1), 4)
    Y = mutate_ordered(X, np.array([12]), 1.0, 3.0, rng())
    expected = transition_probabilities(12, 3.0)[4]
    frequencies = np.bincount(Y[:, 0], minlength=12) / len(Y)
    assert (np.abs(frequencies - expected) <= tolerance(len(Y), expected)).all()


def test_polynomial_mutation_changes_the_given_mean_number_of_genes():
    class Problem:
        n_choices = N_CHOICES

    X = np.tile([0, 1, 0, 6], (20_000, 1))
    Y = PolynomialMutation(n_genes=1.5)._do(Problem, X, random_state=rng())
    assert abs((X != Y).sum(axis=1).mean() - 1.5) <= 4 * np.sqrt(3 * 0.25 / len(X))
