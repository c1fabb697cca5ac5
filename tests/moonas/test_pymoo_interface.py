"""What users of pymoo type first: true fronts, names, bounds, loops, starts and tables."""

import sys

import numpy as np
import pytest
from callbacks import CallbackOf
from pymoo.algorithms.moo.nsga2 import NSGA2
from pymoo.core.evaluator import Evaluator
from pymoo.core.mixed import MixedVariableGA
from pymoo.core.problem import Problem
from pymoo.optimize import minimize
from pymoo.problems.multi.zdt import ZDT1
from pymoo.termination.default import DefaultMultiObjectiveTermination
from searches import TINY
from toy import IndependentToy, Toy

import moonas
from moonas.algorithms import algorithm
from moonas.cli import main
from moonas.operators import StartRows
from moonas.run.journal import read_run


@pytest.mark.parametrize("objectives", [("error", "params"), ("error", "macs", "latency_ms")])
def test_tables_know_pymoos_pareto_front_and_set(objectives):
    problem = moonas.load_problem("digits-table", objectives=objectives)
    front, rows = problem.pareto_front(), problem.pareto_set()
    assert np.array_equal(problem.evaluate(rows), front)
    everything = np.column_stack([problem.table.columns[name] for name in objectives])
    for point in front:
        no_worse, better = (everything <= point).all(axis=1), (everything < point).any(axis=1)
        assert not (no_worse & better).any()
    assert np.array_equal(problem.ideal_point(), everything.min(axis=0))
    assert np.array_equal(problem.nadir_point(), front.max(axis=0))


def test_the_true_front_of_pymoo_is_unknown_without_a_feasible_architecture():
    problem = moonas.load_problem("digits-table", limits=("error <= 0.1",))
    assert problem.pareto_front() is None and problem.pareto_set() is None
    assert moonas.load_problem("cars", **TINY["cars"]).pareto_front() is None


def test_a_problem_has_a_name_a_description_and_bounds():
    problem = moonas.load_problem("digits-table", limits=("params <= 5000",))
    assert problem.name() == "digits-table" and Toy().name() == "Toy"
    assert str(problem).splitlines() == [
        "problem digits-table on digits",
        "variables: 6",
        "objectives: error, params",
        "limits: params <= 5000",
    ]
    assert str(Toy()).splitlines()[-1] == "objectives change while shared weights train"
    low, high = problem.bounds()
    assert low.tolist() == [0] * 6 and (high == np.array(problem.n_choices) - 1).all()


def ask_and_tell(problem, search, generations, seed=1):
    """Run an algorithm in the object-oriented loop of pymoo's documentation."""
    search.setup(problem, termination=("n_gen", generations), seed=seed)
    while search.has_next():
        infills = search.ask()
        search.evaluator.eval(problem, infills)
        search.tell(infills=infills)
    return search.result()


@pytest.mark.parametrize("name", ["nsga2", "pnsga3", "pareto-local-search", "nsga2-local"])
@pytest.mark.parametrize("kind", [Toy, IndependentToy])
def test_ask_and_tell_equals_minimize(kind, name):
    toy = kind()
    looped = ask_and_tell(toy, algorithm(name, toy), 4)
    other = kind()
    expected = minimize(other, algorithm(name, other), ("n_gen", 4), seed=1)
    for key in ("X", "F", "params"):
        assert np.array_equal(looped.pop.get(key), expected.pop.get(key))
    if kind is Toy:  # the warm-up, and a training in each later generation
        assert toy.evaluator.calls == other.evaluator.calls and len(toy.evaluator.calls) == 4
    fronts = [[r.x.tolist() for r in moonas.front(result)] for result in (looped, expected)]
    assert fronts[0] == fronts[1]


def test_ask_and_tell_works_with_an_algorithm_of_pymoo():
    toy = Toy()
    ask_and_tell(toy, NSGA2(pop_size=8, **toy.operators()), 3)
    assert len(toy.evaluator.calls) == 3


def test_an_evaluator_of_the_user_is_kept():
    toy, seen = IndependentToy(), []

    class Counting(Evaluator):
        def _eval(self, problem, pop, evaluate_values_of, **kwargs):
            seen.append(len(pop))
            super()._eval(problem, pop, evaluate_values_of, **kwargs)

    search = NSGA2(pop_size=8, evaluator=Counting(), **toy.operators())
    result = minimize(toy, search, ("n_gen", 3), seed=1)
    assert type(result.algorithm.evaluator) is Counting and sum(seen) == 24


def test_evaluating_rows_within_a_run_says_once_what_it_means():
    toy, lines = Toy(), []
    toy.callbacks.append(CallbackOf(on_log=lines.append))
    X = np.zeros((2, 6), int)
    toy.evaluate(X)
    assert not lines  # no run has started
    minimize(toy, algorithm("nsga2", toy), ("n_gen", 2), seed=1)
    n_calls = len(toy.evaluator.calls)
    toy.evaluate(X)
    toy.evaluate(X)
    (line,) = lines
    assert "trains nothing and is not recorded" in line
    assert len(toy.evaluator.calls) == n_calls


