import itertools
import json

import numpy as np
import pytest
from moonas.problems.eagan import zoo
from moonas.problems.eagan.operators import cross_edge, mutate_edge, pick_one
from moonas.problems.eagan.space import (
    DOWN,
    NORMAL,
    Architecture,
    DiscriminatorSpace,
    GeneratorSpace,
    PairSpace,
    halved,
)
from searches import uniform_rows

UP_CELLS, DOWN_CELLS = 147_744, 511_488  # valid cells, counted by the rules
REST = " / c3 - c3 - c1 avg avg / c3 - c3 - c1 avg avg"
SPACES = [
    GeneratorSpace(),
    DiscriminatorSpace(8),
    DiscriminatorSpace(32),
    DiscriminatorSpace(48),
    PairSpace(8),
]


def cells_of(space):
    """All first cells that vectors can mean."""
    rest = np.zeros(14, int)
    found = set()
    for genes in itertools.product(*(range(n) for n in space.n_choices[:7])):
        found.add(space.decode(np.concatenate([genes, rest])).cells[0])
    return found


@pytest.mark.slow
def test_there_are_as_many_cells_as_the_rules_allow():
    assert len(cells_of(GeneratorSpace())) == UP_CELLS
    assert len(cells_of(DiscriminatorSpace(32))) == DOWN_CELLS


def test_the_rules_allow_as_many_cells_as_were_counted():
    assert UP_CELLS == 3 * 3 * (7 * 7 - 1) * (7**3 - 1)
    assert DOWN_CELLS == 6 * (7 * 7 - 1) * (7 * 7 - 1) * (6 * 6 + 1)


@pytest.mark.parametrize("space", SPACES)
def test_every_vector_is_one_legal_architecture_and_encode_stands_for_it(space):
    for x in uniform_rows(space.n_choices, 300):
        architecture = space.decode(x)
        canonical = space.encode(architecture)
        assert space.decode(canonical) == architecture
        assert np.array_equal(space.encode(space.decode(canonical)), canonical)
        assert space.from_json(json.loads(json.dumps(space.to_json(architecture)))) == architecture


def test_every_node_of_every_generator_gets_something():
    for x in uniform_rows(GeneratorSpace().n_choices, 500):
        for cell in GeneratorSpace().decode(x).cells:
            assert {cell[2], cell[3]} != {"none"}
            assert {cell[4], cell[5], cell[6]} != {"none"}


def test_what_is_legal_stays_as_it_is():
    # only a node without any input changes, and only on the last edge into it
    space = GeneratorSpace()
    for x in uniform_rows(space.n_choices, 500):
        named = [[space.edges[e][g] for e, g in enumerate(cell)] for cell in x.reshape(3, 7)]
        for before, after in zip(named, space.decode(x).cells, strict=True):
            starved = (
                before[2] == before[3] == "none",
                before[4] == before[5] == before[6] == "none",
            )
            changed = {e for e in range(7) if before[e] != after[e]}
            assert changed == {e for e, s in zip((3, 6), starved, strict=True) if s}


@pytest.mark.parametrize("side", [8, 16, 32, 48])
def test_discriminators_halve_no_single_pixel(side):
    space = DiscriminatorSpace(side)
    for x in uniform_rows(space.n_choices, 500):
        at = halved(side)
        for cell in space.decode(x).cells:
            assert cell[0] != "none"
            assert {cell[1], cell[2]} != {"none"} and {cell[3], cell[4]} != {"none"}
            assert (cell[5] == "none") == (cell[6] == "none")
            if at == 1:
                assert cell[5] == "none"
            at = at if cell[5] == "none" else halved(at)


def test_any_cell_of_a_discriminator_may_keep_the_side():
    space = DiscriminatorSpace(32)
    X = uniform_rows(space.n_choices, 4000)
    kept = np.array([[cell[5] == "none" for cell in space.decode(x).cells] for x in X])
    # each with a chance of 1/7; 4 standard errors
    assert np.abs(kept.mean(axis=0) - 1 / 7).max() < 4 * np.sqrt(1 / 7 * 6 / 7 / 4000)


def test_the_published_generator_is_the_one_of_the_papers_prose():
    normal = [name for cell in zoo.generator("EAGAN_G").cells for name in cell[2:]]
    assert len(normal) == 15
    assert normal.count("none") == 6 and normal.count("skip_connect") == 3
    up = [name for cell in zoo.generator("EAGAN_G").cells for name in cell[:2]]
    assert up.count("bilinear") == 5


def test_the_two_published_discriminators_differ_in_two_genes():
    space = DiscriminatorSpace(32)
    c, s = (space.encode(zoo.discriminator(name)) for name in ("EAGAN_D_C", "EAGAN_D_S"))
    assert np.count_nonzero(c != s) == 2


