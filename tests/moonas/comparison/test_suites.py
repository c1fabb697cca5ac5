import csv
import json

import numpy as np
import pytest

import moonas
from moonas.cli import main
from moonas.comparison import Comparison, Instance, Run, make_plan
from moonas.comparison.report import evaluations_table
from moonas.comparison.suites import SUITES, named_instance
from moonas.settings import names_of, to_json

# instance -> problem, objectives, limits, budget, and the worst corner of its box
TABLES = {
    "tables-01": (
        *("digits-table", ["error", "params"], ["error <= 10"], 600),
        [9.601852, 22526.0],
    ),
    "tables-02": (
        *("digits-table", ["error", "macs"], ["error <= 10"], 600),
        [9.092593, 1372830.4],
    ),
    "tables-03": ("digits-table", ["error", "latency_ms"], [], 600, [12.55556, 0.8839034]),
    "tables-04": (
        *("digits-table", ["error", "params", "macs"], ["error <= 10"], 600),
        [9.601852, 34335.6, 1372830.4],
    ),
    "tables-05": (
        *("digits-table", ["error", "params", "latency_ms"], [], 600),
        [66.84259, 71787.2, 1.128449],
    ),
    "tables-06": (
        *("digits-table", ["test_error", "macs", "latency_ms"], [], 600),
        [70.41667, 992348, 1.01704],
    ),
    "tables-07": (
        *("digits-table", ["error", "params"], ["error <= 10", "latency_ms <= 0.6"], 600),
        [9.583333, 34335.6],
    ),
    "tables-08": ("nasbench-macro", ["error", "macs"], [], 1000, [59.413, 92909670.4]),
    "tables-09": ("nasbench-macro", ["error", "params"], [], 1000, [59.413, 2145277.2]),
    "tables-10": (
        *("nasbench-macro", ["error", "params", "macs"], [], 1000),
        [59.413, 2145277.2, 92909670.4],
    ),
    "tables-11": ("nasbench-macro", ["error", "macs"], [], 1000, [59.476, 92909670.4]),
    "tables-12": (
        *("nasbench-macro", ["error", "macs"], ["params <= 1500000"], 1000),
        [59.40833, 86421606.4],
    ),
}


def test_the_instances_of_the_suite_of_tables_never_change():  # papers cite them
    suite = moonas.suite("tables")
    assert list(suite)[: len(TABLES)] == list(TABLES)
    for label, (name, objectives, limits, budget, corner) in TABLES.items():
        instance = suite[label]
        problem = moonas.load_problem(instance.problem, **instance.options)
        settings = to_json(problem.settings)
        assert (instance.problem, instance.budget) == (name, budget)
        assert (settings["objectives"], settings["limits"]) == (objectives, limits)
        assert np.allclose(problem.hypervolume_box()[1], corner, rtol=1e-5)
        assert settings["query"] == ("0" if label == "tables-11" else "mean")


def test_the_boxes_of_the_suite_of_frozen_supernets_never_change():
    corners = {"frozen-01": [20, 48_000], "frozen-02": [30, 850_000], "frozen-03": [80, 120_000]}
    suite = moonas.suite("frozen")
    for label, corner in corners.items():
        problem = moonas.load_problem(suite[label].problem, **suite[label].options)
        assert problem.hypervolume_box().tolist() == [[0, 0], corner]


@pytest.mark.parametrize("name", sorted(SUITES))
def test_every_instance_of_a_suite_is_a_problem(name):
    for instance in moonas.suite(name).values():
        if instance.problem != "nasbench201":  # it requires a table
            problem = moonas.load_problem(instance.problem, **instance.options)
            assert problem.objectives == instance.options["objectives"]
        assert instance.budget > 0
        assert set(instance.options) <= set(
            names_of(moonas.registry.settings_class(instance.problem))
        )