def test_any_termination_ends_a_search():
    problem = moonas.load_problem("digits-table")
    for termination in (
        ("time", "00:00:01"),
        ("n_eval", 100),
        DefaultMultiObjectiveTermination(n_max_gen=9),
    ):
        result = minimize(problem, algorithm("nsga2", problem), termination, seed=1)
        assert moonas.front(result)


def test_a_search_starts_from_published_architectures_and_samples():
    problem = moonas.load_problem("cars", **TINY["cars"])
    published = problem.published_sampling("CARS_A", "CARS_C")
    rows = published.do(problem, 5, random_state=np.random.default_rng(0)).get("X")
    assert rows.shape == (5, problem.n_var) and problem.genes.check(rows) is not None
    for row, name in zip(rows, ("CARS_A", "CARS_C"), strict=False):
        assert problem.decode(row) == moonas.zoo(name).architecture
    assert len(np.unique(rows, axis=0)) == 5
    one = published.do(problem, 1, random_state=np.random.default_rng(0)).get("X")
    assert np.array_equal(one, rows[:1])
    everything = problem.published_sampling()
    assert len(everything.rows) == len(problem.zoo())
    with pytest.raises(ValueError, match=r"Unknown architecture 'CARS_Z' of cars; choose from"):
        problem.published_sampling("CARS_Z")
    with pytest.raises(ValueError, match="No architectures of the space of Toy are published"):
        Toy().published_sampling()


@pytest.mark.parametrize("name", ["random", "pareto-local-search", "ctaea"])
def test_given_rows_are_part_of_the_first_population_only(name):
    problem, counts = moonas.load_problem("digits-table"), []
    start = StartRows(problem.table.X[:8], problem.operators()["sampling"])
    problem.callbacks.append(CallbackOf(on_scores=lambda c, _: counts.append(len(c))))
    search = algorithm(name, problem, 8, sampling=start)
    minimize(problem, search, ("n_gen", 4), seed=1)
    later = {"random": 8, "pareto-local-search": 4, "ctaea": 8}[name]
    assert counts == [8, later, later, later]


def test_the_shell_starts_a_search_from_published_architectures(tmp_path, few_digits):
    options = TINY["cars"] | dict(data=few_digits, batch=50, device="cpu")
    pairs = [f"{k}={v}" for k, v in options.items() if k not in ("population", "generations")]
    command = ["search", "cars", "--start", "CARS_B", "CARS_E", "--population", "4"]
    command += ["--generations", "1", "--out", str(tmp_path / "run"), "--set", *pairs]
    assert main(command) == 0
    head, records = read_run(tmp_path / "run")
    assert head["settings"]["start"] == ["CARS_B", "CARS_E"]
    problem = moonas.load_problem("cars", **options)
    (scored,) = (record for record in records if record["kind"] == "score")
    first = [problem.decode(problem.genes.from_json(x)) for x in scored["request"]["x"]]
    assert len(first) == 4
    assert first[:2] == [moonas.zoo(name).architecture for name in ("CARS_B", "CARS_E")]


def test_an_unknown_start_is_an_error_before_the_search(tmp_path, capsys):
    command = ["search", "cars", "--start", "CARS_Z", "--out", str(tmp_path / "run")]
    assert main(command) == 2
    assert "Unknown architecture 'CARS_Z' of cars" in capsys.readouterr().err


def test_a_search_starts_from_rows_and_from_a_population():
    toy = IndependentToy()
    X = np.repeat(np.arange(4)[:, None], 6, axis=1)
    result = minimize(toy, algorithm("nsga2", toy, sampling=X), ("n_gen", 2), seed=1)
    assert len(result.pop) >= 4
    again = minimize(toy, algorithm("nsga2", toy, sampling=result.pop), ("n_gen", 2), seed=1)
    assert moonas.front(again)


def test_a_history_has_a_front_per_generation():
    toy = Toy()
    result = minimize(toy, algorithm("nsga2", toy), ("n_gen", 4), seed=1, save_history=True)
    assert [entry.n_gen for entry in result.history] == [1, 2, 3, 4]
    assert all(len(entry.opt) for entry in result.history)


def test_a_front_is_a_pandas_table(monkeypatch):
    pandas = pytest.importorskip("pandas")
    problem = moonas.load_problem("digits-table")
    front = moonas.front(minimize(problem, problem.algorithm(), ("n_gen", 3), seed=1))
    frame = front.to_frame()
    assert isinstance(frame, pandas.DataFrame) and len(frame) == len(front)
    assert frame["error"].tolist() == [row.columns["error"] for row in front]
    assert frame["architecture"][0] == str(front[0].architecture)


def test_without_pandas_the_error_says_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    problem = moonas.load_problem("digits-table")
    front = moonas.front(minimize(problem, problem.algorithm(), ("n_gen", 1), seed=1))
    with pytest.raises(ImportError, match="pip install pandas"):
        front.to_frame()


