"""NAS-Bench-201: encoding, networks, tables and the problem, on a table in closed form."""

import csv
import itertools

import numpy as np
import pytest
import torch
from moonas.problems.nasbench201 import space
from moonas.problems.nasbench201.networks import CellNetwork201, operation, operation_parts
from searches import run
from tables201 import score, write_table
from torch import nn

import moonas
from moonas.nets.counting import count_macs, count_params
from moonas.tabular import Table

CELL_TEXT = "|nor_conv_3x3~0|+|none~0|avg_pool_3x3~1|+|skip_connect~0|nor_conv_1x1~1|none~2|"


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    return write_table(tmp_path_factory.mktemp("table") / "table.csv")


def load_problem(table, **options):
    return moonas.load_problem("nasbench201", table=table, **options)


def test_cells_are_written_as_the_benchmark_writes_them():
    cell = space.parse(CELL_TEXT)
    assert space.encode(cell).tolist() == [3, 0, 4, 1, 2, 0]  # 0-1, 0-2, 1-2, 0-3, 1-3, 2-3
    assert str(cell) == CELL_TEXT
    assert space.decode(space.encode(cell)) == cell == space.from_json(space.to_json(cell))


@pytest.mark.parametrize(
    "text", ["", "|none~0|", CELL_TEXT.replace("none", "nothing"), CELL_TEXT.replace("~2", "~1"), 7]
)
def test_text_that_is_not_a_cell_raises_an_error(text):
    with pytest.raises(ValueError, match="not a cell of NAS-Bench-201"):
        space.parse(text)
    with pytest.raises(ValueError, match="Expected a dict with 'cell'"):
        space.from_json(text)


@pytest.mark.parametrize(
    ("name", "params", "macs"),
    [("none", 73_306, 7_783_040), ("nor_conv_3x3", 1_531_546, 220_119_680)],
)
def test_params_and_macs_of_the_smallest_and_the_largest_network_are_exact(name, params, macs):
    """The FLOPs in the tables of the benchmark also count the ten biases of the classifier."""
    with torch.device("meta"):
        net = CellNetwork201((name,) * 6)
        assert (count_params(net), count_macs(net, 3, 32, 32)) == (params, macs)


def test_a_node_is_the_sum_of_its_edges():
    """With identities as operations, the output is the input times the number of paths to it."""
    names = ("skip_connect", "skip_connect", "none", "skip_connect", "skip_connect", "skip_connect")
    net = CellNetwork201(names, channels=2, cells=1)
    cell = net.body[2]
    x = torch.rand(1, 2, 4, 4)
    assert torch.allclose(cell(x), 3 * x)  # 0-3, 0-1-3, 0-2-3; not 0-1-2-3
    zero = CellNetwork201(("none",) * 6, channels=2, cells=1).body[2]
    assert (zero(x) == 0).all()
    assert net(torch.rand(2, 3, 8, 8)).shape == (2, 10)


def test_average_pooling_does_not_count_the_padding():
    x = torch.ones(1, 2, 4, 4)
    assert torch.allclose(operation("avg_pool_3x3", 2)(x), x)


def test_parts_preserve_the_shape_of_their_input():
    for part in operation_parts(channels=2, side=8):
        x = torch.rand(2, *part.shape)
        assert part.build()(x).shape == x.shape
    assert len({part.key for part in operation_parts()}) == 15


def test_objectives_equal_the_scores_in_the_table(table):
    problem = load_problem(table)
    X = np.random.default_rng(0).integers(5, size=(20, 6))
    F = problem.evaluate(X)
    for x, (error, params) in zip(X, F, strict=True):
        accuracy, millions, _ = score(space.decode(x).operations)
        assert error == pytest.approx(100 - accuracy)
        assert params == pytest.approx(1e6 * millions)


