import numpy as np
from four_genes import tolerance

from moonas.operators import BlockCrossover
from moonas.operators.blocks import cross_blocks

BLOCKS = [[np.array([0, 1]), np.array([2])], [np.array([3]), np.array([4, 5])]]


class TwoBlocks:
    blocks = BLOCKS


def test_a_child_has_exactly_one_block_or_one_node_from_the_other_parent():
    n = 24_000
    A = np.zeros((n, 6), dtype=int)
    children = cross_blocks(A, A + 1, BLOCKS, np.random.default_rng(0))
    rows, counts = np.unique(children, axis=0, return_counts=True)
    frequency = {tuple(row): count / n for row, count in zip(rows.tolist(), counts, strict=True)}
    first, second = (1, 1, 1, 0, 0, 0), (0, 0, 0, 1, 1, 1)
    nodes = [(1, 1, 0, 0, 0, 0), (0, 0, 1, 0, 0, 0), (0, 0, 0, 1, 0, 0), (0, 0, 0, 0, 1, 1)]
    # either block can be exchanged, and either child returned
    expected = {first: 1 / 4, second: 1 / 4}
    for node in nodes:
        expected[node] = expected[tuple(1 - np.array(node))] = 1 / 2 / 4 / 2
    assert frequency.keys() == expected.keys()
    for row, probability in expected.items():
        assert abs(frequency[row] - probability) <= tolerance(n, probability), row


def test_block_crossover_leaves_parents_unchanged_and_preserves_their_dtype():
    A, B = np.zeros((50, 6), dtype=np.int64), np.ones((50, 6), dtype=np.int64)
    child = BlockCrossover()._do(TwoBlocks, np.stack([A, B]), random_state=np.random.default_rng(1))
    assert child.shape == (1, 50, 6) and child.dtype == np.int64
    assert not A.any() and B.all()
