"""Problems whose shared weights are trained during a run work with every algorithm."""

import copy
import pickle

import numpy as np
import pytest
from pymoo.algorithms.moo.nsga2 import NSGA2
from pymoo.optimize import minimize
from searches import MULTI_OBJECTIVE, run
from toy import N_VAR, Toy, error_of

from moonas import algorithm, front
from moonas.problem import Column, SearchFailed
from moonas.testing import check_resume
from moonas.weight_sharing import live_individuals

EVERY_ALGORITHM = MULTI_OBJECTIVE


@pytest.mark.parametrize("name", EVERY_ALGORITHM)
def test_objectives_of_survivors_are_computed_with_the_current_weights(name):
    toy = Toy()
    n_outdated = []

    def callback(algorithm):
        live = live_individuals(algorithm)
        size = 1 + live.get("X").sum(axis=1)
        expected = np.column_stack([error_of(float(toy.evaluator.t), size), size])
        n_outdated.append(int((live.get("F") != expected).any(axis=1).sum()))

    run(toy, name, generations=6, callback=callback)
    assert n_outdated == [0] * 6


@pytest.mark.parametrize("name", EVERY_ALGORITHM)
def test_the_weights_are_trained_once_per_generation(name):
    toy = Toy()
    run(toy, name, generations=5)
    assert toy.evaluator.calls[0] == "warm up"
    assert len(toy.evaluator.calls) == 5


@pytest.mark.parametrize("name", EVERY_ALGORITHM)
def test_runs_with_the_same_seed_are_equal_even_on_the_same_problem_object(name):
    toy = Toy()
    first, second, other = run(toy, name), run(toy, name), run(Toy(), name)
    for again in (second, other):
        assert np.array_equal(first.pop.get("X"), again.pop.get("X"))
        assert np.array_equal(first.pop.get("F"), again.pop.get("F"))


@pytest.mark.parametrize("name", EVERY_ALGORITHM)
def test_a_resumed_run_equals_an_uninterrupted_run(name, tmp_path):
    def search(toy):
        return run(toy, name, generations=4)

    straight, resumed = check_resume(Toy, search, tmp_path, max_stops=4)
    assert np.array_equal(resumed.pop.get("X"), straight.pop.get("X"))
    assert np.array_equal(resumed.pop.get("F"), straight.pop.get("F"))


def test_a_run_does_not_affect_a_later_run_with_another_algorithm():
    toy = Toy()
    one, two = run(toy, "nsga2"), run(toy, "smsemoa")
    assert np.array_equal(one.pop.get("F"), run(Toy(), "nsga2").pop.get("F"))
    assert np.array_equal(two.pop.get("F"), run(Toy(), "smsemoa").pop.get("F"))


@pytest.mark.parametrize("name", ["nsga3", "unsga3", "pnsga3", "spea2", "rvea", "ctaea", "moead"])
def test_algorithms_reset_ideal_points_of_outdated_objectives(name):
    toy = Toy(fault="rising")  # errors increase, so an outdated ideal point would be too low

    def callback(algorithm):
        survival = getattr(algorithm, "survival", None)
        norm = getattr(survival, "norm", None)
        ideal_points = [
            getattr(norm, "ideal_point", None),
            getattr(survival, "ideal", None),
            getattr(survival, "ideal_point", None),
            getattr(algorithm, "ideal", None),
        ]
        (ideal,) = (point for point in ideal_points if point is not None)
        largest = 1 + 3 * N_VAR
        assert ideal[0] >= 100 - error_of(float(toy.evaluator.t), largest)

    run(toy, name, generations=6, callback=callback)


def test_reevaluated_parents_count_as_evaluations():
    result = run(Toy(), "nsga2", generations=4)
    assert result.algorithm.evaluator.n_eval == 8 + 3 * 16


def test_training_uses_only_the_parents():
    toy = Toy()
    parents_of_generation = []

    def callback(algorithm):
        parents_of_generation.append({tuple(x.tolist()) for x in algorithm.pop.get("X")})

    run(toy, "nsga2", generations=6, callback=callback)
    for parents, trained in zip(parents_of_generation, toy.evaluator.calls[1:], strict=False):
        assert set(trained) == parents


def test_training_uses_the_offspring_if_the_problem_requires_it():
    toy = Toy(train_on_offspring=True)
    run(toy, generations=3)
    assert [len(call) for call in toy.evaluator.calls[1:]] == [16, 16]


def test_moead_is_rejected_if_training_uses_the_offspring():
    with pytest.raises(ValueError, match="MOEAD evaluates one row per call.*ParallelMOEAD"):
        run(Toy(train_on_offspring=True), "moead")
    run(Toy(train_on_offspring=True), "parallel-moead")


