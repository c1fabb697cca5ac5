import math

import numpy as np
import pytest
from pymoo.optimize import minimize
from tables201 import write_table
from toy import Toy

import moonas
from moonas.pareto import Row, population_front
from moonas.run.front_file import (
    FRONT_FILE,
    FrontRow,
    correlation_with_training,
    evenly_spaced_rows,
    find_row,
    find_rows,
    read_front_csv,
    write_front_csv,
)
from moonas.run.search import search

COLUMN_VALUES = [  # error, params, growth
    (0.1 + 0.2, 7, math.nan),
    (1 / 3, 1_234_567, -2.5e-17),
    (99.0, 2**53 - 1, 1e300),
]


def toy_rows(toy, values=COLUMN_VALUES, seed=0):
    X = np.random.default_rng(seed).integers(4, size=(len(values), toy.n_var))
    return [
        Row(x, toy.decode(x), {}, dict(zip(("error", "params", "growth"), v, strict=True)))
        for x, v in zip(X, values, strict=True)
    ]


def equal_or_both_nan(a, b):
    return a == b or (math.isnan(a) and math.isnan(b))


@pytest.mark.parametrize("picked", [None, 0, 2])
def test_a_front_that_is_read_equals_the_front_that_was_written(tmp_path, picked):
    toy = Toy()
    rows = toy_rows(toy)
    write_front_csv(toy, rows, tmp_path / FRONT_FILE, picked)
    file_rows = read_front_csv(tmp_path)
    assert len(file_rows) == len(rows)
    for i, (row, file_row) in enumerate(zip(rows, file_rows, strict=True)):
        assert set(file_row.columns) == {"error", "params", "growth"}
        assert all(
            equal_or_both_nan(file_row.columns[name], value) for name, value in row.columns.items()
        )
        assert file_row.picked == (i == picked)
        assert np.array_equal(np.array(file_row.x.split(), int), row.x)
        assert toy.architecture_from_json(file_row.architecture) == row.architecture
        assert file_row.description == str(row.architecture)


@pytest.mark.parametrize(
    ("trained", "end"),
    [([1, 2, 3, 4, 5], "is 1.00."), ([2, 1, 3, 4, 5], "is 0.90 (95 % interval -0.17 to 1.00).")],
)
def test_the_correlation_with_training_has_an_interval_unless_it_is_1(trained, end):
    rows = [
        FrontRow({"error": float(i)}, False, "", None, "", {"error": float(error)})
        for i, error in enumerate(trained)
    ]
    text = correlation_with_training(rows, "error")
    assert text.startswith("5 rows of the front have been trained;") and text.endswith(end)


def test_a_missing_column_value_is_read_as_nan(tmp_path):
    toy = Toy()
    (row,) = toy_rows(toy, COLUMN_VALUES[:1])
    del row.columns["growth"]
    write_front_csv(toy, [row], tmp_path / FRONT_FILE)
    assert math.isnan(read_front_csv(tmp_path)[0].columns["growth"])


def test_objectives_are_the_first_columns_and_large_counts_are_written_as_integers(tmp_path):
    toy = Toy(objectives=("params", "error"))
    write_front_csv(toy, toy_rows(toy), tmp_path / FRONT_FILE)
    head, *lines = (tmp_path / FRONT_FILE).read_text().splitlines()
    assert head == "params,error,growth,picked,x,architecture,description"
    assert [line.split(",")[0] for line in lines] == ["7.0", "1234567", str(2**53 - 1)]


def test_text_with_commas_quotes_and_newlines_is_read_back_unchanged(tmp_path):
    class TextToy(Toy):
        def architecture_to_json(self, architecture):
            return {"a": [str(architecture), None]}

    text = 'one, "two"\nand é'
    row = Row(np.zeros(6, int), text, {}, {"error": 1.0, "params": 2.0})
    write_front_csv(TextToy(), [row], tmp_path / FRONT_FILE)
    (file_row,) = read_front_csv(tmp_path)
    assert file_row.description == text and file_row.architecture == {"a": [text, None]}


