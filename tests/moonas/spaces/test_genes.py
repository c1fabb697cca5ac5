import itertools
import json

import numpy as np
import pytest

from moonas.spaces import genes as genes_module
from moonas.spaces.genes import Genes, bit_genes, categorical_genes

INTEGERS_AND_REAL = Genes([8, 1, 1.0], [60, 6, 3.0], [False, False, True])


def test_rows_are_integers_unless_a_gene_is_a_real_number():
    assert categorical_genes([2, 3]).dtype == np.int64 and INTEGERS_AND_REAL.dtype == np.float64
    assert categorical_genes([2, 3]).check(np.array([1.0, 2.0])).dtype == np.int64
    assert INTEGERS_AND_REAL.n_choices.tolist() == [53, 6, 0]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ([8.5, 1, 1], r"x\[0, 0\] = 8.5 is not an integer; gene 0 must be an integer from 8"),
        ([61, 1, 1], r"x\[0, 0\] = 61.0 is out of bounds"),
        (
            [8, 1, 3.1],
            r"x\[0, 2\] = 3.1 is out of bounds; gene 2 must be a real number from 1",
        ),
        ([8, 1, np.nan], r"x\[0, 2\] = nan is out of bounds"),
        ([8, 1], "Expected rows of 3 numbers"),
        ([None, 1, 1], "type object"),
    ],
)
def test_an_invalid_row_raises_an_error_that_names_the_gene(row, message):
    with pytest.raises(ValueError, match=message):
        INTEGERS_AND_REAL.check(np.array(row) if None in row else np.array(row, float))


def test_values_equal_to_the_bounds_are_valid():
    rows = np.array([[8, 1, 1.0], [60, 6, 3.0]])
    assert np.array_equal(INTEGERS_AND_REAL.check(rows), rows)


def test_the_text_of_a_row_contains_all_digits_of_its_genes():
    assert INTEGERS_AND_REAL.text(np.array([8, 1, 1.1])) == "8 1 1.1"
    assert categorical_genes([9, 9]).text(np.array([3, 4])) == "3 4"
    x = np.array([9.0, 2.0, 2**0.5])
    assert np.array_equal(np.array(INTEGERS_AND_REAL.text(x).split(), float), x)


def test_bit_genes_have_two_choices_and_boolean_rows():
    genes = bit_genes(5)
    assert genes.dtype == bool and genes.bits and not categorical_genes([2] * 5).bits
    assert genes.n_choices.tolist() == [2] * 5


@pytest.mark.parametrize("dtype", [bool, int, np.uint8, float])
@pytest.mark.parametrize("shape", [(5,), (1, 5), (3, 5)])
def test_zeros_and_ones_of_any_data_type_are_valid_bits(dtype, shape):
    X = np.random.default_rng(0).random(shape) < 0.5
    checked = bit_genes(5).check(X.astype(dtype))
    assert checked.dtype == bool and np.array_equal(checked, X)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ([0, 2, 1], r"x\[0, 1\] = 2 is out of bounds; gene 1 must be an integer from 0 to 1"),
        ([0, 1, -1], r"x\[0, 2\] = -1 is out of bounds"),
        ([0.5, 1, 0], r"x\[0, 0\] = 0.5 is not an integer"),
        ([0, 1, np.nan], r"x\[0, 2\] = nan"),
        ([0, 1], "Expected rows of 3 integers"),
    ],
)
def test_values_other_than_zero_and_one_are_invalid_bits(row, message):
    with pytest.raises(ValueError, match=message):
        bit_genes(3).check(np.array(row))


def test_bits_are_written_as_hexadecimal_digits_in_json_and_as_zeros_and_ones_in_text():
    x = np.array([1, 0, 1, 0, 1, 1, 1, 1, 0, 1], bool)
    assert bit_genes(10).to_json(x) == "af40"  # 1010 1111 01, and padded with zeros to a whole byte
    assert bit_genes(10).text(x) == "1010111101"
    assert bit_genes(10).to_json(x) == np.packbits(x).tobytes().hex()


@pytest.mark.parametrize("n", [1, 8, 9])
def test_different_rows_of_bits_differ_in_json_and_text(n):
    genes = bit_genes(n)
    rows = np.array(list(itertools.product((False, True), repeat=n)))
    for convert in (genes.to_json, genes.text):
        assert len({convert(x) for x in rows}) == 2**n
    for x in rows:
        packed = np.frombuffer(bytes.fromhex(genes.to_json(x)), np.uint8)
        assert np.array_equal(np.unpackbits(packed, count=n).astype(bool), x)
        assert [c == "1" for c in genes.text(x)] == x.tolist()


def random_rows_and_bounds(genes, n, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.uniform(genes.low, genes.high, size=(n, len(genes.low)))
    X = np.where(genes.real, X, np.round(X))
    return genes.check(np.vstack([X, genes.low, genes.high]))


@pytest.mark.parametrize(
    "genes",
    [
        categorical_genes([2, 300, 1]),
        INTEGERS_AND_REAL,
        *(bit_genes(n) for n in (1, 7, 8, 9, 16, 21)),
    ],
)
def test_from_json_is_the_inverse_of_to_json(genes):
    for x in random_rows_and_bounds(genes, 40):
        restored = genes.from_json(json.loads(json.dumps(genes.to_json(x))))
        assert restored.dtype == genes.dtype and restored.shape == x.shape
        assert np.array_equal(restored, x)


def test_rows_from_json_have_the_data_type_of_the_genes():
    assert INTEGERS_AND_REAL.from_json([8, 1, 2]).dtype == np.float64
    assert categorical_genes([2, 3]).from_json([1.0, 2.0]).dtype == np.int64


def test_the_old_function_names_labels_and_bits_are_deprecated():
    with pytest.warns(DeprecationWarning, match=r"bits\(\) is deprecated; use bit_genes\(\)"):
        assert genes_module.bits(3).bits
    with pytest.warns(DeprecationWarning, match="categorical_genes"):
        assert genes_module.labels([2, 3]).n_choices.tolist() == [2, 3]