def test_published_architectures_are_legal_at_every_side():
    for side in (8, 16, 32, 48):
        for name in zoo.DISCRIMINATORS:
            x = DiscriminatorSpace(side).encode(zoo.discriminator(name, side))
            assert DiscriminatorSpace(side).decode(x) == zoo.discriminator(name, 32)


@pytest.mark.parametrize("name", zoo.DISCRIMINATORS)
def test_a_text_of_words_and_one_of_the_releases_numbers_mean_the_same(name):
    space, wanted = DiscriminatorSpace(32), zoo.discriminator(name)
    numbers = " / ".join(" ".join(map(str, cell)) for cell in zoo.DISCRIMINATORS[name][0])
    assert space.of_text(numbers) == wanted
    assert space.of_text(str(wanted)) == wanted
    assert space.of_text(" / ".join(" ".join(cell) for cell in wanted.cells)) == wanted


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("c3 - c3 - c1 avg avg / c3 - c3 - c1 avg avg", "3 Down-Cells of 7 edges"),
        (
            "c3 - - - c1 avg avg" + " / c3 - c3 - c1 avg avg" * 2,
            "no legal cell.*conv_3x3 none skip",
        ),
        (
            "- - c3 - c1 avg avg" + " / c3 - c3 - c1 avg avg" * 2,
            "E0 of Down-Cell 1 cannot be 'none'",
        ),
        ("c3 - c3 - c1 avg -" + " / c3 - c3 - c1 avg avg" * 2, "no legal cell"),
        ("c3 - c3 - c1 bil avg" + " / c3 - c3 - c1 avg avg" * 2, "E5 of Down-Cell 1 .*avg_pool"),
        ("9 0 3 0 2 0 0" + " / 3 0 3 0 2 0 0" * 2, "E0 of a Down-Cell cannot be number 9"),
        ("-1 0 3 0 2 0 0" + " / 3 0 3 0 2 0 0" * 2, "E0 of a Down-Cell cannot be number -1"),
    ],
)
def test_texts_of_no_discriminator_are_refused_with_the_reason(text, message):
    with pytest.raises(ValueError, match=message):
        DiscriminatorSpace(32).of_text(text)


def test_json_of_something_else_is_refused():
    for space in SPACES:
        for value in ([], {"cells": []}, {"a": 1}, {"generator": {}, "discriminator": {}}):
            with pytest.raises(ValueError):
                space.from_json(value)


def test_words_are_short_and_tell_every_edge():
    text = str(zoo.generator("EAGAN_G"))
    assert text == "bil bil skip - c1 c3 skip / bil bil - skip c3 - d3 / near bil - c3 - - c3"


def test_crossover_exchanges_one_edge_that_differs():
    A, B = (uniform_rows(GeneratorSpace().n_choices, 200, seed=seed) for seed in (0, 1))
    C, D = cross_edge(A, B, np.random.default_rng(0))
    moved = C != A
    assert (moved.sum(axis=1) == 1).all()
    assert np.array_equal(C[moved], B[moved]) and np.array_equal(D[moved], A[moved])
    assert np.array_equal(moved, D != B)


def test_crossover_of_equal_parents_ends_and_changes_nothing():
    A = uniform_rows(GeneratorSpace().n_choices, 5)
    C, D = cross_edge(A, A, np.random.default_rng(0))
    assert np.array_equal(C, A) and np.array_equal(D, A)


def test_mutation_moves_one_edge_to_another_of_its_choices():
    space, n = DiscriminatorSpace(32), 20_000
    X = np.zeros((n, 21), int)
    Y = mutate_edge(X, space.n_choices, np.random.default_rng(0))
    assert ((Y != X).sum(axis=1) == 1).all()
    assert (space.n_choices > Y).all() and Y.dtype == X.dtype
    share = (Y != X).mean(axis=0)
    assert np.abs(share - 1 / 21).max() < 4 * np.sqrt(1 / 21 * 20 / 21 / n)  # 4 standard errors


def test_one_is_picked_uniformly_among_those_allowed_and_none_where_none_is():
    allowed = np.tile([True, False, True, True], (9000, 1))
    taken = pick_one(allowed, np.random.default_rng(0))
    assert (taken.sum(axis=1) == 1).all() and not taken[:, 1].any()
    assert np.abs(taken[:, [0, 2, 3]].mean(axis=0) - 1 / 3).max() < 4 * np.sqrt(2 / 9 / 9000)
    assert not pick_one(np.zeros((3, 4), bool), np.random.default_rng(0)).any()


def test_names_of_operations_are_those_of_the_space():
    assert len(NORMAL) == 7 and len(DOWN) == 6
    assert isinstance(GeneratorSpace().decode(np.zeros(21, int)), Architecture)