def test_the_true_front_contains_exactly_the_cells_that_no_cell_dominates(table):
    problem = load_problem(table, objectives=("error", "latency_board"))
    points = set()
    for operations in itertools.product(space.OPERATIONS, repeat=6):
        accuracy, _, ms = score(operations)
        points.add((100 - accuracy, ms))
    points = np.array(list(points))
    best = [p for p in points if not ((points <= p).all(1) & (points < p).any(1)).any()]
    X, F = problem.true_front()
    assert np.allclose(F, sorted(map(tuple, best)))
    assert np.array_equal(problem.evaluate(X), F)
    assert 0 < problem.true_hypervolume() < 1


def test_a_search_reaches_90_percent_of_the_true_hypervolume(table):
    problem = load_problem(table)
    result = run(problem, generations=20)
    assert 0.9 < problem.hypervolume(result.F) <= 1 + 1e-12


def test_tables_in_all_formats_have_the_same_objectives(table, tmp_path):
    with open(table, newline="") as file:
        rows = list(csv.DictReader(file))
    cells = [space.encode(space.parse(row["architecture"])) for row in rows]
    numbers = {k: np.array([float(r[k]) for r in rows]) for k in rows[0] if k != "architecture"}
    names = np.array(list(reversed(space.OPERATIONS)))
    latency = numbers.pop("latency_board")
    np.savez(
        tmp_path / "labels.npz",
        ops=4 - np.array(cells),
        op_names=names,
        latency_ms=np.column_stack([latency, 2 * latency]),
        latency_devices=np.array(["board", "phone"]),
        **numbers,
    )
    np.savez(tmp_path / "texts.npz", arch_str=[r["architecture"] for r in rows], **numbers)
    with open(tmp_path / "columns.csv", "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([*(f"op_{i}" for i in range(6)), *numbers, "remark"])
        for i, cell in enumerate(cells):
            ops = [space.OPERATIONS[gene] for gene in cell]
            writer.writerow([*ops, *(values[i] for values in numbers.values()), "none"])
    X = np.random.default_rng(1).integers(5, size=(9, 6))
    expected = load_problem(table).evaluate(X)
    for name in ("labels.npz", "texts.npz", "columns.csv"):
        assert np.allclose(load_problem(tmp_path / name).evaluate(X), expected), name
    phone = load_problem(tmp_path / "labels.npz", objectives=("error", "latency_phone"))
    board = load_problem(table, objectives=("error", "latency_board"))
    assert np.allclose(phone.evaluate(X)[:, 1], 2 * board.evaluate(X)[:, 1])


def test_a_cell_without_a_score_fails_and_is_not_on_the_true_front(table, tmp_path):
    with open(table, newline="") as file:
        header, *rows = csv.reader(file)
    missing = [space.encode(space.parse(row[0])) for row in rows[:3]]
    rows[3][1] = ""
    with open(tmp_path / "table.csv", "w", newline="") as file:
        csv.writer(file).writerows([header, *rows[3:]])
    problem = load_problem(tmp_path / "table.csv")
    empty = space.encode(space.parse(rows[3][0]))
    out = problem.evaluate(np.array([*missing, empty, [3] * 6]), return_as_dictionary=True)
    assert out["failed"].tolist() == [True] * 4 + [False]
    assert out["error"][:4].tolist() == [100.0] * 4
    X, F = problem.true_front()
    assert np.isfinite(F).all() and not (empty == X).all(axis=1).any()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (dict(table="nowhere.csv"), "nowhere.csv does not exist"),
        (dict(accuracy="top1"), r"lacks the columns \['top1'\]; it has \['cifar10_test_200ep'"),
        (dict(objectives=("error", "latency_phone")), "Unknown objective 'latency_phone'"),
        (dict(mutated_genes=7.0), "at most 6"),
    ],
)
def test_invalid_settings_raise_an_error_with_the_reason(table, options, message):
    with pytest.raises(ValueError, match=message):
        load_problem(**{"table": table} | options)


