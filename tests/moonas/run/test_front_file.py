import math

import numpy as np
import pytest
from tables201 import write_table
from toy import Toy

import moonas
from moonas.pareto import Row
from moonas.run.front_file import (
    NAME,
    FrontRow,
    find_row,
    read_front_csv,
    spread_rows,
    write_front_csv,
)
from moonas.run.search import search

VALUES = [  # error, params, growth
    (0.1 + 0.2, 7, math.nan),
    (1 / 3, 1_234_567, -2.5e-17),
    (99.0, 2**53 - 1, 1e300),
]


def toy_rows(toy, values=VALUES, seed=0):
    X = np.random.default_rng(seed).integers(4, size=(len(values), toy.n_var))
    return [
        Row(x, toy.decode(x), {}, dict(zip(("error", "params", "growth"), v, strict=True)))
        for x, v in zip(X, values, strict=True)
    ]


def same(a, b):
    return a == b or (math.isnan(a) and math.isnan(b))


@pytest.mark.parametrize("picked", [None, 0, 2])
def test_what_was_written_is_read(tmp_path, picked):
    toy = Toy()
    rows = toy_rows(toy)
    write_front_csv(toy, rows, tmp_path / NAME, picked)
    found = read_front_csv(tmp_path)
    assert len(found) == len(rows)
    for i, (row, one) in enumerate(zip(rows, found, strict=True)):
        assert set(one.columns) == {"error", "params", "growth"}
        assert all(same(one.columns[name], value) for name, value in row.columns.items())
        assert one.picked == (i == picked)
        assert np.array_equal(np.array(one.x.split(), int), row.x)
        assert toy.architecture_from_json(one.architecture) == row.architecture
        assert one.description == str(row.architecture)


def test_a_column_that_was_never_given_is_read_as_nan(tmp_path):
    toy = Toy()
    (row,) = toy_rows(toy, VALUES[:1])
    del row.columns["growth"]
    write_front_csv(toy, [row], tmp_path / NAME)
    assert math.isnan(read_front_csv(tmp_path)[0].columns["growth"])


def test_objectives_come_first_and_counts_are_whole_numbers(tmp_path):
    toy = Toy(objectives=("params", "error"))
    write_front_csv(toy, toy_rows(toy), tmp_path / NAME)
    head, *lines = (tmp_path / NAME).read_text().splitlines()
    assert head == "params,error,growth,picked,x,architecture,description"
    assert [line.split(",")[0] for line in lines] == ["7.0", "1234567", str(2**53 - 1)]


def test_words_with_commas_quotes_and_ends_of_lines_come_back(tmp_path):
    class Words(Toy):
        def architecture_to_json(self, architecture):
            return {"a": [str(architecture), None]}

    words = 'one, "two"\nand é'
    row = Row(np.zeros(6, int), words, {}, {"error": 1.0, "params": 2.0})
    write_front_csv(Words(), [row], tmp_path / NAME)
    (found,) = read_front_csv(tmp_path)
    assert found.description == words and found.architecture == {"a": [words, None]}


def test_a_front_of_nothing_is_read_as_nothing(tmp_path):
    write_front_csv(Toy(), [], tmp_path / NAME)
    assert read_front_csv(tmp_path) == []
    assert {path.name for path in tmp_path.iterdir()} == {NAME}


def test_a_search_leaves_what_it_found(tmp_path):
    table = write_table(tmp_path / "table.csv")
    problem = moonas.load_problem("nasbench201", table=table, journal=tmp_path / "run")
    algorithm = moonas.algorithm("nsga2", problem, population=10)
    found = search(problem, algorithm, seed=1, generations=3, verbose=False)
    rows = read_front_csv(tmp_path / "run")
    X = np.array([row.x.split() for row in rows], int)
    assert np.array_equal(X, [row.x for row in found.rows])
    F = [[row.columns[name] for name in problem.objectives] for row in rows]
    assert np.array_equal(problem.evaluate(X), F)
    assert [i for i, row in enumerate(rows) if row.picked] == [found.picked]
    pick = find_row(rows, "knee", error="error", size="params")
    assert pick == found.picked == problem.pick(found.rows)


def front(*columns, picked=None):
    return [
        FrontRow(dict(error=e, params=p, macs=m), i == picked, "0", {}, "")
        for i, (e, p, m) in enumerate(columns)
    ]


FOUR = front((9.0, 1, 50), (4.0, 5, 20), (2.0, 9, 90), (4.5, 3, 10), picked=1)


@pytest.mark.parametrize(
    ("pick", "size", "row"),
    [
        ("knee", "params", 1),
        ("best-error", "params", 2),
        ("smallest", "params", 0),
        ("smallest", "macs", 3),
        *((str(i), "params", i) for i in range(4)),
        ("03", "params", 3),
    ],
)
def test_every_word_and_number_names_a_row(pick, size, row):
    assert find_row(FOUR, pick, error="error", size=size) == row


@pytest.mark.parametrize("pick", ["4", "-1", "1.0", "", "best", "Knee", "nan", "²"])
def test_what_names_no_row_is_refused(pick):
    message = (
        f"pick={pick!r} will not do: knee, best-error, smallest, or a row of the front, 0 to 3"
    )
    with pytest.raises(ValueError) as caught:
        find_row(FOUR, pick, error="error", size="params")
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize("pick", ["knee", "best-error", "smallest", "0"])
def test_a_front_of_nothing_has_no_row(pick):
    with pytest.raises(ValueError, match=f"pick={pick!r} will not do"):
        find_row([], pick, error="error", size="params")


def test_a_front_without_a_pick_has_no_knee():
    with pytest.raises(ValueError, match="pick='knee' will not do"):
        find_row(front((9.0, 1, 50)), "knee", error="error", size="params")


def test_spread_rows_are_as_many_as_asked_from_the_first_to_the_last():
    for n in range(1, 60):
        assert spread_rows(n, 1) == [0]
        for k in range(2, 70):
            chosen = spread_rows(n, k)
            if k >= n:
                assert chosen == list(range(n))
                continue
            assert len(chosen) == k and chosen == sorted(set(chosen))
            assert chosen[0] == 0 and chosen[-1] == n - 1
            even = [(n - 1) * i / (k - 1) for i in range(k)]
            assert all(
                abs(i - wanted) <= 0.5 + 1e-9 for i, wanted in zip(chosen, even, strict=True)
            )


@pytest.mark.parametrize(("n", "k"), [(0, 0), (0, 5), (5, 0)])
def test_of_nothing_or_of_no_row_there_is_none(n, k):
    assert spread_rows(n, k) == []


def test_a_run_that_has_not_ended_has_no_front(tmp_path):
    with pytest.raises(ValueError, match=rf"{tmp_path} holds no front\.csv.*has not ended"):
        read_front_csv(tmp_path)


def cut(text):
    return text[: text.index("[") + 4]  # within an architecture


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text.replace(",x,", ",y,", 1),
        lambda text: "another,table\n1,2\n",
        lambda text: text.replace("1234567", "12e4x"),
        lambda text: text.replace("[", "{", 1),
        lambda text: text.replace(",picked", "", 1),
        lambda text: text.rstrip() + ",more\n",
        cut,
        lambda text: text + "\udcff",
    ],
)
def test_a_damaged_file_is_refused_by_name(tmp_path, damage):
    toy, path = Toy(), tmp_path / NAME
    write_front_csv(toy, toy_rows(toy), path)
    path.write_bytes(damage(path.read_text()).encode(errors="surrogateescape"))
    with pytest.raises(ValueError, match=r"front\.csv is damaged: "):
        read_front_csv(tmp_path)
