"""The figure of a Pareto front in a run folder and on a page."""

import numpy as np
import pytest
from toy import Toy

import moonas
from moonas.pareto import Row
from moonas.problem import Column
from moonas.views.front import column_formats, column_title, name_in_text, plot_front
from moonas.views.scores import ScoredCandidates, last_scores, read_scores

EVALUATED = ScoredCandidates(
    np.arange(4)[:, None],
    {"error": np.array([5.0, 20.0, 10.0, 30.0]), "params": np.array([9.0, 1.0, 4.0, 8.0])},
    4,
)


def make_front():
    """Return a front of the first three candidates, which are not sorted by params."""
    values = [{name: v[i] for name, v in EVALUATED.columns.items()} for i in range(3)]
    return [Row(np.full(6, i), f"net {i}", v, v) for i, v in enumerate(values)]


def test_the_tooltip_of_a_row_contains_its_finite_columns_and_its_architecture():
    _, points = plot_front(Toy(), EVALUATED, make_front())
    assert [(p.x, p.y) for p in points] == [(9, 5), (1, 20), (4, 10)]
    assert points[1].tip.splitlines() == ["error (%): 20.00", "params: 1", "net 1"]


def test_lines_of_four_objectives_have_no_tooltips():
    problem = moonas.load_problem(
        "digits-table", objectives=("error", "params", "macs", "latency_ms")
    )
    X = problem.true_front()[0][:3]
    columns = problem.table.look_up(X)
    rows = [
        Row(x, problem.decode(x), {}, {k: float(v[i]) for k, v in columns.items()})
        for i, x in enumerate(X)
    ]
    _, points = plot_front(problem, None, rows, picked=1)
    assert points == []


FID = Column("inverse_fid", "digits classifier", bounds=(0, 100))


@pytest.mark.parametrize(
    ("column", "values", "texts"),
    [
        (FID, [19.0053, 19.0166, 19.0199], ["19.005", "19.017", "19.020"]),
        (FID, [19.0, 35.5], ["19", "35.5"]),
        (Column("error", "%"), [1.234, 1.2309, 1.234], ["1.234", "1.231", "1.234"]),
        (Column("params", "parameters"), [1234.0, np.nan], ["1,234", "-"]),
    ],
)
def test_different_values_of_a_column_read_differently(column, values, texts):
    rows = [Row(np.zeros(1), "a", {}, {column.name: value}) for value in values]
    form = column_formats([column], rows)[column.name]
    assert [form(value) for value in values] == texts


def test_titles_are_those_of_the_axes():
    assert column_title(FID) == "inverse FID (digits classifier)"
    assert name_in_text(FID) == "inverse FID"
    macs = Column("macs", "multiply-adds")
    assert (column_title(macs), name_in_text(macs)) == ("macs", "multiply-adds")


def score_record(call, rows, error):
    """Return the journal record of a call."""
    scored = {"error": error, "params": [1] * len(rows), "failed": [False] * len(rows)}
    return {"call": call, "kind": "score", "request": {"x": rows}, "result": scored}


@pytest.mark.parametrize("nonstationary", [False, True])
def test_a_picture_shows_each_evaluated_architecture_once(nonstationary):
    a, b, c = ([i] * 6 for i in range(3))
    records = [
        score_record(0, [a, b], [5.0, 6.0]),
        {"call": 1, "kind": "train", "request": {}, "result": {}},
        score_record(2, [b, c], [7.0, 8.0]),
        score_record(3, [c, b], [8.0, 7.0]),
    ]
    problem = Toy(nonstationary=nonstationary)
    evaluated = last_scores(problem, read_scores(problem, records))
    expected = ([b, c], [7.0, 8.0]) if nonstationary else ([a, b, c], [5.0, 6.0, 8.0])
    assert (evaluated.X.tolist(), evaluated.columns["error"].tolist()) == expected


def test_there_is_nothing_to_show_before_the_first_evaluation():
    assert last_scores(Toy(), []) is None
