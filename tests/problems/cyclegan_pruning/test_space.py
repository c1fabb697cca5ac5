import itertools
import json
from types import SimpleNamespace

import numpy as np
import pytest
from moonas.problems.cyclegan_pruning.operators import KeepOne
from moonas.problems.cyclegan_pruning.space import Architecture, Space
from pymoo.core.population import Population

SPACE = Space([2, 3])
ROWS = np.array(list(itertools.product((False, True), repeat=10)))


def rng(seed=0):
    return np.random.default_rng(seed)


def bits_of(text):
    """Return the ones and zeros in a text as a bool array."""
    return np.array([c == "1" for c in text if c in "01"])


def is_valid(X, space=SPACE):
    """Return a bool per row: whether every mask keeps a filter."""
    return np.all([X[:, part].any(axis=1) for part in space.slices], axis=0)


def repaired(X, space=SPACE, seed=0):
    """Return the rows after the repair :class:`KeepOne`."""
    pop = KeepOne()(SimpleNamespace(space=space), Population.new(X=X), random_state=rng(seed))
    return pop.get("X")


def test_a_row_contains_the_masks_of_generator_a_before_the_masks_of_generator_b():
    architecture = SPACE.decode(bits_of("10 110 | 01 001"))
    assert architecture == Architecture(("10", "110"), ("01", "001"))
    assert SPACE.n_bits == 5
    assert [mask.tolist() for mask in architecture.masks("a")] == [
        [True, False],
        [True, True, False],
    ]
    assert [mask.tolist() for mask in architecture.masks("b")] == [
        [False, True],
        [False] * 2 + [True],
    ]
    assert all(mask.dtype == bool for domain in "ab" for mask in architecture.masks(domain))


def test_str_shows_the_number_of_filters_of_each_mask():
    assert str(SPACE.decode(bits_of("10 110 | 11 111"))) == "1 2 / 2 3"
    assert str(Space([12]).decode(np.ones(24, bool))) == "12 / 12"


def test_exactly_the_rows_without_empty_masks_can_be_decoded():
    valid = is_valid(ROWS)
    assert valid.sum() == (3 * 7) ** 2
    for x in ROWS[valid]:
        architecture = SPACE.decode(x)
        row = SPACE.encode(architecture)
        assert row.dtype == bool and np.array_equal(row, x)
        assert SPACE.from_json(json.loads(json.dumps(SPACE.to_json(architecture)))) == architecture
    for x in ROWS[~valid]:
        with pytest.raises(ValueError, match="keeps no filter"):
            SPACE.decode(x)


@pytest.mark.parametrize("kind", [int, float, list])
def test_rows_may_be_ints_floats_or_lists(kind):
    x = bits_of("10 110 | 01 001")
    row = x.astype(int).tolist() if kind is list else x.astype(kind)
    assert SPACE.decode(row) == SPACE.decode(x)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "00 110 | 01 001",
            "Mask 0 of generator a keeps no filter; each mask must keep",
        ),
        (
            "10 110 | 01 000",
            "Mask 1 of generator b keeps no filter; each mask must keep",
        ),
        ("10 110 | 01 0", r"Expected 10 bits; got an array of shape \(8,\)"),
        ("10 110 | 01 0011", r"Expected 10 bits; got an array of shape \(11,\)"),
    ],
)
def test_an_invalid_row_raises_an_error(text, message):
    with pytest.raises(ValueError, match=message):
        SPACE.decode(bits_of(text))


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"a": ["10", "110"]}, "Expected the masks of two generators.*: 'b'"),
        (None, "Expected the masks of two generators"),
        (["10", "110"], "Expected the masks of two generators"),
        ({"a": None, "b": ["01", "001"]}, "Expected the masks of two generators"),
        ({"a": [10, 110], "b": ["01", "001"]}, "Expected the masks of two generators"),
        ({"a": ["10", "11"], "b": ["01", "001"]}, r"Expected masks of \[2, 3\] .* got \[2, 2\]"),
        ({"a": ["10", "110"], "b": ["01", "001", "1"]}, r"Expected masks .* got \[2, 3, 1\]"),
        ({"a": ["10", "110"], "b": ["01", "0x1"]}, "generator b contains characters other than 0"),
        ({"a": ["10", "000"], "b": ["01", "001"]}, "Mask 1 of generator a keeps no filter"),
    ],
)
def test_an_invalid_json_value_raises_an_error(value, message):
    with pytest.raises(ValueError, match=message):
        SPACE.from_json(value)


