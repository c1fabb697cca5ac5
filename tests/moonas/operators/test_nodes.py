import numpy as np
from four_genes import CHOICES, NODES, FourGenes, rng, tolerance

from moonas.operators import CategoricalSampling, NodeCrossover, NodeReset
from moonas.operators.categorical import sample_genes
from moonas.operators.nodes import cross_nodes, reset_nodes, sample_nodes


def test_nodes_are_selected_independently_with_all_their_genes():
    mask = sample_nodes(NODES, 20_000, 0.5, 4, rng())
    assert np.array_equal(mask[:, 0], mask[:, 2])
    assert np.array_equal(mask[:, 1], mask[:, 3])
    both = (mask[:, 0] & mask[:, 1]).mean()
    assert abs(both - 0.25) <= tolerance(len(mask), 0.25)


def test_node_crossover_exchanges_all_genes_of_a_node():
    A, B = sample_genes(CHOICES, 500, rng()), sample_genes(CHOICES, 500, rng(1))
    C, D = cross_nodes(A, B, NODES, 0.5, rng())
    assert np.array_equal(C + D, A + B)
    for genes in NODES:
        from_a = (C[:, genes] == A[:, genes]).all(axis=1)
        from_b = (C[:, genes] == B[:, genes]).all(axis=1)
        assert (from_a | from_b).all()
    assert np.array_equal(cross_nodes(A, B, NODES, 1.0, rng())[0], B)
    assert np.array_equal(cross_nodes(A, B, NODES, 0.0, rng())[0], A)


def test_resetting_a_node_does_not_change_other_nodes():
    X = np.tile([0, 1, 2, 5], (20_000, 1))
    Y = reset_nodes(X, NODES, CHOICES, 0.5, rng())
    # the second node is resampled with probability 1/2, and is then unchanged in 1 of 2 * 8 cases
    changed = (X[:, [1, 3]] != Y[:, [1, 3]]).any(axis=1).mean()
    assert abs(changed - 0.5 * 15 / 16) <= tolerance(len(X), 0.5 * 15 / 16)
    Y = reset_nodes(X, NODES[:1], CHOICES, 1.0, rng())
    assert np.array_equal(Y[:, [1, 3]], X[:, [1, 3]])


def test_node_operators_return_the_results_of_the_node_functions():
    problem = FourGenes()
    X = CategoricalSampling().do(problem, 6, random_state=rng()).get("X")
    assert np.array_equal(X, sample_genes(CHOICES, 6, rng()))
    children = NodeCrossover()._do(problem, np.stack([X, X[::-1]]), random_state=rng())
    assert np.array_equal(children, np.stack(cross_nodes(X, X[::-1], NODES, 0.5, rng())))
    mutants = NodeReset()._do(problem, X, random_state=rng())
    assert np.array_equal(mutants, reset_nodes(X, NODES, CHOICES, 0.5, rng()))
