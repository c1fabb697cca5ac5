import itertools
import json

import numpy as np
import pytest

from moonas.spaces.genes import Genes, bits, labels

MIXED = Genes([8, 1, 1.0], [60, 6, 3.0], [False, False, True])


def test_a_row_is_int_unless_a_gene_is_real():
    assert labels([2, 3]).dtype == np.int64 and MIXED.dtype == np.float64
    assert labels([2, 3]).check(np.array([1.0, 2.0])).dtype == np.int64
    assert MIXED.n_choices.tolist() == [53, 6, 0]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ([8.5, 1, 1], r"x\[0, 0\] = 8.5 is no integer; gene 0 takes the integers 8 to 60"),
        ([61, 1, 1], r"x\[0, 0\] = 61.0 is out of bounds"),
        ([8, 1, 3.1], r"x\[0, 2\] = 3.1 is out of bounds; gene 2 takes the real numbers 1 to 3"),
        ([8, 1, np.nan], r"x\[0, 2\] = nan is out of bounds"),
        ([8, 1], "Expected rows of 3 numbers"),
        ([None, 1, 1], "type object"),
    ],
)
def test_a_wrong_row_is_named(row, message):
    with pytest.raises(ValueError, match=message):
        MIXED.check(np.array(row) if None in row else np.array(row, float))


def test_bounds_belong_to_the_genes():
    rows = np.array([[8, 1, 1.0], [60, 6, 3.0]])
    assert np.array_equal(MIXED.check(rows), rows)


def test_words_of_a_row_come_back():
    assert MIXED.text(np.array([8, 1, 1.1])) == "8 1 1.1"
    assert labels([9, 9]).text(np.array([3, 4])) == "3 4"
    x = np.array([9.0, 2.0, 2**0.5])
    assert np.array_equal(np.array(MIXED.text(x).split(), float), x)


def test_bits_have_two_choices_and_rows_of_bools():
    genes = bits(5)
    assert genes.dtype == bool and genes.bits and not labels([2] * 5).bits
    assert genes.n_choices.tolist() == [2] * 5


@pytest.mark.parametrize("kind", [bool, int, np.uint8, float])
@pytest.mark.parametrize("shape", [(5,), (1, 5), (3, 5)])
def test_ones_and_zeros_of_any_kind_are_bits(kind, shape):
    X = np.random.default_rng(0).random(shape) < 0.5
    found = bits(5).check(X.astype(kind))
    assert found.dtype == bool and np.array_equal(found, X)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ([0, 2, 1], r"x\[0, 1\] = 2 is out of bounds; gene 1 takes the integers 0 to 1"),
        ([0, 1, -1], r"x\[0, 2\] = -1 is out of bounds"),
        ([0.5, 1, 0], r"x\[0, 0\] = 0.5 is no integer"),
        ([0, 1, np.nan], r"x\[0, 2\] = nan"),
        ([0, 1], "Expected rows of 3 integers"),
    ],
)
def test_what_is_neither_one_nor_zero_is_no_bit(row, message):
    with pytest.raises(ValueError, match=message):
        bits(3).check(np.array(row))


def test_a_row_of_bits_is_a_hexadecimal_number_for_json_and_ones_and_zeros_in_words():
    x = np.array([1, 0, 1, 0, 1, 1, 1, 1, 0, 1], bool)
    assert bits(10).plain(x) == "af40"  # 1010 1111 01, and zeros to the end of the byte
    assert bits(10).text(x) == "1010111101"
    assert bits(10).plain(x) == np.packbits(x).tobytes().hex()


@pytest.mark.parametrize("n", [1, 8, 9])
def test_different_rows_of_bits_have_different_texts(n):
    genes = bits(n)
    rows = np.array(list(itertools.product((False, True), repeat=n)))
    for write in (genes.plain, genes.text):
        assert len({write(x) for x in rows}) == 2**n
    for x in rows:
        packed = np.frombuffer(bytes.fromhex(genes.plain(x)), np.uint8)
        assert np.array_equal(np.unpackbits(packed, count=n).astype(bool), x)
        assert [c == "1" for c in genes.text(x)] == x.tolist()


def all_rows(genes, n, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.uniform(genes.low, genes.high, size=(n, len(genes.low)))
    X = np.where(genes.real, X, np.round(X))
    return genes.check(np.vstack([X, genes.low, genes.high]))


@pytest.mark.parametrize(
    "genes", [labels([2, 300, 1]), MIXED, *(bits(n) for n in (1, 7, 8, 9, 16, 21))]
)
def test_a_row_comes_back_from_what_json_holds_of_it(genes):
    for x in all_rows(genes, 40):
        back = genes.of_plain(json.loads(json.dumps(genes.plain(x))))
        assert back.dtype == genes.dtype and back.shape == x.shape
        assert np.array_equal(back, x)


def test_whole_numbers_in_json_are_rows_of_the_genes_type():
    assert MIXED.of_plain([8, 1, 2]).dtype == np.float64
    assert labels([2, 3]).of_plain([1.0, 2.0]).dtype == np.int64