def test_an_empty_front_can_be_written_and_read(tmp_path):
    write_front_csv(Toy(), [], tmp_path / FRONT_FILE)
    assert read_front_csv(tmp_path) == []
    assert {path.name for path in tmp_path.iterdir()} == {FRONT_FILE}


def test_a_search_writes_its_front_to_front_csv(tmp_path):
    table = write_table(tmp_path / "table.csv")
    problem = moonas.load_problem("nasbench201", table=table, journal=tmp_path / "run")
    algorithm = moonas.algorithm("nsga2", problem, population=10)
    result = search(problem, algorithm, seed=1, generations=3, verbose=False)
    rows = read_front_csv(tmp_path / "run")
    X = np.array([row.x.split() for row in rows], int)
    assert np.array_equal(X, [row.x for row in result.rows])
    F = [[row.columns[name] for name in problem.objectives] for row in rows]
    assert np.array_equal(problem.evaluate(X), F)
    assert [i for i, row in enumerate(rows) if row.picked] == [result.picked]
    pick = find_row(rows, "knee", error="error", size="params")
    assert pick == result.picked == problem.pick(result.rows)


def make_front(*columns, picked=None):
    return [
        FrontRow(dict(error=e, params=p, macs=m), i == picked, "0", {}, "")
        for i, (e, p, m) in enumerate(columns)
    ]


FOUR_ROWS = make_front((9.0, 1, 50), (4.0, 5, 20), (2.0, 9, 90), (4.5, 3, 10), picked=1)


@pytest.mark.parametrize(
    ("pick", "size", "row"),
    [
        ("knee", "params", 1),
        ("best-error", "params", 2),
        ("smallest", "params", 0),
        ("smallest", "macs", 3),
        ("under:params=8", "params", 1),
        ("under:params=4.9", "params", 3),
        ("under:macs=1e9", "params", 2),
        ("spread:1", "params", 2),
        *((str(i), "params", i) for i in range(4)),
        ("03", "params", 3),
    ],
)
def test_a_rule_or_a_number_selects_a_row_of_the_front(pick, size, row):
    assert find_row(FOUR_ROWS, pick, error="error", size=size) == row


@pytest.mark.parametrize(
    ("pick", "chosen"),
    [
        # sizes 1 to 9: below 3.67, below 6.33, above
        ("spread:3", [3, 1, 2]),
        ("spread:2", [3, 2]),  # below 5, from 5
        ("spread:100", [0, 3, 1, 2]),
        ("tradeoff:1", [3]),
        ("tradeoff:2", [3, 2]),  # smallest ratios 0.39, 0.29, 0.48, 2.1
        ("tradeoff:9", [0, 3, 1, 2]),
        ("knee", [1]),
    ],
)
def test_a_rule_can_select_several_rows_of_the_front(pick, chosen):
    assert find_rows(FOUR_ROWS, pick, error="error", size="params") == chosen
    if len(chosen) > 1:
        with pytest.raises(ValueError, match=f"it selects {len(chosen)} rows, expected one"):
            find_row(FOUR_ROWS, pick, error="error", size="params")


@pytest.mark.parametrize(
    ("pick", "message"),
    [
        ("under:params=0.5", "no row of the front has params of at most 0.5; the lowest is 1"),
        ("under:speed=1", r"one of the columns \['error', 'params', 'macs'\]"),
        ("under:params", "expected under:COLUMN=NUMBER"),
        ("under:params=few", "expected under:COLUMN=NUMBER"),
    ],
)
def test_a_bound_that_selects_no_row_is_explained(pick, message):
    with pytest.raises(ValueError, match=message):
        find_row(FOUR_ROWS, pick, error="error", size="params")


