"""Comparisons of algorithms: runs, budgets, resuming and ``moonas compare``."""

import csv
import json
import math
import shutil
from functools import partial

import numpy as np
import pytest
from pymoo.algorithms.moo.nsga2 import NSGA2
from pymoo.core.sampling import Sampling
from reading import faults_of
from searches import MULTI_OBJECTIVE
from toy import Toy

import moonas
from moonas.algorithms.random_search import UniqueSampling
from moonas.cli import main
from moonas.comparison import compare, make_plan, run_algorithm, statistics
from moonas.comparison.runs import evaluations_to_reach, igd_plus
from moonas.operators import SameRow
from moonas.pareto import hypervolume, nondominated


def load_table(**options):
    return moonas.load_problem("digits-table", **options)


def small_nsga2(problem):
    """Return a user-defined algorithm."""
    return NSGA2(pop_size=10, **problem.operators())


def failing_algorithm(problem):
    raise RuntimeError("no such thing")


def comparison_arguments(out, **changes):
    """Return the arguments of a comparison on a table with a small budget."""
    arguments = dict(
        problems={"cells": ("digits-table", {"population": 10})},
        algorithms={"nsga2": "nsga2", "mine": small_nsga2},
        seeds=3,
        evaluations=60,
        out=out,
        jobs=1,
    )
    return arguments | changes


@pytest.fixture(scope="module")
def tabular_comparison(tmp_path_factory):
    """A comparison on a table, its folder, and its progress reports."""
    out, reported = tmp_path_factory.mktemp("tabular") / "out", []
    comparison = compare(
        **comparison_arguments(out), on_progress=lambda *words: reported.append(words)
    )
    return comparison, out, reported


@pytest.fixture
def comparison_copy(tabular_comparison, tmp_path):
    """A copy of the folder of ``tabular_comparison``."""
    return shutil.copytree(tabular_comparison[1], tmp_path / "out")