def test_growth_is_the_decrease_of_the_error_per_epoch():
    toy = Toy()
    weights = []
    result = run(toy, generations=3, callback=lambda a: weights.append(float(toy.evaluator.t)))
    size = 1 + result.pop.get("X").sum(axis=1)
    expected = (error_of(weights[-2], size) - error_of(weights[-1], size)) / 2  # 2 epochs
    assert np.allclose(result.pop.get("growth"), expected, rtol=1e-12)


def test_growth_is_nan_in_the_first_generation_and_in_a_stationary_problem():
    assert np.isnan(run(Toy(), generations=1).pop.get("growth")).all()
    assert np.isnan(run(Toy(nonstationary=False), generations=4).pop.get("growth")).all()


def test_a_stationary_problem_trains_once():
    toy = Toy(nonstationary=False)
    result = run(toy)
    assert toy.evaluator.calls == ["warm up"]
    assert result.algorithm.evaluator.n_eval == 3 * 8


def test_a_call_without_an_algorithm_never_trains():
    toy = Toy()
    result = run(toy, generations=3)
    n_calls = len(toy.evaluator.calls)
    assert np.array_equal(toy.evaluate(result.pop.get("X")), result.pop.get("F"))
    assert len(toy.evaluator.calls) == n_calls
    fresh = Toy()
    fresh.evaluate(result.pop.get("X"))
    assert fresh.evaluator.calls == []


def test_a_run_cannot_continue_after_another_run_has_started():
    toy = Toy()
    one, two = (algorithm("nsga2", toy).setup(toy, ("n_gen", 5), seed=s) for s in (1, 2))
    one.next()
    two.next()
    with pytest.raises(ValueError, match="another run of this problem has started"):
        one.next()


def test_an_algorithm_can_be_continued_in_a_second_call_of_minimize():
    toy = Toy()
    first = run(toy, "nsga2", generations=3)
    first.algorithm.termination = type(first.algorithm.termination)(6)
    continued = minimize(toy, first.algorithm, copy_algorithm=False)
    assert np.array_equal(continued.pop.get("F"), run(Toy(), "nsga2", generations=6).pop.get("F"))


def interrupt_at(toy, name):
    """Make the next call of a method of the evaluator raise a ``KeyboardInterrupt``."""
    method = getattr(toy.evaluator, name)

    def interrupted(*args):
        setattr(toy.evaluator, name, method)
        raise KeyboardInterrupt

    setattr(toy.evaluator, name, interrupted)


@pytest.mark.parametrize("name", ["warm_up", "train", "score"])
def test_an_interrupted_algorithm_cannot_be_continued(name):
    toy = Toy()
    algorithm_ = algorithm("nsga2", toy).setup(toy, termination=("n_gen", 5), seed=1)
    interrupt_at(toy, name)
    with pytest.raises(KeyboardInterrupt):
        while algorithm_.has_next():
            algorithm_.next()
    with pytest.raises(ValueError, match="this run was interrupted"):
        algorithm_.next()
    assert np.array_equal(run(toy).pop.get("F"), run(Toy()).pop.get("F"))


def test_an_unpickled_algorithm_cannot_be_continued():
    toy = Toy()
    run(toy)
    loaded = pickle.loads(pickle.dumps(run(Toy(), "nsga2").algorithm))
    loaded.termination = type(loaded.termination)(9)
    loaded.problem = toy
    with pytest.raises(ValueError, match="loaded from a file"):
        loaded.next()


def test_an_evaluated_population_can_start_only_a_stationary_run():
    first = run(Toy())
    for nonstationary in (True, False):
        toy = Toy(nonstationary=nonstationary)
        start = algorithm("nsga2", toy, sampling=first.pop)
        if nonstationary:
            with pytest.raises(ValueError, match=r'sampling=population.get\("X"\)'):
                run(toy, start)
        else:
            assert len(run(toy, start).pop) == 8


def test_a_candidate_that_failed_before_the_training_has_zero_growth():
    toy = Toy()

    def callback(algorithm):
        algorithm.pop[0].set("failed", 1.0)
        algorithm.pop[0].set("error", 100.0)
        algorithm.data["marked"] = algorithm.pop[0].X.copy()

    at_mating = {}
    algorithm_ = algorithm("nsga2", toy).setup(
        toy, termination=("n_gen", 3), seed=1, callback=callback
    )
    algorithm_.next()
    marked = algorithm_.data["marked"]
    next_generation = toy._next_generation

    def spy(offspring, algorithm):
        at_mating["parents"] = algorithm.pop
        return next_generation(offspring, algorithm)

    toy._next_generation = spy
    algorithm_.next()
    rows = {tuple(i.X): i.get("growth") for i in at_mating["parents"]}
    assert rows.pop(tuple(marked)) == 0
    assert all(growth > 0 for growth in rows.values())


