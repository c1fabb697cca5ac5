import numpy as np

from moonas.operators import BlockCrossover
from moonas.operators.blocks import cross_blocks

BLOCKS = [[np.array([0, 1]), np.array([2])], [np.array([3]), np.array([4, 5])]]


class Problem:
    blocks = BLOCKS


def children(n=24_000):
    A = np.zeros((n, 6), dtype=int)
    return cross_blocks(A, A + 1, BLOCKS, np.random.default_rng(0))


def test_each_child_has_one_block_or_one_node_of_the_other_parent():
    n = 24_000
    found, counts = np.unique(children(n), axis=0, return_counts=True)
    share = {tuple(row): count / n for row, count in zip(found.tolist(), counts, strict=True)}
    first, second = (1, 1, 1, 0, 0, 0), (0, 0, 0, 1, 1, 1)
    nodes = [(1, 1, 0, 0, 0, 0), (0, 0, 1, 0, 0, 0), (0, 0, 0, 1, 0, 0), (0, 0, 0, 0, 1, 1)]
    # either block exchanged, either child kept: two ways each to the two rows
    expected = {first: 1 / 4, second: 1 / 4}
    for node in nodes:
        expected[node] = expected[tuple(1 - np.array(node))] = 1 / 2 / 4 / 2
    assert share.keys() == expected.keys()
    for row, chance in expected.items():
        error = 4 * np.sqrt(chance * (1 - chance) / n)  # 4 standard errors
        assert abs(share[row] - chance) <= error, row


def test_parents_are_left_as_they_are_and_their_type_is_kept():
    A, B = np.zeros((50, 6), dtype=np.int64), np.ones((50, 6), dtype=np.int64)
    child = BlockCrossover()._do(Problem, np.stack([A, B]), random_state=np.random.default_rng(1))
    assert child.shape == (1, 50, 6) and child.dtype == np.int64
    assert not A.any() and B.all()
