"""Encoding of the DARTS space."""

import numpy as np
import pytest
from moonas.problems.cars import space, zoo

CELL = [("sep_conv_3x3", 0), ("skip_connect", 1)] * 4


def test_the_number_of_architectures_agrees_with_the_formula():
    # per cell: 1 * 3 * 6 * 10 choices of pairs, and 8**8 of operations
    assert np.prod(space.N_CHOICES.astype(float)) == (180 * 8**8) ** 2
    assert 180 * 8**8 == 3_019_898_880


def test_encode_is_the_inverse_of_decode():
    rng = np.random.default_rng(0)
    X = rng.integers(0, space.N_CHOICES, size=(500, space.N_VAR))
    for x in X:
        assert np.array_equal(space.encode(space.decode(x)), x)


def test_decode_is_one_to_one_for_every_node():
    # nodes are encoded independently, so it suffices to test all values of each node alone
    for node in range(space.N_NODES):
        for cell in (0, 1):
            columns = slice(12 * cell + 3 * node, 12 * cell + 3 * node + 3)
            seen = set()
            for genes in np.ndindex(*space.N_CHOICES[columns]):
                x = np.zeros(space.N_VAR, dtype=int)
                x[columns] = genes
                architecture = space.decode(x)
                assert np.array_equal(space.encode(architecture), x)
                seen.add(architecture)
            assert len(seen) == np.prod(space.N_CHOICES[columns])


def test_edges_of_a_population_equal_the_edges_of_its_architectures():
    rng = np.random.default_rng(1)
    X = rng.integers(0, space.N_CHOICES, size=(50, space.N_VAR))
    operations, states = space.edges(X)
    for x, o, s in zip(X, operations, states, strict=True):
        architecture = space.decode(x)
        for cell, edges in enumerate((architecture.normal, architecture.reduction)):
            pairs = zip(o[cell].ravel(), s[cell].ravel(), strict=True)
            assert tuple((space.OPERATIONS[a], b) for a, b in pairs) == edges


def test_the_two_edges_of_a_node_start_from_two_different_earlier_states():
    rng = np.random.default_rng(2)
    for x in rng.integers(0, space.N_CHOICES, size=(200, space.N_VAR)):
        for cell in (space.decode(x).normal, space.decode(x).reduction):
            for node in range(space.N_NODES):
                low, high = cell[2 * node][1], cell[2 * node + 1][1]
                assert 0 <= low < high < node + 2


def test_the_canonical_form_orders_the_edges_of_a_node_by_state():
    swapped = [CELL[1], CELL[0], *CELL[2:]]
    assert space.from_genotype(swapped, CELL) == space.from_genotype(CELL, CELL)


def test_published_genotypes_do_not_change_when_converted_to_rows_or_json_and_back():
    architectures = zoo.architectures()
    assert len(architectures) == 19
    for architecture in architectures.values():
        assert space.decode(space.encode(architecture)) == architecture
        assert space.from_json(space.to_json(architecture)) == architecture


def test_the_first_edges_of_cars_a_are_as_its_authors_printed_them():
    normal = zoo.architectures()["CARS_A"].normal
    assert normal[:4] == (
        ("skip_connect", 0),
        ("sep_conv_5x5", 1),
        ("max_pool_3x3", 0),
        ("avg_pool_3x3", 1),
    )


@pytest.mark.parametrize(
    ("edge", "message"),
    [
        (("sep_conv_9x9", 0), "Unknown operation 'sep_conv_9x9' in node 0 of the normal cell"),
        (("skip_connect", 2), "starts from state 2; expected a state from 0 to 1"),
        (("skip_connect", 1), "start from state 1"),
    ],
)
def test_a_genotype_outside_the_space_raises_an_error_with_the_reason(edge, message):
    with pytest.raises(ValueError, match=message):
        space.from_genotype([edge, *CELL[1:]], CELL)


def test_a_cell_of_five_nodes_raises_an_error():
    with pytest.raises(ValueError, match="must have 8 edges, two per node; got 10"):
        space.from_genotype(CELL + CELL[:2], CELL)


def test_json_that_is_not_an_architecture_raises_an_error():
    with pytest.raises(ValueError, match="'normal' and 'reduce'"):
        space.from_json([1, 2])


def test_the_text_of_an_architecture_lists_the_edges_of_its_nodes():
    none = [("none", 0), ("none", 1)]
    architecture = space.from_genotype([*none, *CELL[2:]], CELL)
    assert str(architecture) == (
        "zero sep3(0)+skip(1) sep3(0)+skip(1) sep3(0)+skip(1) / "
        "sep3(0)+skip(1) sep3(0)+skip(1) sep3(0)+skip(1) sep3(0)+skip(1)"
    )