def test_random_search_accepts_options_of_genetic_algorithms():
    toy = Toy()
    search = algorithm("random", toy, n_offsprings=3)
    result = run(toy, search, generations=4)
    assert result.algorithm.evaluator.n_eval == 8 + 3 * (8 + 3)
    assert type(search.output).__name__ == "SearchOutput"


def test_pnsga3_uses_params_as_the_size_in_any_order_of_objectives():
    for objectives in (("error", "params"), ("params", "error")):
        toy = Toy(objectives=objectives)
        assert algorithm("pnsga3", toy).survival.size == "params"


def test_all_algorithms_of_a_history_share_the_problem_object():
    toy = Toy()
    result = run(toy, save_history=True)
    assert all(past.problem is toy for past in result.history)
    assert copy.deepcopy(toy) is toy


def test_a_pickled_problem_does_not_include_weights():
    toy = Toy()
    run(toy)
    again = pickle.loads(pickle.dumps(toy))
    assert not again.session.has_evaluator and again.journal is None
    assert np.array_equal(run(again).pop.get("F"), run(Toy()).pop.get("F"))


def test_a_failed_candidate_gets_the_worst_value_and_is_flagged():
    toy = Toy(fault="largest")
    result = run(toy, generations=1)
    failed = result.pop.get("failed").astype(bool)
    assert failed.any() and not failed.all()
    assert (result.pop.get("F")[failed, 0] == 100).all()
    assert np.isfinite(result.pop.get("F")).all()
    assert (result.pop.get("F")[failed, 1] == 1 + result.pop.get("X")[failed].sum(axis=1)).all()


def test_a_search_ends_if_every_candidate_fails():
    with pytest.raises(SearchFailed, match="All 8 candidates"):
        run(Toy(fault="all"))


def test_a_column_with_a_wrong_shape_is_rejected():
    with pytest.raises(ValueError, match=r"column 'error' with shape \(8, 1\); expected \(8,\)"):
        run(Toy(fault="shape"))


@pytest.mark.parametrize(
    ("X", "message"),
    [
        (np.full((2, N_VAR), 0.5), r"x\[0, 0\] = 0.5 is not an integer"),
        (np.full((2, N_VAR), 4), r"x\[0, 0\] = 4 is out of bounds; gene 0 must be .* 0 to 3"),
        (np.full((2, N_VAR), -1), r"x\[0, 0\] = -1 is out of bounds"),
        (np.full((2, N_VAR), np.nan), "is not an integer"),
        (np.zeros((2, N_VAR - 1), int), "Expected rows of 6 integers"),
        (np.full((2, N_VAR), "a"), "Expected rows of 6 integers"),
    ],
)
def test_invalid_rows_raise_an_error_that_names_the_right_operators(X, message):
    with pytest.raises(ValueError, match=message) as caught:
        Toy().evaluate(X)
    assert "NSGA2(**problem.operators())" in str(caught.value)


def test_pymoos_default_operators_raise_an_error_that_names_the_right_operators():
    with pytest.raises(ValueError, match=r"problem\.operators\(\)"):
        minimize(Toy(), NSGA2(pop_size=8), ("n_gen", 2), seed=1)


def test_integers_may_be_given_as_floats():
    toy = Toy()
    X = np.ones((2, N_VAR))
    assert np.array_equal(toy.evaluate(X), toy.evaluate(X.astype(int)))


def test_unknown_or_missing_objectives_are_rejected():
    with pytest.raises(ValueError, match=r"Unknown objective 'speed'; choose from \['error', 'par"):
        Toy(objectives=("error", "speed"))
    with pytest.raises(ValueError, match="one or more"):
        Toy(objectives=())
    with pytest.raises(ValueError, match="Unknown objective 'growth'"):
        Toy(objectives=("error", "growth"))


@pytest.mark.parametrize("reserved", ["config", "failed", "violation"])
def test_reserved_column_names_are_rejected(reserved, monkeypatch):
    import toy as module

    names = iter([reserved, "params", "growth"])
    monkeypatch.setattr(module, "Column", lambda _, *a, **k: Column(next(names), *a, **k))
    with pytest.raises(ValueError, match=rf"\['{reserved}'\] are reserved"):
        Toy(objectives=(reserved, "params"))


def test_rows_of_a_front_have_columns_and_architectures():
    rows = front(run(Toy()))
    for row in rows:
        assert row.architecture == tuple(row.x.tolist())
        assert row.objectives == {k: row.columns[k] for k in ("error", "params")}
        assert np.isfinite(row.columns["growth"])
    params = [row.objectives["params"] for row in rows]
    assert params == sorted(params)