def test_a_uniform_architecture_without_random_numbers_keeps_the_first_filters():
    masks = ("1000", "1", "1110000000")
    assert Space([4, 1, 10]).uniform(0.3) == Architecture(masks, masks)


@pytest.mark.parametrize("share", [0.0, 0.01, 0.3, 0.77, 1.0])
@pytest.mark.parametrize("sampled", [False, True])
def test_a_uniform_architecture_keeps_the_share_of_every_mask_but_at_least_one_filter(
    share, sampled
):
    sizes = (4, 1, 10, 7)
    counts = {0.0: (1,) * 4, 0.01: (1,) * 4, 0.3: (1, 1, 3, 2), 0.77: (3, 1, 8, 5), 1.0: sizes}
    for seed in range(5):
        architecture = Space(sizes).uniform(share, rng(seed) if sampled else None)
        for masks in (architecture.a, architecture.b):
            assert tuple(map(len, masks)) == sizes
            assert tuple(mask.count("1") for mask in masks) == counts[share]


def test_uniform_architectures_sample_filters_uniformly_and_independently():
    space, n = Space([5, 3]), 4000
    random_state = rng()
    X = np.array([space.encode(space.uniform(0.4, random_state)) for _ in range(n)])
    p = np.array([2 / 5] * 5 + [1 / 3] * 3)
    p = np.concatenate([p, p])
    assert (abs(X.mean(axis=0) - p) < 4 * np.sqrt(p * (1 - p) / n)).all()  # 4 standard errors
    p = np.array([[0.4 * 0.4] * 5] * 5)  # the generators are independent
    joint = X[:, :5].T.astype(float) @ X[:, 8:13] / n
    assert (abs(joint - p) < 4 * np.sqrt(p * (1 - p) / n)).all()
    assert space.uniform(0.4, rng(3)) == space.uniform(0.4, rng(3))


def test_repair_does_not_change_valid_rows():
    valid = ROWS[is_valid(ROWS)]
    repaired_rows = repaired(valid)
    assert repaired_rows.dtype == bool and np.array_equal(repaired_rows, valid)


def test_repair_adds_one_filter_to_each_empty_mask_and_changes_no_other_mask():
    before = ROWS.copy()
    repaired_rows = repaired(ROWS)
    assert np.array_equal(ROWS, before)
    assert repaired_rows.dtype == bool and is_valid(repaired_rows).all()
    for part in SPACE.slices:
        empty = ~ROWS[:, part].any(axis=1)
        assert (repaired_rows[empty, part].sum(axis=1) == 1).all()
        assert np.array_equal(repaired_rows[~empty, part], ROWS[~empty, part])


def test_repair_converts_integers_to_bits():
    repaired_rows = repaired(ROWS.astype(int))
    assert repaired_rows.dtype == bool and np.array_equal(repaired_rows, repaired(ROWS))


def test_repair_samples_filters_uniformly_and_independently():
    space, n = Space([2, 5]), 6000
    X = repaired(np.zeros((n, 14), bool), space)
    for part in space.slices:
        p = 1 / (part.stop - part.start)
        assert (abs(X[:, part].mean(axis=0) - p) < 4 * np.sqrt(p * (1 - p) / n)).all()
    for first, second in itertools.combinations(space.slices, 2):
        joint = X[:, first].T.astype(float) @ X[:, second] / n
        p = 1 / joint.size
        assert (abs(joint - p) < 4 * np.sqrt(p * (1 - p) / n)).all()


def test_repair_depends_only_on_the_seed():
    X = np.zeros((20, 10), bool)
    assert np.array_equal(repaired(X, seed=1), repaired(X, seed=1))
    assert not np.array_equal(repaired(X, seed=1), repaired(X, seed=2))
