import numpy as np
from four_genes import CHOICES, NODES, Four, rng, spread

from moonas.operators import CategoricalSampling, NodeCrossover, NodeReset
from moonas.operators.categorical import sample_genes
from moonas.operators.nodes import cross_nodes, reset_nodes, sample_nodes


def test_nodes_are_chosen_as_a_whole_on_one_coin_each():
    taken = sample_nodes(NODES, 20_000, 0.5, 4, rng())
    assert np.array_equal(taken[:, 0], taken[:, 2])
    assert np.array_equal(taken[:, 1], taken[:, 3])
    both = (taken[:, 0] & taken[:, 1]).mean()
    assert abs(both - 0.25) <= spread(len(taken), 0.25)


def test_crossing_exchanges_nodes_and_loses_no_gene():
    A, B = sample_genes(CHOICES, 500, rng()), sample_genes(CHOICES, 500, np.random.default_rng(1))
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
    assert np.array_equal(X, sample_genes(CHOICES, 6, rng()))
    children = NodeCrossover()._do(problem, np.stack([X, X[::-1]]), random_state=rng())
    assert np.array_equal(children, np.stack(cross_nodes(X, X[::-1], NODES, 0.5, rng())))
    mutated = NodeReset()._do(problem, X, random_state=rng())
    assert np.array_equal(mutated, reset_nodes(X, NODES, CHOICES, 0.5, rng()))
