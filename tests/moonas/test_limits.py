import csv
from types import SimpleNamespace

import numpy as np
import pytest
from callbacks import CallbackOf
from pymoo.core.population import Population
from pymoo.optimize import minimize
from searches import MULTI_OBJECTIVE
from toy import IndependentToy, Toy, journalled

import moonas
from moonas.algorithms import ALGORITHMS, algorithm, algorithms_for
from moonas.algorithms.named import FOR_ONE_OBJECTIVE
from moonas.archive import ARCHIVE_KEY, Archive
from moonas.cli import main
from moonas.limits import Limit, parse_limit, parse_limits
from moonas.pareto import VIOLATION, archive_of, front_from_scores
from moonas.run.front_file import read_front_csv
from moonas.run.journal import RunMismatch, read_run
from moonas.run.search import search
from moonas.testing import check_problem

STATIC = dict(nonstationary=False)
WITH_LIMITS = sorted(set(ALGORITHMS) - {"moead", "parallel-moead"})


def run(problem, name, generations=5, seed=1):
    return minimize(problem, algorithm(name, problem), ("n_gen", generations), seed=seed)


def objectives_for(name):
    return ("error",) if name in FOR_ONE_OBJECTIVE else ("error", "params")


@pytest.mark.parametrize(
    ("text", "limit"),
    [
        ("params <= 50000", Limit("params", "<=", 50000.0)),
        (" error<=7.5 ", Limit("error", "<=", 7.5)),
        ("accuracy >= 9e1", Limit("accuracy", ">=", 90.0)),
        ("loss <= -0.5", Limit("loss", "<=", -0.5)),
    ],
)
def test_a_limit_is_parsed_and_printed(text, limit):
    assert parse_limit(text) == limit
    assert parse_limit(str(limit)) == limit


@pytest.mark.parametrize(
    "text", ["params", "params < 5", "params <= many", "5 <= params <= 7", "params <= nan", ""]
)
def test_text_that_is_no_limit_is_rejected_with_an_example(text):
    with pytest.raises(ValueError, match=r"expected COLUMN <= NUMBER .*'params <= 50000'"):
        parse_limit(text)


def test_a_column_has_at_most_one_limit_on_each_side():
    assert len(parse_limits(["params <= 9", "params >= 3"])) == 2
    with pytest.raises(ValueError, match="at most one limit params <="):
        parse_limits(["params <= 9", "params <= 8"])


def test_the_excess_is_relative_to_the_bound():
    assert parse_limit("params <= 50").constraint([40, 50, 55]).tolist() == [-0.2, 0, 0.1]
    assert parse_limit("params >= 50").constraint([40, 50, 55]).tolist() == [0.2, 0, -0.1]
    assert parse_limit("loss <= -2").constraint([-3, -1]).tolist() == [-0.5, 0.5]
    assert parse_limit("loss <= 0").constraint([-3, 1, np.nan]).tolist() == [-3, 1, np.inf]


def test_limits_are_inequality_constraints_of_pymoo():
    toy = Toy(limits=("params<=5", "error <= 80"))
    assert toy.settings.limits == ("params <= 5", "error <= 80")
    assert toy.n_ieq_constr == 2
    X = np.array([[0] * 6, [1] * 6, [3] * 6])
    out = toy.evaluate(X, return_as_dictionary=True)
    F = out["F"]
    expected = np.column_stack([(F[:, 1] - 5) / 5, (F[:, 0] - 80) / 80])
    assert np.allclose(out["G"], expected, rtol=1e-14)
    assert Toy().evaluate(X, return_as_dictionary=True).get("G") is None


def test_the_column_of_a_limit_must_exist():
    with pytest.raises(ValueError, match=r"unknown column 'speed'; choose from \['error', 'par"):
        Toy(limits=("speed >= 3",))


@pytest.mark.parametrize("nonstationary", [False, True])
@pytest.mark.parametrize("name", WITH_LIMITS)
def test_every_algorithm_handles_limits(name, nonstationary):
    options = dict(objectives=objectives_for(name), nonstationary=nonstationary)
    toy = Toy(limits=("params <= 9",), **options)  # of 1 to 19
    result = run(toy, name)
    rows = moonas.front(result)
    assert rows.feasible and all(row.columns["params"] <= 9 for row in rows)
    feasible = result.pop.get("params") <= 9
    # RVEA keeps one feasible candidate per niche, and fills the population with others
    assert feasible.mean() >= (0.3 if name in ("random", "rvea") else 0.6)
    assert np.array_equal(result.pop.get("feas"), feasible)
    again = run(Toy(limits=("params <= 9",), **options), name)
    assert np.array_equal(again.pop.get("X"), result.pop.get("X"))


