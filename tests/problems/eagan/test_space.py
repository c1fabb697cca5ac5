import itertools
import json

import numpy as np
import pytest
from moonas.problems.eagan import zoo
from moonas.problems.eagan.operators import choose_one_gene, cross_edge, mutate_edge
from moonas.problems.eagan.space import (
    DOWN_OPERATIONS,
    NORMAL_OPERATIONS,
    Architecture,
    DiscriminatorSpace,
    GeneratorSpace,
    PairSpace,
    channel_widths,
    halve_side,
    number_of_cells,
)
from searches import uniform_rows

UP_CELLS, DOWN_CELLS = 147_744, 511_488  # numbers of legal Up-Cells and Down-Cells
SPACES = [
    GeneratorSpace(),
    DiscriminatorSpace(8),
    DiscriminatorSpace(32),
    DiscriminatorSpace(48),
    PairSpace(8),
]


def first_cells_of(space):
    """Return the set of all first cells that rows can encode."""
    genes_of_other_cells = np.zeros(14, int)
    cells = set()
    for genes in itertools.product(*(range(n) for n in space.n_choices[:7])):
        cells.add(space.decode(np.concatenate([genes, genes_of_other_cells])).cells[0])
    return cells


@pytest.mark.slow
def test_enumeration_finds_every_legal_cell():
    assert len(first_cells_of(GeneratorSpace())) == UP_CELLS
    assert len(first_cells_of(DiscriminatorSpace(32))) == DOWN_CELLS


def test_the_numbers_of_legal_cells_follow_from_the_numbers_of_operations():
    assert UP_CELLS == 3 * 3 * (7 * 7 - 1) * (7**3 - 1)
    assert DOWN_CELLS == 6 * (7 * 7 - 1) * (7 * 7 - 1) * (6 * 6 + 1)


@pytest.mark.parametrize("space", SPACES)
def test_encode_returns_the_canonical_row_of_a_decoded_architecture(space):
    for x in uniform_rows(space.n_choices, 300):
        architecture = space.decode(x)
        canonical = space.encode(architecture)
        assert space.decode(canonical) == architecture
        assert np.array_equal(space.encode(space.decode(canonical)), canonical)
        assert space.from_json(json.loads(json.dumps(space.to_json(architecture)))) == architecture


def test_every_node_of_a_generator_has_an_input():
    for x in uniform_rows(GeneratorSpace().n_choices, 500):
        for cell in GeneratorSpace().decode(x).cells:
            assert {cell[2], cell[3]} != {"none"}
            assert {cell[4], cell[5], cell[6]} != {"none"}


def test_rules_change_only_the_last_edge_into_a_node_that_has_no_inputs():
    space = GeneratorSpace()
    for x in uniform_rows(space.n_choices, 500):
        encoded = [
            [space.edge_choices[e][g] for e, g in enumerate(cell)] for cell in x.reshape(3, 7)
        ]
        for before, after in zip(encoded, space.decode(x).cells, strict=True):
            no_input = (
                before[2] == before[3] == "none",
                before[4] == before[5] == before[6] == "none",
            )
            changed = {e for e in range(7) if before[e] != after[e]}
            assert changed == {e for e, changes in zip((3, 6), no_input, strict=True) if changes}


@pytest.mark.parametrize("side", [8, 16, 32, 48])
def test_discriminators_never_halve_a_single_pixel(side):
    space = DiscriminatorSpace(side)
    for x in uniform_rows(space.n_choices, 500):
        cell_side = halve_side(side)
        for cell in space.decode(x).cells:
            assert cell[0] != "none"
            assert {cell[1], cell[2]} != {"none"} and {cell[3], cell[4]} != {"none"}
            assert (cell[5] == "none") == (cell[6] == "none")
            if cell_side == 1:
                assert cell[5] == "none"
            cell_side = cell_side if cell[5] == "none" else halve_side(cell_side)


def test_any_cell_of_a_discriminator_may_keep_the_spatial_size():
    space = DiscriminatorSpace(32)
    X = uniform_rows(space.n_choices, 4000)
    keeps_size = np.array([[cell[5] == "none" for cell in space.decode(x).cells] for x in X])
    # each cell with probability 1/7; tolerance of 4 standard errors
    assert np.abs(keeps_size.mean(axis=0) - 1 / 7).max() < 4 * np.sqrt(1 / 7 * 6 / 7 / 4000)


def test_the_published_generator_matches_the_description_in_the_paper():
    normal = [name for cell in zoo.generator("EAGAN_G").cells for name in cell[2:]]
    assert len(normal) == 15
    assert normal.count("none") == 6 and normal.count("skip_connect") == 3
    up = [name for cell in zoo.generator("EAGAN_G").cells for name in cell[:2]]
    assert up.count("bilinear") == 5