@pytest.mark.parametrize("name", ["nasbench201", "digits-table"])
def test_the_number_of_mutated_genes_is_at_most_six(name):
    assert moonas.load_problem(name, mutated_genes=6.0).settings.mutated_genes == 6
    with pytest.raises(ValueError, match=r"mutated_genes=6.5 is invalid: expected at most 6"):
        moonas.load_problem(name, mutated_genes=6.5)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b\n1,2\n", "lacks a column of cells"),
        ("", "lacks a column of cells"),
        (f"architecture,x\n{CELL_TEXT},1\n{CELL_TEXT},2\n", "more than once"),
        ("architecture,x\nabc,1\n", "not a cell of NAS-Bench-201"),
        ("op_0,op_1,op_2,op_3,op_4,op_5\na,b,c,d,e,f\n", "has the unknown operation 'a'"),
    ],
)
def test_a_file_that_is_not_a_table_raises_an_error(text, message, tmp_path):
    path = tmp_path / "table.csv"
    path.write_text(text)
    names = dict(accuracy="x", params_column="x", macs_column="x")
    with pytest.raises(ValueError, match=message):
        load_problem(path, **names)
    (tmp_path / "table.npz").write_text("not an archive")
    with pytest.raises(ValueError, match=r"table.npz cannot be read as an .npz file"):
        load_problem(tmp_path / "table.npz")


def test_evaluation_without_a_table_raises_an_error_that_names_the_setting():
    problem = moonas.load_problem("nasbench201")
    with pytest.raises(ValueError, match=r"name one with table=FILE.*cifar10_test_200ep"):
        problem.evaluate(np.zeros((1, 6), int))


def test_rows_outside_the_space_and_columns_of_the_wrong_length_raise_an_error():
    with pytest.raises(ValueError, match="is not in the space"):
        Table([[0, 2]], [2, 2], {})
    with pytest.raises(ValueError, match=r"'x' is invalid: .* shape \(1,\), got shape \(2,\)"):
        Table([[0, 1]], [2, 2], {"x": [1, 2]})
    columns = Table([[0, 1], [1, 1]], [2, 2], {"x": [5, 6]}).look_up([[1, 1], [0, 0]])
    assert columns["x"][0] == 6 and np.isnan(columns["x"][1])


def test_the_problem_builds_a_plain_pytorch_module(table):
    net = load_problem(table).network(
        space.parse(CELL_TEXT), channels=2, cells=1, n_classes=3, in_channels=1
    )
    assert isinstance(net, nn.Module)
    assert net(torch.rand(2, 1, 8, 8)).shape == (2, 3)


def test_accuracies_that_are_shares_are_noticed(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text(f"architecture,acc,p\n{CELL_TEXT},0.94,1\n")
    names = dict(accuracy="acc", params_column="p", macs_column="p")
    with pytest.warns(
        UserWarning, match=r"table.csv: the accuracies in 'acc' are at most 0.94, so"
    ):
        problem = load_problem(path, **names)
    assert problem.table.columns["error"].tolist() == pytest.approx([6.0])
    path.write_text(f"architecture,acc,p\n{CELL_TEXT},,1\n")
    with pytest.raises(ValueError, match="table.csv: the column 'acc' has no numbers"):
        load_problem(path, **names)


@pytest.mark.parametrize(
    ("ops", "message"),
    [
        (
            np.zeros((1, 5), int),
            r"expected integers of shape \(n, 6\), got int64 of shape \(1, 5\)",
        ),
        (np.full((1, 6), 9), "expected indices from 0 to 0, got 9 to 9"),
        (np.zeros((1, 6)), "got float64"),
    ],
)
def test_an_archive_with_invalid_indices_is_rejected(tmp_path, ops, message):
    path = tmp_path / "table.npz"
    np.savez(path, ops=ops, op_names=["none"], acc=[90.0], p=[1.0])
    with pytest.raises(ValueError, match=f"table.npz: 'ops' is invalid: .*{message}"):
        load_problem(path, accuracy="acc", params_column="p", macs_column="p")
