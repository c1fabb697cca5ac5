import numpy as np
import pytest

from moonas.genes import Genes, labels

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
