import numpy as np
from four_genes import CHOICES, Four, rng, spread

from moonas.operators import ResetGenes
from moonas.operators.categorical import reset_genes, sample_genes


def test_draws_are_uniform_over_the_choices_of_each_gene():
    X = sample_genes(CHOICES, 20_000, rng())
    for gene, k in enumerate(CHOICES):
        shares = np.bincount(X[:, gene], minlength=k) / len(X)
        assert len(shares) == k
        assert np.abs(shares - 1 / k).max() <= spread(len(X), 1 / k)


def test_reset_changes_a_gene_with_its_probability_and_evenly():
    X = np.tile([0, 1, 2, 5], (20_000, 1))
    Y = reset_genes(X, CHOICES, 0.3, rng())
    assert Y.dtype == X.dtype and (Y >= 0).all() and (Y < CHOICES).all()
    changed = (X != Y).mean(axis=0)
    assert changed[0] == 0  # one choice
    assert np.abs(changed[1:] - 0.3).max() <= spread(len(X), 0.3)
    others = np.bincount(Y[Y[:, 3] != 5, 3], minlength=8)
    assert others[5] == 0
    share = others / others.sum()
    assert np.abs(np.delete(share, 5) - 1 / 7).max() <= spread(others.sum(), 1 / 7)


def test_two_valued_genes_move():
    Y = reset_genes(np.zeros((1000, 4), int), CHOICES, 1.0, rng())
    assert (Y[:, 1] == 1).all()


def test_reset_of_nothing_is_the_identity_on_a_new_array():
    X = sample_genes(CHOICES, 5, rng())
    Y = reset_genes(X, CHOICES, 0.0, rng())
    assert np.array_equal(X, Y) and Y is not X


def test_reset_genes_changes_the_number_of_genes_it_says():
    X = np.tile([0, 1, 2, 5], (20_000, 1))
    Y = ResetGenes(n_genes=1.5)._do(Four(), X, random_state=rng())
    # 3 genes can change, each with chance 1/2
    assert abs((X != Y).sum(axis=1).mean() - 1.5) <= 4 * np.sqrt(3 * 0.25 / len(X))
