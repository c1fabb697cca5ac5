import numpy as np
from pymoo.core.population import Population
from pymoo.core.problem import Problem

from moonas.operators import CategoricalSampling, NodeCrossover, NodeReset, ResetGenes, SameRow
from moonas.operators.categorical import draw_genes, reset_genes
from moonas.operators.nodes import choose_nodes, cross_nodes, reset_nodes

CHOICES = np.array([1, 2, 3, 8])
NODES = [np.array([0, 2]), np.array([1, 3])]


class Four(Problem):
    n_choices, nodes = CHOICES, NODES

    def __init__(self):
        super().__init__(n_var=4, n_obj=2, xl=np.zeros(4), xu=CHOICES - 1)


def rng():
    return np.random.default_rng(0)


def spread(n, p):
    """4 standard errors of a share of n coins."""
    return 4 * np.sqrt(p * (1 - p) / n)


def test_draws_are_uniform_over_the_choices_of_each_gene():
    X = draw_genes(CHOICES, 20_000, rng())
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
    X = draw_genes(CHOICES, 5, rng())
    Y = reset_genes(X, CHOICES, 0.0, rng())
    assert np.array_equal(X, Y) and Y is not X


def test_reset_genes_changes_the_number_of_genes_it_says():
    X = np.tile([0, 1, 2, 5], (20_000, 1))
    Y = ResetGenes(n_genes=1.5)._do(Four(), X, random_state=rng())
    # 3 genes can change, each with chance 1/2
    assert abs((X != Y).sum(axis=1).mean() - 1.5) <= 4 * np.sqrt(3 * 0.25 / len(X))


def test_nodes_are_chosen_as_a_whole_on_one_coin_each():
    taken = choose_nodes(NODES, 20_000, 0.5, 4, rng())
    assert np.array_equal(taken[:, 0], taken[:, 2])
    assert np.array_equal(taken[:, 1], taken[:, 3])
    both = (taken[:, 0] & taken[:, 1]).mean()
    assert abs(both - 0.25) <= spread(len(taken), 0.25)


def test_crossing_exchanges_nodes_and_loses_no_gene():
    A, B = draw_genes(CHOICES, 500, rng()), draw_genes(CHOICES, 500, np.random.default_rng(1))
    C, D = cross_nodes(A, B, NODES, 0.5, rng())
    assert np.array_equal(C + D, A + B)
    for row in range(len(A)):
        for node in NODES:
            parent = A if np.array_equal(C[row, node], A[row, node]) else B
            assert np.array_equal(C[row, node], parent[row, node])
    assert np.array_equal(cross_nodes(A, B, NODES, 1.0, rng())[0], B)
    assert np.array_equal(cross_nodes(A, B, NODES, 0.0, rng())[0], A)


def test_resetting_a_node_leaves_the_others_alone():
    X = np.tile([0, 1, 2, 5], (20_000, 1))
    Y = reset_nodes(X, NODES, CHOICES, 0.5, rng())
    # the second node is drawn afresh half of the time, and then equals itself in 1 of 2 * 8
    assert abs((X[:, [1, 3]] != Y[:, [1, 3]]).any(axis=1).mean() - 0.5 * 15 / 16) <= 0.02
    untouched = reset_nodes(X, NODES[:1], CHOICES, 1.0, rng())
    assert np.array_equal(untouched[:, [1, 3]], X[:, [1, 3]])


def test_pymoo_classes_call_the_functions():
    problem = Four()
    X = CategoricalSampling().do(problem, 6, random_state=rng()).get("X")
    assert np.array_equal(X, draw_genes(CHOICES, 6, rng()))
    children = NodeCrossover()._do(problem, np.stack([X, X[::-1]]), random_state=rng())
    assert np.array_equal(children, np.stack(cross_nodes(X, X[::-1], NODES, 0.5, rng())))
    mutated = NodeReset()._do(problem, X, random_state=rng())
    assert np.array_equal(mutated, reset_nodes(X, NODES, CHOICES, 0.5, rng()))


def test_duplicates_are_found_within_and_against_others_and_the_later_one_goes():
    rows = np.array([[0, 1], [0, 2], [0, 1], [3, 3]])
    pop, other = Population.new(X=rows), Population.new(X=np.array([[3, 3]]))
    assert SameRow().do(pop, other).get("X").tolist() == [[0, 1], [0, 2]]
    assert SameRow().do(pop).get("X").tolist() == [[0, 1], [0, 2], [3, 3]]
