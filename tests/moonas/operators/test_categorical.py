import numpy as np
from four_genes import CHOICES, FourGenes, rng, tolerance

from moonas.operators import ResetGenes
from moonas.operators.categorical import reset_genes, sample_genes


def test_sampled_genes_are_uniform_over_their_choices():
    X = sample_genes(CHOICES, 20_000, rng())
    for gene, k in enumerate(CHOICES):
        frequencies = np.bincount(X[:, gene], minlength=k) / len(X)
        assert len(frequencies) == k
        assert np.abs(frequencies - 1 / k).max() <= tolerance(len(X), 1 / k)


def test_genes_change_with_the_given_probability_to_a_uniformly_sampled_different_choice():
    X = np.tile([0, 1, 2, 5], (20_000, 1))
    Y = reset_genes(X, CHOICES, 0.3, rng())
    assert Y.dtype == X.dtype and (Y >= 0).all() and (Y < CHOICES).all()
    changed = (X != Y).mean(axis=0)
    assert changed[0] == 0  # one choice
    assert np.abs(changed[1:] - 0.3).max() <= tolerance(len(X), 0.3)
    counts = np.bincount(Y[Y[:, 3] != 5, 3], minlength=8)
    assert counts[5] == 0
    frequencies = np.delete(counts, 5) / counts.sum()
    assert np.abs(frequencies - 1 / 7).max() <= tolerance(counts.sum(), 1 / 7)


def test_resetting_a_gene_with_two_choices_selects_the_other_choice():
    Y = reset_genes(np.zeros((1000, 4), int), CHOICES, 1.0, rng())
    assert (Y[:, 1] == 1).all()


def test_reset_genes_with_probability_0_returns_an_equal_new_array():
    X = sample_genes(CHOICES, 5, rng())
    Y = reset_genes(X, CHOICES, 0.0, rng())
    assert np.array_equal(X, Y) and Y is not X


def test_reset_mutation_changes_the_given_mean_number_of_genes():
    X = np.tile([0, 1, 2, 5], (20_000, 1))
    Y = ResetGenes(n_genes=1.5)._do(FourGenes(), X, random_state=rng())
    # three genes can change, each with probability 1/2
    assert abs((X != Y).sum(axis=1).mean() - 1.5) <= 4 * np.sqrt(3 * 0.25 / len(X))
