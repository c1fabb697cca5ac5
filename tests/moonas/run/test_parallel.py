import joblib
import numpy as np
import pytest
from pymoo.algorithms.moo.nsga2 import NSGA2
from searches import run
from toy import IndependentToy, journalled

from moonas.run.journal import DamagedRun, read_run


@pytest.mark.parametrize("backend", ["settings", "loky", "threading"])
def test_the_result_of_a_search_does_not_depend_on_the_number_and_kind_of_workers(backend):
    serial = run(IndependentToy())
    toy = IndependentToy(workers=2 if backend == "settings" else 1)
    if backend == "settings":
        parallel = run(toy)
    else:
        with joblib.parallel_config(backend=backend, n_jobs=2):
            parallel = run(toy)
    # other backends use the evaluators of worker processes
    assert bool(toy.evaluator.scored) == (backend == "threading")
    assert np.array_equal(serial.pop.get("X"), parallel.pop.get("X"))
    assert np.array_equal(serial.pop.get("F"), parallel.pop.get("F"))


def test_workers_use_the_seed_of_the_current_run():
    toy = IndependentToy(workers=2)
    run(toy, seed=1, generations=1)
    parallel = run(toy, seed=2, generations=1)
    serial = run(IndependentToy(), seed=2, generations=1)
    assert np.array_equal(parallel.pop.get("F"), serial.pop.get("F"))


def test_each_candidate_is_evaluated_once_per_run_even_if_the_run_is_resumed(tmp_path):
    def run_for(generations):
        toy = journalled(tmp_path / "run", IndependentToy, population=24)
        # offspring may be equal to parents and to other offspring
        operators = toy.operators() | {"eliminate_duplicates": False}
        return toy, run(toy, NSGA2(pop_size=24, **operators), generations=generations)

    first, _ = run_for(3)
    resumed, result = run_for(6)
    scored = first.evaluator.scored + resumed.evaluator.scored
    assert first.evaluator.scored and resumed.evaluator.scored
    requested = [
        tuple(x) for record in read_run(tmp_path / "run")[1] for x in record["request"]["x"]
    ]
    assert len(requested) == 144 > len(set(requested)) == len(set(scored)) == len(scored)
    assert np.array_equal(resumed.evaluate(result.pop.get("X")), result.pop.get("F"))


def test_no_evaluation_is_lost_if_a_generation_is_interrupted(tmp_path):
    uninterrupted = run(journalled(tmp_path / "uninterrupted", IndependentToy))
    toy = journalled(tmp_path / "interrupted", IndependentToy)
    save, saved = toy.journal.save_partial, []

    def interrupt_after_eleven(x, result):
        if len(saved) == 11:
            raise KeyboardInterrupt
        saved.append(tuple(x))
        save(x, result)

    toy.journal.save_partial = interrupt_after_eleven
    with pytest.raises(KeyboardInterrupt):
        run(toy)
    unfinished = tmp_path / "interrupted" / "unfinished.jsonl"
    # 11 candidates minus 8 of the first generation
    assert unfinished.read_bytes().count(b"\n") == 3
    with open(unfinished, "a") as file:
        file.write('{"call": 1, "x": [0')  # an incomplete line
    toy.journal.close()
    toy = journalled(tmp_path / "interrupted", IndependentToy)
    resumed = run(toy)
    assert len(toy.evaluator.scored) == len(set(toy.evaluator.scored)) == 24 - 11
    assert not set(toy.evaluator.scored) & set(saved)
    assert np.array_equal(resumed.pop.get("F"), uninterrupted.pop.get("F"))
    for name in ("journal.jsonl", "run.json"):
        files = [(tmp_path / run_ / name).read_bytes() for run_ in ("interrupted", "uninterrupted")]
        assert files[0] == files[1]
    assert not unfinished.exists()


def test_a_damaged_file_of_partial_results_raises_an_error_with_advice(tmp_path):
    (tmp_path / "unfinished.jsonl").write_text('{"call": 0, "x": [1], "crc": "00000000"}\n')
    with pytest.raises(DamagedRun, match="Remove the file; its results will be computed again"):
        run(journalled(tmp_path, IndependentToy))


def test_an_evaluation_outside_a_run_uses_the_seed_of_the_recorded_run(tmp_path):
    result = run(journalled(tmp_path, IndependentToy), seed=7, generations=1)
    reopened = journalled(tmp_path, IndependentToy)
    assert np.array_equal(reopened.evaluate(result.pop.get("X")), result.pop.get("F"))
    other_seed = run(IndependentToy(), seed=8, generations=1)
    F = reopened.evaluate(other_seed.pop.get("X"))
    assert not np.array_equal(F[:, 0], other_seed.pop.get("F")[:, 0])