@pytest.mark.parametrize(
    "pick", ["4", "-1", "1.0", "", "best", "Knee", "nan", "²", "spread:0", "spread:", "tradeoff:x"]
)
def test_a_pick_that_matches_no_row_raises_an_error(pick):
    message = (
        f"pick={pick!r} is invalid: expected knee, best-error, smallest, spread:K, tradeoff:K, "
        "under:COLUMN=NUMBER, or the number of a row of the front, 0 to 3"
    )
    with pytest.raises(ValueError) as caught:
        find_row(FOUR_ROWS, pick, error="error", size="params")
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize("pick", ["knee", "best-error", "smallest", "0"])
def test_picking_a_row_of_an_empty_front_raises_an_error(pick):
    with pytest.raises(ValueError, match=f"pick={pick!r} is invalid: the front has no rows"):
        find_row([], pick, error="error", size="params")


def test_picking_the_knee_of_a_front_without_a_selected_row_raises_an_error():
    with pytest.raises(ValueError, match="pick='knee' is invalid: expected"):
        find_row(make_front((9.0, 1, 50)), "knee", error="error", size="params")


def test_evenly_spaced_rows_are_k_distinct_indices_from_the_first_to_the_last():
    for n in range(1, 30):
        assert evenly_spaced_rows(n, 1) == [0]
        for k in range(2, 40):
            chosen = evenly_spaced_rows(n, k)
            if k >= n:
                assert chosen == list(range(n))
                continue
            assert len(chosen) == k and chosen == sorted(set(chosen))
            assert chosen[0] == 0 and chosen[-1] == n - 1
            even = [(n - 1) * i / (k - 1) for i in range(k)]
            assert all(abs(i - exact) <= 0.5 + 1e-9 for i, exact in zip(chosen, even, strict=True))


@pytest.mark.parametrize(("n", "k"), [(0, 0), (0, 5), (5, 0)])
def test_evenly_spaced_rows_are_empty_if_n_or_k_is_zero(n, k):
    assert evenly_spaced_rows(n, k) == []


def test_a_missing_front_csv_raises_an_error_about_an_unfinished_search(tmp_path):
    with pytest.raises(ValueError, match=rf"{tmp_path} contains no front\.csv.*has not ended"):
        read_front_csv(tmp_path)


def truncate_text(text):
    return text[: text.index("[") + 4]  # the end is inside an architecture


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text.replace(",x,", ",y,", 1),
        lambda text: "another,table\n1,2\n",
        lambda text: text.replace("1234567", "12e4x"),
        lambda text: text.replace("[", "{", 1),
        lambda text: text.replace(",picked", "", 1),
        lambda text: text.rstrip() + ",more\n",
        truncate_text,
        lambda text: text + "\udcff",
    ],
)
def test_a_damaged_front_csv_raises_an_error_that_names_the_file(tmp_path, damage):
    toy, path = Toy(), tmp_path / FRONT_FILE
    write_front_csv(toy, toy_rows(toy), path)
    path.write_bytes(damage(path.read_text()).encode(errors="surrogateescape"))
    with pytest.raises(ValueError, match=r"front\.csv is damaged: "):
        read_front_csv(tmp_path)


def test_a_complete_run_keeps_the_front_and_the_pick_of_an_earlier_version(tmp_path):
    def run():
        options = dict(population=6, generations=6)
        return moonas.search("digits-table", seed=1, out=tmp_path / "run", **options)

    first = run()
    path = first.folder / "front.csv"
    problem = moonas.load_problem("digits-table", population=6)
    result = minimize(problem, problem.algorithm(), ("n_gen", 6), seed=1)
    rows = population_front(problem, result.pop)  # the front of earlier versions
    assert len(rows) < len(first.rows)
    write_front_csv(problem, rows, path, 0)
    again = run()
    assert [row.x.tolist() for row in again.rows] == [row.x.tolist() for row in rows]
    assert again.picked == 0
    picked = [row.picked for row in read_front_csv(first.folder)]
    assert picked == [True, *[False] * (len(rows) - 1)]