def read_rows(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def share_of_the_true_front(problem, F):
    """Return a hypervolume in the box from ideal to nadir point plus a tenth, as a share."""
    _, true = problem.true_front()
    ideal, nadir = true.min(axis=0), true.max(axis=0)
    box = ideal, nadir + (nadir - ideal) / 10
    return hypervolume(F, box) / hypervolume(true, box)


def test_evaluations_beyond_the_budget_do_not_count():
    problem = load_table()
    evaluated = []
    evaluate = problem.evaluate
    problem.evaluate = lambda X, *a, **k: evaluated.append(np.array(X)) or evaluate(X, *a, **k)
    results = run_algorithm(problem, small_nsga2, 1, 35)  # ten evaluations per generation
    X = np.concatenate(evaluated)
    assert len(X) == 40
    F = evaluate(X[:35])
    assert results["evaluations"].tolist() == [10, 20, 30, 35]
    for n, share in zip((10, 20, 30, 35), results["archive"], strict=True):
        assert share == pytest.approx(share_of_the_true_front(problem, F[:n]))
    assert results["population"][3] == results["population"][2]
    assert np.allclose(results["best"], np.unique(F[nondominated(F)], axis=0))
    first = [n for n in range(1, 36) if share_of_the_true_front(problem, F[:n]) >= 0.99]
    expected = first[0] if first else math.nan
    assert results.get("evaluations_to_99", math.nan) == pytest.approx(expected, nan_ok=True)


def test_evaluations_to_99_is_the_first_evaluation_that_reaches_99_percent():
    problem = load_table()
    results = run_algorithm(problem, "nsga2", 1, 100)
    repeated, F = load_table(), []
    evaluate = repeated.evaluate
    repeated.evaluate = lambda X, *a, **k: F.append(evaluate(np.array(X))) or evaluate(X, *a, **k)
    run_algorithm(repeated, "nsga2", 1, 100)
    F = np.concatenate(F)[:100]
    shares = [share_of_the_true_front(problem, F[:n]) for n in range(1, 101)]
    first = 1 + int(np.argmax(np.array(shares) >= 0.99))
    assert shares[first - 1] >= 0.99 and results["evaluations_to_99"] == first


def test_a_hypervolume_equal_to_the_target_reaches_it():
    F, bounds = np.array([[3.0, 3.0], [2.0, 2.0], [1.0, 1.0]]), [[0, 0], [4, 4]]
    shares = [1 / 16, 4 / 16, 9 / 16]
    reached = partial(hypervolume, bounds=bounds)
    assert [evaluations_to_reach(F, reached, share) for share in shares] == [1, 2, 3]


def test_run_algorithm_rejects_a_problem_whose_objectives_change():
    with pytest.raises(ValueError, match="Objectives of Toy change"):
        run_algorithm(Toy(), "nsga2", 1, 20)


def test_the_results_equal_statistics_of_repeated_runs(tabular_comparison):
    comparison, out, _ = tabular_comparison
    values = comparison.hypervolumes("cells")
    problem = load_table(population=10)
    for name, algorithm in (("nsga2", "nsga2"), ("mine", small_nsga2)):
        repeated = [
            run_algorithm(problem, algorithm, seed, 60)["archive"][-1] for seed in (1, 2, 3)
        ]
        assert values[name].tolist() == repeated
    ranks = statistics.ranks(np.column_stack([values["nsga2"], values["mine"]])).mean(axis=0)
    results = read_rows(out / "results.csv")
    assert [row["algorithm"] for row in results] == ["nsga2", "mine"]
    for i, row in enumerate(results):
        assert float(row["median"]) == np.median(values[row["algorithm"]])
        assert float(row["mean_rank"]) == ranks[i]
        gap = 1 - float(row["median"])
        assert float(row["log10_gap"]) == pytest.approx(math.log10(gap))
    (pair,) = read_rows(out / "pairs.csv")
    assert float(pair["a12"]) == statistics.a12(values["nsga2"], values["mine"])
    assert len(read_rows(out / "runs.csv")) == 6
    assert comparison.too_few_seeds("cells")  # with three seeds, p is at least 0.25


def test_progress_is_reported_after_each_run(tabular_comparison):
    assert tabular_comparison[2] == [("comparing", n, 6, "runs") for n in range(7)]


def test_completed_runs_are_not_repeated(comparison_copy):
    results, reported = (comparison_copy / "results.csv").read_bytes(), []
    run = comparison_copy / "runs" / "cells" / "mine" / "seed-002.npz"
    times = {p: p.stat().st_mtime_ns for p in (comparison_copy / "runs").rglob("*.npz")}
    run.unlink()
    with pytest.warns(DeprecationWarning, match="use on_progress=") as caught:
        compare(**comparison_arguments(comparison_copy), told=lambda *n: reported.append(n))
    assert caught[0].filename == __file__
    assert reported == [(5, 6), (6, 6)]
    assert (comparison_copy / "results.csv").read_bytes() == results
    assert all(p.stat().st_mtime_ns == t for p, t in times.items() if p != run)


def test_runs_of_an_earlier_version_that_lack_a_setting_are_not_repeated(comparison_copy):
    paths = sorted(comparison_copy.glob("runs/**/*.npz"))
    for path in paths:
        with np.load(path) as file:
            arrays = dict(file)
        about = json.loads(str(arrays["about"]))
        assert about.pop("limits") == []
        np.savez(path, **arrays | {"about": json.dumps(about)})
    times = {path: path.stat().st_mtime_ns for path in paths}
    compare(**comparison_arguments(comparison_copy))
    assert times == {path: path.stat().st_mtime_ns for path in paths}


@pytest.mark.slow
def test_the_number_of_processes_does_not_change_the_results(tabular_comparison, tmp_path):
    parallel = compare(**comparison_arguments(tmp_path, algorithms=["nsga2"], jobs=2))
    single = tabular_comparison[0].hypervolumes("cells")["nsga2"]
    assert parallel.hypervolumes("cells")["nsga2"].tolist() == single.tolist()


def test_a_failing_algorithm_does_not_stop_the_other_algorithms(tmp_path):
    arguments = comparison_arguments(
        tmp_path, algorithms={"broken": failing_algorithm, "mine": small_nsga2}, seeds=1
    )
    comparison = compare(**arguments)
    failed, good = comparison.results
    assert (failed["failed"], good["failed"]) == (1, 0)
    assert "median" not in failed and good["median"] > 0
    assert comparison.runs[0].failed == "RuntimeError: no such thing"
    assert "no such thing" in (tmp_path / "runs.csv").read_text()
    fixed = {"broken": small_nsga2, "mine": small_nsga2}
    compare(**arguments | {"algorithms": fixed})  # repeats the failed run
    assert not list(tmp_path.rglob("*.txt"))


def test_a_folder_with_a_different_comparison_or_a_damaged_run_is_rejected(comparison_copy):
    with pytest.raises(ValueError, match="Choose another folder for this comparison"):
        compare(**comparison_arguments(comparison_copy, evaluations=70))
    path = next((comparison_copy / "runs").rglob("*.npz"))
    path.write_bytes(b"no archive")
    with pytest.raises(ValueError, match="is damaged.* Delete it to repeat the run"):
        compare(**comparison_arguments(comparison_copy))


def test_a_plan_has_default_seeds_and_budgets_and_rejects_unknown_problems():
    plan = make_plan({"cells": "digits-table"}, ["nsga2"])
    assert plan.seeds == tuple(range(1, 32)) and plan.tasks["cells"].budget == 300
    assert make_plan(["cars"], ["nsga2"]).seeds == (1, 2, 3, 4, 5)
    with pytest.raises(ValueError, match="is invalid: expected at least one"):
        make_plan(["cars"], [])
    with pytest.raises(ValueError, match="Unknown problem"):
        make_plan(["nothing"], ["nsga2"])


def test_settings_that_change_the_results_of_a_run_are_stored_with_the_run():
    def about(**changes):
        return make_plan(["cars"], ["nsga2"], **changes).tasks["cars"].about

    distinct = [about(), about(generations=3), about(picks=2), about(training={"epochs": 2})]
    assert all(a != b for i, a in enumerate(distinct) for b in distinct[:i])
    assert about(evaluations=100) == about()  # a nonstationary problem ignores it


def test_igd_plus_of_the_true_front_is_zero():
    true = np.array([[0.0, 20.0], [50.0, 0.0]])
    bounds = np.array([[0, 0], [100, 40]])
    assert igd_plus(true, true, bounds) == 0
    # (0.25, 0.75) is worse than (0, 0.5) in both objectives, and than (0.5, 0) only in one
    expected = (math.hypot(0.25, 0.25) + 0.75) / 2
    assert igd_plus(np.array([[25.0, 30.0]]), true, bounds) == pytest.approx(expected)


@pytest.mark.parametrize("name", MULTI_OBJECTIVE)
def test_every_algorithm_uses_its_entire_budget(name):
    problem = moonas.load_problem("digits-table")
    results = run_algorithm(problem, name, 1, 130)
    assert results["evaluations"][-1] == 130
    assert results["archive"][-1] == results["hypervolume"] == max(results["archive"])


def test_duplicate_seeds_and_unknown_names_are_rejected():
    with pytest.raises(ValueError, match="no duplicates"):
        make_plan(["digits-table"], ["nsga2"], seeds=[1, 1])
    with pytest.raises(ValueError, match="Unknown algorithm 'nsga'"):
        make_plan(["digits-table"], ["nsga"])
    with pytest.raises(ValueError, match="name one"):
        make_plan(["nasbench201"], ["nsga2"])  # the missing table is detected early
    with pytest.raises(ValueError, match="Unknown setting 'epoch' of the training of cars"):
        make_plan(["cars"], ["nsga2"], training={"epoch": 3})


@pytest.fixture(scope="module")
def nonstationary_comparison(tiny_of, few_digits, tmp_path_factory):
    """A comparison on a problem whose objectives change, and the arguments of the comparison."""
    options = tiny_of("cars") | {"data": few_digits}
    arguments = dict(
        problems={"cars": ("cars", options)},
        algorithms=["nsga2", "random"],
        seeds=[2],
        generations=2,
        picks=2,
        training={"epochs": 1, "batch": 50},
        jobs=1,
        out=tmp_path_factory.mktemp("nonstationary"),
    )
    return compare(**arguments), arguments


def test_if_objectives_change_scores_after_training_from_scratch_are_compared(
    nonstationary_comparison,
):
    comparison, arguments = nonstationary_comparison
    bounds = comparison.problems["cars"].objective_bounds()
    for run in comparison.runs:
        folder = arguments["out"] / "runs" / "cars" / run.algorithm / f"seed-{run.seed:03d}"
        front = read_rows(folder / "front.csv")
        chosen = sorted(int(p.name.split("-")[1]) for p in folder.glob("training-*"))
        assert chosen == ([0, len(front) - 1] if len(front) > 1 else [0])
        for i, picked, trained in zip(chosen, run.picks, run.retrained, strict=True):
            assert picked.tolist() == [float(front[i]["error"]), float(front[i]["params"])]
            training = moonas.load_training(folder, pick=str(i), **arguments["training"])
            assert trained.tolist() == [training.run(run.seed).columns["error"], picked[1]]
        assert run.hypervolume == hypervolume(run.retrained, bounds)
        assert len(run.archive) == 0 and len(run.population) == 2
        records = [json.loads(line) for line in (folder / "journal.jsonl").open()]
        steps = [r["result"]["steps"] for r in records if r["kind"] == "train"]
        assert run.training_steps == sum(steps) > 0
    assert len({run.training_steps for run in comparison.runs}) == 1  # equal for all algorithms


def test_a_nonstationary_comparison_resumes_where_it_stopped(nonstationary_comparison, tmp_path):
    _, arguments = nonstationary_comparison
    shutil.copytree(arguments["out"], tmp_path / "copy")
    (run,) = (tmp_path / "copy").glob("runs/cars/nsga2/seed-002.npz")
    run.unlink()
    journal = run.with_suffix("") / "journal.jsonl"
    before = journal.stat().st_size
    for training in run.with_suffix("").glob("training-*"):
        shutil.rmtree(training)
    compare(**arguments | {"out": tmp_path / "copy"})
    assert journal.stat().st_size == before
    for name in ("results.csv", "runs.csv", "fronts.csv"):
        assert (tmp_path / "copy" / name).read_bytes() == (arguments["out"] / name).read_bytes()


def test_the_report_on_a_nonstationary_problem_explains_the_hypervolumes(nonstationary_comparison):
    _, arguments = nonstationary_comparison
    text = (arguments["out"] / "results.md").read_text()
    assert (
        "shared-weight hypervolume" in text and "trained from scratch" in text and "too few" in text
    )
    assert (arguments["out"] / "cars-retraining.png").exists()
    pairs = read_rows(arguments["out"] / "pairs.csv")
    assert [(p["p"], p["p_holm"]) for p in pairs] == [("", "")]


def test_moonas_compare_runs_and_resumes_a_comparison(tmp_path, capsys):
    arguments = ["compare", "digits-table", "--algorithms", "nsga2", "random", "--seeds", "6"]
    arguments += ["--evaluations", "30", "--jobs", "1", "--set", "population=10"]
    arguments += ["--out", str(tmp_path / "out")]
    assert main(arguments) == 0
    out = capsys.readouterr().out
    assert "comparing: 0 of 12 runs\n" in out and "comparing: 12 of 12 runs\n" in out
    assert "nsga2" in out and "report.html" in out and "too few" not in out
    assert main(arguments) == 0
    assert "0 of 12 runs" not in capsys.readouterr().out
    page = (tmp_path / "out" / "report.html").read_text()
    assert faults_of(page) == [] and len(page) < 2e6
    assert page.count("<circle") == len(moonas.load_problem("digits-table").true_front()[1])
    assert main([*arguments, "--set", "population=12"]) == 2
    assert "with population=10; this one has population=12" in capsys.readouterr().err
    failing = ["compare", "digits-table", "--algorithms", "pnsga3", "--seeds", "1", "--jobs", "1"]
    failing += ["--set", "objectives=error,latency_ms", "--out", str(tmp_path / "failing")]
    assert main(failing) == 1  # all runs failed
    assert "pnsga3 failed in 1 of 1 run: ValueError: pnsga3 protects" in " ".join(
        capsys.readouterr().out.split()
    )
    assert main(["compare", "nothing", "--algorithms", "nsga2", "--out", str(tmp_path)]) == 2
    assert "Unknown problem 'nothing'" in capsys.readouterr().err


def test_ctaea_starts_with_a_complete_population():
    """If duplicate elimination leaves too few individuals, pymoo's C-TAEA never terminates."""
    problem = moonas.load_problem("digits-table", population=60)
    seeds = range(1, 40)
    samples = [
        problem.operators()["sampling"]
        .do(problem, 60, random_state=np.random.default_rng(s))
        .get("X")
        for s in seeds
    ]
    seeds_with_duplicates = [
        s for s, X in zip(seeds, samples, strict=True) if len(np.unique(X, axis=0)) < 60
    ]
    assert len(seeds_with_duplicates) > 10
    for seed in seeds_with_duplicates[:5]:
        assert run_algorithm(problem, "ctaea", seed, 90)["evaluations"].tolist() == [60, 90]
    with pytest.raises(ValueError, match="only 4 different architectures"):
        UniqueSampling(FewRows(), eliminate_duplicates=SameRow()).do(problem, 5)


class FewRows(Sampling):
    """Sampling that returns only four distinct rows."""

    def _do(self, problem, n_samples, *args, **kwargs):
        return np.arange(n_samples)[:, None] % 4
