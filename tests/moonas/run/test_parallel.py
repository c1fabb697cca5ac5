import joblib
import numpy as np
import pytest
from pymoo.algorithms.moo.nsga2 import NSGA2
from searches import run
from toy import IndependentToy, journalled

from moonas.run.journal import DamagedRun, read_run


@pytest.mark.parametrize("backend", ["settings", "loky", "threading"])
def test_a_search_does_not_depend_on_the_number_of_workers(backend):
    alone = run(IndependentToy())
    toy = IndependentToy(workers=2 if backend == "settings" else 1)
    if backend == "settings":
        spread = run(toy)
    else:
        with joblib.parallel_config(backend=backend, n_jobs=3):
            spread = run(toy)
    assert bool(toy.evaluator.scored) == (backend == "threading")  # else in other processes
    assert np.array_equal(alone.pop.get("X"), spread.pop.get("X"))
    assert np.array_equal(alone.pop.get("F"), spread.pop.get("F"))


def test_a_candidate_is_scored_once_a_run_and_not_again_after_a_stop(tmp_path):
    def start(generations):
        toy = journalled(tmp_path / "run", IndependentToy, population=24)
        # children repeat their parents and each other
        operators = toy.operators() | {"eliminate_duplicates": False}
        return toy, run(toy, NSGA2(pop_size=24, **operators), generations=generations)

    first, _ = start(3)
    again, result = start(6)
    scored = first.evaluator.scored + again.evaluator.scored
    assert first.evaluator.scored and again.evaluator.scored
    asked = [tuple(x) for record in read_run(tmp_path / "run")[1] for x in record["request"]["x"]]
    assert len(asked) == 144 > len(set(asked)) == len(set(scored)) == len(scored)
    assert np.array_equal(again.evaluate(result.pop.get("X")), result.pop.get("F"))


def test_a_stop_in_the_middle_of_a_generation_loses_no_score(tmp_path):
    straight = run(journalled(tmp_path / "straight", IndependentToy))
    toy = journalled(tmp_path / "stopped", IndependentToy)
    save, saved = toy.journal.save_partial, []

    def impatient(x, result):
        if len(saved) == 11:
            raise KeyboardInterrupt
        saved.append(tuple(x))
        save(x, result)

    toy.journal.save_partial = impatient
    with pytest.raises(KeyboardInterrupt):
        run(toy)
    unfinished = tmp_path / "stopped" / "unfinished.jsonl"
    assert unfinished.read_bytes().count(b"\n") == 3  # 11 less a generation of 8
    with open(unfinished, "a") as file:
        file.write('{"call": 1, "x": [0')  # torn by a kill
    toy.journal.close()
    again = journalled(tmp_path / "stopped", IndependentToy)
    resumed = run(again)
    assert len(again.evaluator.scored) == len(set(again.evaluator.scored)) == 24 - 11
    assert not set(again.evaluator.scored) & set(saved)
    assert np.array_equal(resumed.pop.get("F"), straight.pop.get("F"))
    for name in ("journal.jsonl", "run.json"):
        files = [(tmp_path / run_ / name).read_bytes() for run_ in ("stopped", "straight")]
        assert files[0] == files[1]
    assert not unfinished.exists()


def test_a_damaged_record_of_an_unfinished_generation_is_named(tmp_path):
    (tmp_path / "unfinished.jsonl").write_text('{"call": 0, "x": [1], "crc": "00000000"}\n')
    with pytest.raises(DamagedRun, match="remove the file, and what it holds is computed again"):
        run(journalled(tmp_path, IndependentToy))


def test_scores_outside_a_run_are_those_of_the_recorded_run(tmp_path):
    result = run(journalled(tmp_path, IndependentToy), seed=7, generations=1)
    later = journalled(tmp_path, IndependentToy)
    assert np.array_equal(later.evaluate(result.pop.get("X")), result.pop.get("F"))
    other = run(IndependentToy(), seed=8, generations=1)
    again = later.evaluate(other.pop.get("X"))
    assert not np.array_equal(again[:, 0], other.pop.get("F")[:, 0])