def test_eagan_d_c_and_eagan_d_s_differ_in_two_genes():
    space = DiscriminatorSpace(32)
    c, s = (space.encode(zoo.discriminator(name)) for name in ("EAGAN_D_C", "EAGAN_D_S"))
    assert np.count_nonzero(c != s) == 2


def test_published_discriminators_are_legal_for_every_image_size():
    for side in (8, 16, 32, 48):
        for name in zoo.DISCRIMINATORS:
            x = DiscriminatorSpace(side).encode(zoo.discriminator(name, side))
            assert DiscriminatorSpace(side).decode(x) == zoo.discriminator(name, 32)


@pytest.mark.parametrize("name", zoo.DISCRIMINATORS)
def test_names_short_names_and_released_numbers_describe_the_same_architecture(name):
    space, expected = DiscriminatorSpace(32), zoo.discriminator(name)
    numbers = " / ".join(" ".join(map(str, cell)) for cell in zoo.DISCRIMINATORS[name][0])
    assert space.from_text(numbers) == expected
    assert space.from_text(str(expected)) == expected
    assert space.from_text(" / ".join(" ".join(cell) for cell in expected.cells)) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("c3 - c3 - c1 avg avg / c3 - c3 - c1 avg avg", "3 Down-Cells of 7 edges"),
        (
            "c3 - - - c1 avg avg" + " / c3 - c3 - c1 avg avg" * 2,
            "is not a legal cell.*conv_3x3 none skip",
        ),
        (
            "- - c3 - c1 avg avg" + " / c3 - c3 - c1 avg avg" * 2,
            "E0 of Down-Cell 1 cannot be 'none'",
        ),
        ("c3 - c3 - c1 avg -" + " / c3 - c3 - c1 avg avg" * 2, "is not a legal cell"),
        ("c3 - c3 - c1 bil avg" + " / c3 - c3 - c1 avg avg" * 2, "E5 of Down-Cell 1 .*avg_pool"),
        ("9 0 3 0 2 0 0" + " / 3 0 3 0 2 0 0" * 2, "E0 of a Down-Cell cannot be number 9"),
        ("-1 0 3 0 2 0 0" + " / 3 0 3 0 2 0 0" * 2, "E0 of a Down-Cell cannot be number -1"),
    ],
)
def test_a_text_that_does_not_describe_a_legal_discriminator_is_rejected(text, message):
    with pytest.raises(ValueError, match=message):
        DiscriminatorSpace(32).from_text(text)


def test_json_that_does_not_describe_an_architecture_is_rejected():
    for space in SPACES:
        for value in ([], {"cells": []}, {"a": 1}, {"generator": {}, "discriminator": {}}):
            with pytest.raises(ValueError):
                space.from_json(value)


def test_the_text_of_an_architecture_lists_the_short_name_of_every_operation():
    text = str(zoo.generator("EAGAN_G"))
    assert text == "bil bil skip - c1 c3 skip / bil bil - skip c3 - d3 / near bil - c3 - - c3"


def test_crossover_exchanges_one_edge_in_which_the_parents_differ():
    A, B = (uniform_rows(GeneratorSpace().n_choices, 200, seed=seed) for seed in (0, 1))
    C, D = cross_edge(A, B, np.random.default_rng(0))
    changed = C != A
    assert (changed.sum(axis=1) == 1).all()
    assert np.array_equal(C[changed], B[changed]) and np.array_equal(D[changed], A[changed])
    assert np.array_equal(changed, D != B)


def test_crossover_of_equal_parents_changes_nothing():
    A = uniform_rows(GeneratorSpace().n_choices, 5)
    C, D = cross_edge(A, A, np.random.default_rng(0))
    assert np.array_equal(C, A) and np.array_equal(D, A)


def test_mutation_changes_the_operation_on_one_edge():
    space, n = DiscriminatorSpace(32), 20_000
    X = np.zeros((n, 21), int)
    Y = mutate_edge(X, space.n_choices, np.random.default_rng(0))
    assert ((Y != X).sum(axis=1) == 1).all()
    assert (space.n_choices > Y).all() and Y.dtype == X.dtype
    share = (Y != X).mean(axis=0)
    assert np.abs(share - 1 / 21).max() < 4 * np.sqrt(1 / 21 * 20 / 21 / n)  # 4 standard errors