@pytest.mark.parametrize("name", WITH_LIMITS)
def test_a_search_in_which_no_candidate_is_feasible_does_not_fail(name):
    toy = Toy(limits=("params <= 0.5",), objectives=objectives_for(name))
    result = run(toy, name)
    assert result.F is None and not result.pop.get("feas").any()
    rows = moonas.front(result)
    smallest = result.pop.get("params").min()
    assert not rows.feasible and {row.columns["params"] for row in rows} == {smallest}
    assert rows[0].columns[VIOLATION] == pytest.approx((smallest - 0.5) / 0.5)


@pytest.mark.parametrize("name", ["moead", "parallel-moead"])
def test_moead_is_refused_before_the_run_if_there_are_limits(name):
    toy = Toy(limits=("params <= 9",))
    with pytest.raises(
        ValueError, match=rf"{name} cannot search .*ignores limits.*\['params <= 9'"
    ):
        algorithm(name, toy)
    assert name in algorithms_for(Toy()) and name not in algorithms_for(toy)


@pytest.mark.parametrize("name", MULTI_OBJECTIVE)
def test_constraints_of_survivors_are_computed_with_the_current_weights(name):
    if name in ("moead", "parallel-moead"):
        pytest.skip("MOEA/D supports no limits")
    toy = Toy(limits=("error <= 60",))  # the error decreases while the weight t grows
    result = run(toy, name)
    G = toy.evaluate(result.pop.get("X"), return_values_of=["G"])
    assert np.array_equal(result.pop.get("G"), G)
    assert np.array_equal(result.pop.get("CV"), np.maximum(G, 0))
    assert np.array_equal(result.pop.get("feas"), G[:, 0] <= 0)


def test_a_resumed_run_with_limits_equals_an_uninterrupted_run(tmp_path):
    def found(folder, generations):
        toy = journalled(folder, limits=("error <= 60", "params <= 15"))
        result = run(toy, "nsga3", generations)
        toy.journal.close()
        return result.pop.get("X", "F", "G")

    found(tmp_path / "resumed", 2)
    resumed, straight = found(tmp_path / "resumed", 5), found(tmp_path / "straight", 5)
    assert all(np.array_equal(a, b) for a, b in zip(resumed, straight, strict=True))


def test_a_problem_with_limits_satisfies_all_requirements():
    check_problem(Toy(limits=("error <= 60", "params <= 15")), n=4, generations=3)


def test_a_front_contains_only_feasible_candidates():
    toy = Toy(limits=("params <= 8", "error <= 50"))
    X = np.repeat(np.arange(4)[:, None], 6, axis=1)
    columns = {
        "error": np.array([10.0, 40.0, 60.0, 45.0]),
        "params": np.array([9.0, 8.0, 2.0, 9.0]),
    }
    rows = front_from_scores(toy, X, columns)
    assert rows.feasible and [row.objectives for row in rows] == [{"error": 40.0, "params": 8.0}]
    assert rows[0].columns[VIOLATION] == 0


def test_without_feasible_candidates_the_front_holds_those_that_exceed_the_limits_least():
    toy = Toy(limits=("params <= 8", "error <= 50"))
    X = np.repeat(np.arange(4)[:, None], 6, axis=1)
    columns = {  # excesses: (1, 0), (0, 0.2), (0.5, 0.1), (1, 0.2)
        "error": np.array([10.0, 60.0, 55.0, 60.0]),
        "params": np.array([16.0, 8.0, 12.0, 16.0]),
    }
    rows = front_from_scores(toy, X, columns)
    violations = {row.objectives["params"]: row.columns[VIOLATION] for row in rows}
    assert violations == pytest.approx({16.0: 1.0, 8.0: 0.2, 12.0: 0.6})
    assert not rows.feasible


def test_a_search_without_feasible_networks_picks_the_one_closest_to_the_limits(tmp_path, capsys):
    command = ["search", "digits-table", "--out", str(tmp_path / "run"), "--generations", "2"]
    command += ["--limits", "params <= 20", "error <= 1"]
    assert main(command) == 0
    out = capsys.readouterr().out
    assert "No network is within the limits. Closest to them:" in out
    assert "* picked: the candidate that exceeds the limits least" in out
    rows = read_front_csv(tmp_path / "run")
    (picked,) = (row for row in rows if row.picked)
    excess = [max(0, r.columns["params"] / 20 - 1) + r.columns["error"] - 1 for r in rows]
    assert [row.columns[VIOLATION] for row in rows] == pytest.approx(excess)
    assert picked.columns[VIOLATION] == min(excess)
    assert main(["show", str(tmp_path / "run")]) == 0
    page = (tmp_path / "run" / "report.html").read_text()
    assert "No network is within the limits" in page and "exceeds the limits least" in page