@pytest.mark.parametrize("keyword", ["population", "pop_size"])
def test_the_population_size_has_two_names(keyword):
    assert algorithm("nsga2", Toy(), **{keyword: 5}).pop_size == 5
    with pytest.raises(TypeError, match="population=4 and pop_size=5 differ"):
        algorithm("nsga2", Toy(), 4, pop_size=5)
    assert algorithm("nsga2", Toy(), 5, pop_size=5).pop_size == 5


def test_algorithms_name_the_number_of_objectives_that_they_support():
    single = Toy(objectives=("error",))
    with pytest.raises(ValueError, match=r"nsga3 cannot .* two or more objectives.*\['error'\]"):
        algorithm("nsga3", single)
    with pytest.raises(ValueError, match=r"ga cannot .* one objective, .*\['error', 'params'\]"):
        algorithm("ga", Toy())


@pytest.mark.parametrize("name", ["de", "ga", "nichega", "nsga2", "pso", "random", "spea2"])
def test_a_single_objective_is_minimized(name):
    problem = moonas.load_problem("nasbench-macro", objectives=("params",))
    result = minimize(problem, algorithm(name, problem, 20), ("n_gen", 30), seed=1)
    (row, *_) = moonas.front(result)
    best = problem.table.columns["params"].min()
    # velocities mean little for labels
    factor = {"random": 2.0, "pso": 2.5}.get(name, 1.3)
    assert row.objectives["params"] <= factor * best
    assert problem.plotted_columns == ("params", "macs")


def test_a_search_for_a_single_objective_draws_and_picks(tmp_path):
    result = moonas.search(
        "digits-table",
        objectives=("error",),
        algorithm="ga",
        seed=1,
        out=tmp_path / "run",
        population=10,
        generations=4,
    )
    assert (tmp_path / "run" / "front.png").exists()
    assert result.rows[result.picked].objectives["error"] < 20


def test_the_cars_algorithm_minimizes_a_single_objective():
    problem = moonas.load_problem("cars", **TINY["cars"] | dict(objectives=("error",)))
    assert type(problem.algorithm()).__name__ == "GA"


class AtMost(Problem):
    """A pymoo problem that adds a constraint to a problem of moonas."""

    def __init__(self, inner, limit):
        super().__init__(inner.n_var, inner.n_obj, 1, xl=inner.xl, xu=inner.xu, vtype=int)
        self.inner, self.limit = inner, limit

    def _evaluate(self, X, out, *args, **kwargs):
        found = self.inner.evaluate(X, return_as_dictionary=True)
        out["F"], out["G"] = found["F"], (found["params"] - float(self.limit))[:, None]


@pytest.mark.parametrize("name", ["digits-table", "eg-darts", "nsganet-macro", "cyclegan-pruning"])
def test_the_operators_work_on_a_problem_that_wraps_one_of_moonas(name, tiny_of):
    inner = moonas.load_problem(name, **tiny_of(name))
    operators, wrapper = inner.operators(), AtMost(inner, 4000)
    rng = np.random.default_rng(1)
    population = operators["sampling"].do(wrapper, 6, random_state=rng)
    children = operators["crossover"].do(wrapper, population, np.array([[0, 1]]), random_state=rng)
    inner.check_rows(operators["mutation"].do(wrapper, children, random_state=rng).get("X"))


def test_the_front_of_a_problem_that_wraps_one_of_moonas_is_feasible():
    inner = moonas.load_problem("digits-table")
    search = NSGA2(pop_size=12, **inner.operators())
    result = minimize(AtMost(inner, 4000), search, ("n_gen", 5), seed=1)
    rows = moonas.front(result)
    assert sorted(tuple(row.objectives.values()) for row in rows) == sorted(map(tuple, result.F))
    assert max(row.objectives["params"] for row in rows) <= 4000
    assert rows[0].architecture == inner.decode(rows[0].x)
    with pytest.raises(TypeError, match="ZDT1 is no problem of moonas and wraps none"):
        search.mating.crossover.do(ZDT1(), result.pop, np.array([[0, 1]]))


def test_searching_with_named_variables_says_what_to_use_instead():
    problem = moonas.load_problem("eg-darts", cells="PDARTS")
    with pytest.raises(AttributeError, match=r"MixedVariableGA .* NSGA2\(\*\*problem.operators"):
        minimize(problem, MixedVariableGA(pop_size=4), ("n_gen", 1), seed=1)


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("populations", "Unknown setting 'populations'; did you mean 'population'[?] Choose from"),
        ("n_jobs", "Set workers=N for parallel processes, or use joblib"),
        ("elementwise_runner", "problems evaluate whole populations"),
    ],
)
def test_an_unknown_option_is_an_error_with_advice(option, message):
    for error in (TypeError, ValueError):
        with pytest.raises(error, match=message):
            moonas.load_problem("cars", **{option: 2})
