import csv
import math
import shutil

import numpy as np
import pytest
from pymoo.algorithms.moo.nsga2 import NSGA2
from tables201 import write_table
from toy import Toy

import moonas
from moonas.comparison import compare, make_plan, play, statistics
from moonas.pareto import hypervolume, nondominated


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    return write_table(tmp_path_factory.mktemp("table") / "table.csv")


def problem(table, **options):
    return moonas.load_problem("nasbench201", table=table, **options)


def small(problem):
    """An algorithm of a user's own."""
    return NSGA2(pop_size=10, **problem.operators())


def broken(problem):
    raise RuntimeError("no such thing")


def options(table, tmp_path, **changes):
    asked = dict(
        problems={"cells": ("nasbench201", {"table": str(table), "population": 10})},
        algorithms={"nsga2": "nsga2", "mine": small},
        seeds=3,
        evaluations=60,
        out=tmp_path / "out",
        jobs=1,
    )
    return asked | changes


def rows(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def test_a_run_counts_as_far_as_its_budget(table):
    made = problem(table)
    seen = []
    evaluate = made.evaluate
    made.evaluate = lambda X, *a, **k: seen.append(np.array(X)) or evaluate(X, *a, **k)
    found = play(made, small, 1, 35)  # generations of ten
    X = np.concatenate(seen)
    assert len(X) == 40
    F = evaluate(X[:35])
    bounds = made.objective_bounds()
    assert found["evaluations"].tolist() == [10, 20, 30, 35]
    for n, share in zip((10, 20, 30, 35), found["archive"], strict=True):
        assert share == pytest.approx(hypervolume(F[:n], bounds))
    assert found["population"][3] == found["population"][2]
    assert np.allclose(found["best"], np.unique(F[nondominated(F)], axis=0))
    true = 0.99 * made.true_hypervolume()
    first = [n for n in range(1, 36) if hypervolume(F[:n], bounds) >= true]
    expected = first[0] if first else math.nan
    assert found.get("evaluations_to_99", math.nan) == pytest.approx(expected, nan_ok=True)


def test_the_first_evaluation_that_reaches_the_share_is_found(table):
    made = problem(table)
    found = play(made, "nsga2", 1, 400)
    again, F = problem(table), []
    again.watch = None
    evaluate = again.evaluate
    again.evaluate = lambda X, *a, **k: F.append(evaluate(np.array(X))) or evaluate(X, *a, **k)
    play(again, "nsga2", 1, 400)
    F, bounds = np.concatenate(F)[:400], made.objective_bounds()
    shares = [hypervolume(F[:n], bounds) / made.true_hypervolume() for n in range(1, 401)]
    first = 1 + int(np.argmax(np.array(shares) >= 0.99))
    assert shares[first - 1] >= 0.99 and found["evaluations_to_99"] == first


def test_scores_that_move_are_refused():
    with pytest.raises(ValueError, match="Scores of Toy move"):
        play(Toy(), "nsga2", 1, 20)


def test_a_comparison_says_what_its_runs_say(table, tmp_path):
    found = compare(**options(table, tmp_path))
    values = found.hypervolumes("cells")
    made = problem(table, population=10)
    for name, algorithm in (("nsga2", "nsga2"), ("mine", small)):
        again = [play(made, algorithm, seed, 60)["archive"][-1] for seed in (1, 2, 3)]
        assert values[name].tolist() == again
    ranks = statistics.ranks(np.column_stack([values["nsga2"], values["mine"]])).mean(axis=0)
    results = rows(tmp_path / "out" / "results.csv")
    assert [row["algorithm"] for row in results] == ["nsga2", "mine"]
    for i, row in enumerate(results):
        assert float(row["median"]) == np.median(values[row["algorithm"]])
        assert float(row["mean_rank"]) == ranks[i]
        gap = made.true_hypervolume() - float(row["median"])
        assert float(row["log10_gap"]) == pytest.approx(math.log10(gap))
    (pair,) = rows(tmp_path / "out" / "pairs.csv")
    assert float(pair["a12"]) == statistics.a12(values["nsga2"], values["mine"])
    assert len(rows(tmp_path / "out" / "runs.csv")) == 6
    assert found.too_few_seeds("cells")  # three seeds: no p below 0.25


def test_what_is_done_is_not_done_again(table, tmp_path, monkeypatch):
    asked, told = options(table, tmp_path), []
    compare(**asked, told=lambda *n: told.append(n))
    assert told == [(n, 6) for n in range(7)]
    whole = (tmp_path / "out" / "results.csv").read_bytes()
    run = tmp_path / "out" / "runs" / "cells" / "mine" / "seed-002.npz"
    kept = {p: p.stat().st_mtime_ns for p in (tmp_path / "out" / "runs").rglob("*.npz")}
    run.unlink()
    told.clear()
    compare(**asked, told=lambda *n: told.append(n))
    assert told == [(5, 6), (6, 6)]
    assert (tmp_path / "out" / "results.csv").read_bytes() == whole
    assert all(p.stat().st_mtime_ns == t for p, t in kept.items() if p != run)


def test_processes_change_nothing(table, tmp_path):
    asked = options(table, tmp_path, algorithms=["nsga2", "random"], seeds=2)
    compare(**asked)
    one = (tmp_path / "out" / "results.csv").read_bytes()
    shutil.rmtree(tmp_path / "out")
    compare(**asked | {"jobs": 2})
    assert (tmp_path / "out" / "results.csv").read_bytes() == one


def test_an_algorithm_that_fails_stops_no_other(table, tmp_path):
    asked = options(table, tmp_path, algorithms={"broken": broken, "mine": small})
    found = compare(**asked)
    failed, good = found.results
    assert (failed["failed"], good["failed"]) == (3, 0)
    assert "median" not in failed and good["median"] > 0
    assert found.runs[0].failed == "RuntimeError: no such thing"
    assert "no such thing" in (tmp_path / "out" / "runs.csv").read_text()
    compare(**asked | {"algorithms": {"broken": small, "mine": small}})  # mended, and made again
    assert not list((tmp_path / "out").rglob("*.txt"))


def test_a_folder_holds_one_comparison(table, tmp_path):
    compare(**options(table, tmp_path))
    with pytest.raises(ValueError, match="give this comparison a folder of its own"):
        compare(**options(table, tmp_path, evaluations=70))
    path = next((tmp_path / "out" / "runs").rglob("*.npz"))
    path.write_bytes(b"no archive")
    with pytest.raises(ValueError, match="is damaged"):
        compare(**options(table, tmp_path))


def test_defaults_and_what_is_missing(table):
    plan = make_plan({"cells": ("nasbench201", {"table": str(table)})}, ["nsga2"])
    assert plan.seeds == tuple(range(1, 32)) and plan.tasks["cells"].budget == 1000
    assert make_plan(["cars"], ["nsga2"]).seeds == (1, 2, 3, 4, 5)
    with pytest.raises(ValueError, match="A comparison wants algorithms"):
        make_plan(["cars"], [])
    with pytest.raises(ValueError, match="Unknown problem"):
        make_plan(["nothing"], ["nsga2"])