def test_the_shell_accepts_limits_of_columns_that_are_no_objectives(tmp_path):
    command = ["search", "digits-table", "--out", str(tmp_path / "run"), "--generations", "3"]
    assert main([*command, "--limits", "params <= 20000", "latency_ms <= 0.5"]) == 0
    with open(tmp_path / "run" / "front.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert rows and {row["violation"] for row in rows} == {"0.0"}
    assert all(float(r["params"]) <= 20000 and float(r["latency_ms"]) <= 0.5 for r in rows)


def test_limited_columns_are_evaluated_even_if_they_are_no_objectives(tiny):
    options = tiny | dict(limits=("robustness_error <= 99", "latency_ms <= 1000"))
    problem = moonas.load_problem("cars", **options)
    X = problem.encode(moonas.zoo("CARS_A").architecture)[None]
    out = problem.evaluate(X, return_as_dictionary=True)
    assert out["G"].shape == (1, 2) and np.isfinite(out["G"]).all()
    assert out["latency_ms"] > 0 and 0 <= out["robustness_error"] <= 100


def test_the_front_of_a_static_run_is_that_of_everything_that_it_evaluated():
    options = dict(objectives=("error", "params", "latency_ms"), limits=("error <= 30",))
    problem, scored = moonas.load_problem("digits-table", **options), []
    problem.callbacks.append(CallbackOf(on_scores=lambda candidates, _: scored.append(candidates)))
    result = run(problem, "nsga2", generations=10)
    X = np.unique(np.concatenate([candidates.X for candidates in scored]), axis=0)
    F = problem.evaluate(X, return_values_of=["F"])
    F = F[F[:, 0] <= 30]
    dominated = [((f >= F).all(axis=1) & (f > F).any(axis=1)).any() for f in F]
    expected = {tuple(f) for f, d in zip(F.tolist(), dominated, strict=True) if not d}
    assert {tuple(row.objectives.values()) for row in moonas.front(result)} == expected
    assert len(expected) > len(result.pop)  # the population cannot hold the front


def test_the_front_of_an_earlier_result_does_not_contain_a_later_run():
    toy = IndependentToy(population=4)
    first = run(toy, "nsga2", seed=1)
    before = [row.x.tolist() for row in moonas.front(first)]
    run(toy, "nsga2", seed=2)
    assert [row.x.tolist() for row in moonas.front(first)] == before


def test_where_weights_train_the_front_is_that_of_the_last_population():
    result = run(Toy(), "nsga2")
    F = result.pop.get("F")
    assert all(
        any(np.array_equal(f, list(r.objectives.values())) for f in F) for r in moonas.front(result)
    )
    assert result.algorithm.data["moonas archive"] is None


def test_an_entry_of_a_history_has_the_archive_of_its_generation():
    toy = IndependentToy(population=4)
    result = minimize(toy, algorithm("nsga2", toy), ("n_gen", 3), seed=1, save_history=True)
    assert [len(entry.data["moonas archive"]) for entry in result.history] == [4, 8, 12]


def test_a_population_that_was_evaluated_before_the_run_is_part_of_its_front():
    problem = moonas.load_problem("digits-table")
    before = minimize(problem, algorithm("nsga2", problem, 16), ("n_gen", 20), seed=1)
    other = moonas.load_problem("digits-table")
    start = algorithm("nsga2", other, 16, sampling=before.pop)
    after = minimize(other, start, ("n_gen", 2), seed=2)
    front = np.array([list(row.objectives.values()) for row in moonas.front(after)])
    assert other.hypervolume(front) >= other.hypervolume(after.F)
    assert other.hypervolume(front) >= problem.hypervolume(before.F)


def test_an_archive_fills_columns_that_an_earlier_version_did_not_record():
    archive = Archive()
    assert archive_of(SimpleNamespace(data={ARCHIVE_KEY: archive})) is None  # still empty
    archive.add(np.zeros((1, 6), int), {"error": np.array([3.0])})
    archive.add(np.ones((2, 6), int), {"error": np.ones(2), "params": np.array([5.0, 6.0])})
    assert len(archive) == 2  # equal rows are stored once
    assert np.array_equal(archive.columns["params"], [np.nan, 5.0], equal_nan=True)


def test_the_growth_of_a_candidate_cannot_be_limited():
    with pytest.raises(ValueError, match="unknown column 'growth'"):
        Toy(limits=("growth >= 0",))


def test_a_population_of_pymoo_may_be_infeasible_as_a_whole():
    toy = Toy(limits=("params <= 0.5",))
    pop = Population.new("X", np.zeros((3, 6), int))
    toy.evaluate(pop.get("X"))
    result = minimize(toy, algorithm("nsga2", toy, sampling=pop.get("X")), ("n_gen", 1), seed=1)
    assert len(moonas.front(result)) == 1


def test_a_search_records_its_limits(tmp_path):
    toy = journalled(tmp_path / "run", limits=("params <= 9",), **STATIC)
    search(toy, algorithm("nsga2", toy), seed=1, generations=2, verbose=False)
    toy.journal.close()
    assert read_run(tmp_path / "run")[0]["settings"]["limits"] == ["params <= 9"]
    with pytest.raises(RunMismatch, match="limits"):
        journalled(tmp_path / "run", limits=("params <= 8",), **STATIC)
