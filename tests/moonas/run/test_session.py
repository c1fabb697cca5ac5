import json
import pickle
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from pymoo.algorithms.moo.nsga2 import NSGA2
from pymoo.optimize import minimize
from pymoo.termination.max_gen import MaximumGenerationTermination
from searches import run
from toy import IndependentToy, Toy, journalled

import moonas
from moonas.run.session import describe_algorithm


def test_the_description_of_an_algorithm_names_its_population_sizes_survival_and_mating():
    description = describe_algorithm(NSGA2(pop_size=8, n_offsprings=4))
    assert description == ("NSGA2 pop_size=8 n_offsprings=4 survival=RankAndCrowding mating=Mating")


def test_an_algorithm_goes_on_after_it_was_loaded_from_a_file():
    problem = moonas.load_problem("digits-table")
    whole = minimize(problem, moonas.algorithm("nsga2", problem, 8), ("n_gen", 6), seed=1)
    problem = moonas.load_problem("digits-table")
    algorithm = moonas.algorithm("nsga2", problem, 8)
    minimize(problem, algorithm, ("n_gen", 3), seed=1, copy_algorithm=False)
    loaded = pickle.loads(pickle.dumps(algorithm))
    loaded.termination = MaximumGenerationTermination(6)
    result = minimize(problem, loaded, copy_algorithm=False)
    assert np.array_equal(result.pop.get("X"), whole.pop.get("X"))
    assert np.array_equal(result.pop.get("F"), whole.pop.get("F"))
    assert len(moonas.front(result)) == len(moonas.front(whole))


@pytest.mark.parametrize("in_turn", [True, False])
def test_algorithms_search_a_problem_without_weights_in_turn(in_turn):
    def next_generations(problem, seed):
        algorithm = moonas.algorithm("nsga2", problem, 8)
        algorithm.setup(problem, termination=("n_gen", 4), seed=seed)
        while algorithm.has_next():
            algorithm.next()
            yield algorithm.pop.get("F").tolist()

    problem = IndependentToy()
    pair = zip(*(next_generations(problem, seed) for seed in (1, 2)), strict=True)
    if in_turn:
        alone = [list(next_generations(IndependentToy(), seed)) for seed in (1, 2)]
        assert list(pair) == list(zip(*alone, strict=True))
    else:  # the scores depend on the seed, so they must not be confused
        first, second = list(pair)[-1]
        assert first != second


def test_a_journal_records_one_algorithm_only(tmp_path):
    toy = journalled(tmp_path, IndependentToy)
    algorithms = [moonas.algorithm("nsga2", toy) for _ in range(2)]
    for algorithm in algorithms:
        algorithm.setup(toy, termination=("n_gen", 3), seed=1)
    algorithms[0].next()
    algorithms[1].next()
    with pytest.raises(ValueError, match="has recorded another run since. Call minimize again"):
        algorithms[0].next()


def test_threads_that_search_one_problem_wait_for_each_other():
    alone = {seed: run(IndependentToy(), seed=seed).pop.get("F").tolist() for seed in (1, 2, 3)}
    toy = IndependentToy()
    with ThreadPoolExecutor(3) as pool:
        results = pool.map(lambda seed: run(toy, seed=seed).pop.get("F").tolist(), alone)
        assert dict(zip(alone, results, strict=True)) == alone


def test_a_thread_that_takes_the_shared_weights_ends_the_run_of_another_thread():
    toy, scoring, training = Toy(), threading.Event(), threading.Event()
    score = toy.evaluator.score

    def pause_in_the_second_score(candidates):
        if len(toy.evaluator.calls) == 1 and not scoring.is_set():
            scoring.set()  # the other thread starts now, and waits for the end of this call
            training.wait(0.3)
        return score(candidates)

    toy.evaluator.score = pause_in_the_second_score
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(run, toy, seed=1)
        scoring.wait()
        second = pool.submit(run, toy, seed=2)
        with pytest.raises(ValueError, match="another run of this problem has started since then"):
            first.result()
        expected = run(Toy(), seed=2).pop.get("F")
        assert np.array_equal(second.result().pop.get("F"), expected)


@pytest.mark.parametrize("kind", [Toy, IndependentToy])
def test_a_time_limit_counts_the_recorded_time(kind, tmp_path):
    def search():
        toy = journalled(tmp_path, kind)
        score = toy.evaluator.score
        toy.evaluator.score = lambda candidates: time.sleep(0.02) or score(candidates)
        algorithm = moonas.algorithm("nsga2", toy)
        result = minimize(toy, algorithm, ("time", 0.5), seed=1)
        n_calls = toy.journal.n_calls
        toy.journal.close()
        return result.algorithm.n_gen, n_calls, result.pop.get("F").tolist()

    ends = search()
    assert ends[0] > 2
    assert search() == ends == search()


def test_a_stopped_run_goes_on_for_the_rest_of_its_time_limit(tmp_path):
    toy = journalled(tmp_path, IndependentToy)
    run(toy, generations=3)
    toy.journal.close()
    path = tmp_path / "times.jsonl"
    lines = map(json.loads, path.read_text().splitlines())
    lines = [line | {"elapsed": line["elapsed"] + 58.5} for line in lines]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    toy = journalled(tmp_path, IndependentToy)
    begun = time.monotonic()
    result = minimize(toy, toy.algorithm(), ("time", 60), seed=1)
    assert result.algorithm.n_gen > 4
    assert 0.5 < time.monotonic() - begun < 10