def test_options_apply_to_every_instance_of_a_suite():
    suite = moonas.suite("nasbench201", table="table.csv")
    assert {instance.options["table"] for instance in suite.values()} == {"table.csv"}
    assert "table" not in SUITES["nasbench201"][0].options
    with pytest.raises(ValueError, match=r"Unknown suite 'all'; choose from \['tables', 'nasb"):
        moonas.suite("all")


def test_an_instance_has_the_budget_of_its_suite_unless_another_one_is_given():
    plan = make_plan(moonas.suite("tables"), ["nsga2"])
    assert plan.tasks["tables-03"].budget == 600 and plan.tasks["tables-08"].budget == 1000
    plan = make_plan(moonas.suite("trained"), ["nsga2"])
    assert plan.tasks["trained-01"].budget == 16
    plan = make_plan(moonas.suite("tables"), ["nsga2"], evaluations=50)
    assert {task.budget for task in plan.tasks.values()} == {50}


def test_a_name_with_objectives_describes_an_instance():
    label, instance = named_instance("digits-table:error+latency_ms")
    assert label == "digits-table-error-latency_ms"
    assert instance == Instance("digits-table", {"objectives": ("error", "latency_ms")})


@pytest.mark.slow
def test_the_shell_compares_suites_and_names_with_objectives(tmp_path, capsys):
    command = ["compare", "suite:tables", "digits-table:error+test_error", "--seeds", "1"]
    command += ["--algorithms", "random", "nsga2", "--evaluations", "60", "--jobs", "1"]
    assert main([*command, "--out", str(tmp_path), "--set", "digits-table.population=10"]) == 0
    capsys.readouterr()
    with open(tmp_path / "results.csv", newline="") as file:
        problems = {row["problem"] for row in csv.DictReader(file)}
    assert problems == {*TABLES, "digits-table-error-test_error"}
    about = json.loads(str(np.load(tmp_path / "runs/tables-01/nsga2/seed-001.npz")["about"]))
    assert about["population"] == 10 and about["objectives"] == ["error", "params"]
    page = (tmp_path / "report.html").read_text()
    assert "All tables" in page and "median, relative to nsga2" in page
    assert main(["compare", "suite:all", "--algorithms", "nsga2", "--out", str(tmp_path)]) == 2
    assert "Unknown suite 'all'" in capsys.readouterr().err


def test_the_overview_contains_medians_and_their_median_ratio():
    plan = make_plan(
        {"a": "digits-table", "b": "digits-table", "c": "digits-table"},
        ["random", "nsga2", "spea2"],
        seeds=1,
    )
    needed = {"a": (40, 20, 10), "b": (np.nan, 30, 30), "c": (90, 30, 60)}
    runs = [
        Run(problem, algorithm, 1, hypervolume=0.5, igd_plus=0.0, evaluations_to_99=n)
        for problem, numbers in needed.items()
        for algorithm, n in zip(plan.algorithms, numbers, strict=True)
    ]
    table = evaluations_table(Comparison(plan, runs))
    assert table.titles == ["evaluations to 99 %", "random", "nsga2", "spea2"]
    assert table.rows == [
        ["a", "40", "20", "10"],
        ["b", "never", "30", "30"],
        ["c", "90", "30", "60"],
        ["median, relative to nsga2", "3.00", "1.00", "1.00"],
    ]
    needed["c"] = (90, np.nan, np.nan)
    runs = [
        Run(problem, algorithm, 1, hypervolume=0.5, igd_plus=0.0, evaluations_to_99=n)
        for problem, numbers in needed.items()
        for algorithm, n in zip(plan.algorithms, numbers, strict=True)
    ]
    last = evaluations_table(Comparison(plan, runs)).rows[-1]
    assert last == ["median, relative to nsga2", "2.00", "1.00", "1.00"]  # never / never is 1
    single = make_plan(["digits-table"], ["random"], seeds=1)
    assert evaluations_table(Comparison(single, [])) is None