def test_one_gene_is_chosen_uniformly_among_the_allowed_genes():
    allowed = np.tile([True, False, True, True], (9000, 1))
    chosen = choose_one_gene(allowed, np.random.default_rng(0))
    assert (chosen.sum(axis=1) == 1).all() and not chosen[:, 1].any()
    assert np.abs(chosen[:, [0, 2, 3]].mean(axis=0) - 1 / 3).max() < 4 * np.sqrt(2 / 9 / 9000)
    assert not choose_one_gene(np.zeros((3, 4), bool), np.random.default_rng(0)).any()


def test_there_are_seven_normal_and_six_down_operations():
    assert len(NORMAL_OPERATIONS) == 7 and len(DOWN_OPERATIONS) == 6
    assert isinstance(GeneratorSpace().decode(np.zeros(21, int)), Architecture)


@pytest.mark.parametrize("n_cells", [4, 5])
def test_networks_with_more_cells_have_seven_genes_per_cell(n_cells):
    spaces = GeneratorSpace(n_cells), DiscriminatorSpace(64, n_cells), PairSpace(64, n_cells)
    for space, n_genes in zip(spaces, (7, 7, 14), strict=True):
        assert len(space.n_choices) == n_genes * n_cells
        for x in uniform_rows(space.n_choices, 50):
            architecture = space.decode(x)
            canonical = space.encode(architecture)
            assert canonical.shape == (n_genes * n_cells,)
            assert space.decode(canonical) == architecture
            stored = json.loads(json.dumps(space.to_json(architecture)))
            assert space.from_json(stored) == architecture
            assert len(space.graphs(architecture)) == (2 if n_genes == 14 else 1) * n_cells
    architecture = spaces[0].decode(uniform_rows(spaces[0].n_choices, 1)[0])
    assert spaces[0].from_text(str(architecture)) == architecture


def test_the_default_number_of_cells_makes_the_first_feature_map_smaller_than_8x8():
    expected = {8: 3, 16: 3, 32: 3, 48: 3, 56: 3, 64: 4, 96: 4, 112: 4, 128: 5, 224: 5}
    assert {side: number_of_cells(side) for side in expected} == expected
    for side, n_cells in expected.items():
        assert side % 2**n_cells == 0 and side // 2**n_cells < 8
    # 72 and 120 can be halved three times only
    assert number_of_cells(72) == number_of_cells(120) == 3
    assert number_of_cells(64, 3) == 3 and number_of_cells(256) == 5
    for side, n_cells, multiple in ((12, None, 8), (0, None, 8), (40, 4, 16), (48, 5, 32)):
        with pytest.raises(ValueError, match=f"multiple of {multiple}"):
            number_of_cells(side, n_cells)


def test_the_fourth_and_fifth_cell_have_half_and_a_quarter_of_the_channels():
    assert channel_widths(256, 3) == [256] * 3
    assert channel_widths(256, 4) == [256, 256, 256, 128]
    assert channel_widths(256, 5) == [256, 256, 256, 128, 64]
    assert channel_widths(256, 5, "constant") == [256] * 5
    assert channel_widths(2, 5) == [2, 2, 2, 1, 1]


def test_texts_describe_networks_with_four_or_five_cells():
    cells = " / ".join(["near bil c3 - c1 - skip"] * 4)
    assert len(zoo.find_generator(cells).cells) == 4
    assert str(zoo.find_generator(cells, 4)) == cells
    with pytest.raises(ValueError, match="This is a generator with 4 cells, but 5 cells are requ"):
        zoo.find_generator(cells, 5)
    with pytest.raises(ValueError, match="EAGAN_G is a generator with 3 cells.*Set cells=3"):
        zoo.find_generator("EAGAN_G", 4)
    with pytest.raises(ValueError, match="EAGAN_D_C is a discriminator with 3 cells.*Set cells=3"):
        zoo.find_discriminator("EAGAN_D_C", 64, 4)
    for n_cells in (2, 6):
        with pytest.raises(ValueError, match="Expected 3 Up-Cells"):
            zoo.find_generator(" / ".join([cells.split(" / ")[0]] * n_cells))


def test_the_default_networks_with_more_cells_repeat_cells_of_the_published_ones():
    published = zoo.generator("EAGAN_G").cells
    assert zoo.find_generator().cells == published
    assert zoo.find_generator(None, 5).cells == published + published[2:] * 2
    published = zoo.discriminator("EAGAN_D_C", 128).cells
    assert zoo.find_discriminator(None, 128).cells == published
    assert zoo.find_discriminator(None, 128, 5).cells == published[:1] * 2 + published
    # a single pixel is not downsampled
    assert zoo.find_discriminator(None, 4, 4).cells[2][5] == "none"
