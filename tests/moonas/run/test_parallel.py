import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import joblib
import numpy as np
import pytest
import torch
from callbacks import CallbackOf
from pymoo.algorithms.moo.nsga2 import NSGA2
from searches import run
from toy import IndependentEvaluator, IndependentToy, Toy, journalled

import moonas
from moonas.errors import SearchFailed
from moonas.run.journal import DamagedRun, Journal, read_run


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


class FaultyEvaluator(IndependentEvaluator):
    """Raises an exception, or ends its process, whenever it evaluates a large candidate."""

    fault = "error"
    times = None  # number of faults; None for any number

    def score(self, candidates):
        if candidates.rows.sum() >= 12 and self.times != 0:
            self.times = None if self.times is None else self.times - 1
            if self.fault == "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        return super().score(candidates)


class FaultyToy(IndependentToy):
    """A toy with a :class:`FaultyEvaluator`."""

    def make_evaluator(self):
        return FaultyEvaluator()


class KillingToy(FaultyToy):
    """A toy whose large candidates end the process that evaluates them."""

    def make_evaluator(self):
        evaluator = FaultyEvaluator()
        evaluator.fault = "kill"
        return evaluator


def failed_rows(result):
    """Return the rows that failed, and check the scores of all candidates of a population."""
    population, failed = result.pop, result.pop.get("failed").astype(bool)
    assert np.array_equal(failed, population.get("X").sum(axis=1) >= 12)
    assert set(population.get("error")[failed]) == {100.0}  # the worst error
    assert set(population.get("params")[failed]) == {25}  # the upper bound
    return population.get("X")[failed]


def check_others(result, expected):
    """Check that candidates that did not fail have the scores of a run without faults."""
    scores = [
        {tuple(i.X): i.F.tolist() for i in r.pop if i.X.sum() < 12} for r in (result, expected)
    ]
    assert scores[0] == scores[1]


def test_a_candidate_that_raises_an_exception_has_failed_and_the_search_goes_on(tmp_path):
    lines, toy = [], journalled(tmp_path, FaultyToy, population=24)
    toy.callbacks.append(CallbackOf(on_log=lines.append))
    result = run(toy, generations=1)
    rows = failed_rows(result)
    assert 0 < len(rows) < 24
    check_others(result, run(IndependentToy(population=24), generations=1))
    assert sum("CUDA out of memory" in line for line in lines) == len(rows)
    reason = r"Failed: \(.*\). OutOfMemoryError: CUDA out of memory. Tried .* \(test_parallel.py, "
    assert re.match(reason, lines[-1])
    (record,) = read_run(tmp_path)[1]
    assert len(record["result"]["failures"]) == len(rows)
    assert not {tuple(row.x) for row in moonas.front(result)} & set(map(tuple, rows))
    toy.journal.close()  # a resumed run does not evaluate them again
    resumed = journalled(tmp_path, FaultyToy, population=24)
    assert np.array_equal(run(resumed, generations=1).pop.get("F"), result.pop.get("F"))


def test_a_fault_that_does_not_occur_again_changes_nothing():
    toy, lines = FaultyToy(population=24), []
    toy.evaluator.times = 2
    toy.callbacks.append(CallbackOf(on_log=lines.append))
    result, expected = run(toy, generations=1), run(IndependentToy(population=24), generations=1)
    assert toy.evaluator.times == 0 and not lines
    assert np.array_equal(result.pop.get("F"), expected.pop.get("F"))


@pytest.mark.slow
def test_a_candidate_whose_process_dies_has_failed_and_the_search_goes_on(tmp_path):
    toy = journalled(tmp_path, KillingToy, population=12, workers=2)
    result = run(toy, generations=1)
    rows = failed_rows(result)
    assert 0 < len(rows) < 12
    check_others(result, run(IndependentToy(population=12), generations=1))
    (record,) = read_run(tmp_path)[1]
    assert set(record["result"]["failures"].values()) == {
        "The process that evaluated it died; this happens if memory is exhausted."
    }


def test_partial_results_contain_the_reason_of_a_failure(tmp_path):
    toy, save = journalled(tmp_path, FaultyToy, population=24), Journal.save_partial
    failures = []

    def interrupt_after_a_failure(x, result):
        save(toy.journal, x, result)
        if "failure" in result:
            failures.append(x)
            raise KeyboardInterrupt

    toy.journal.save_partial = interrupt_after_a_failure
    with pytest.raises(KeyboardInterrupt):
        run(toy, generations=1)
    toy.journal.close()
    toy = journalled(tmp_path, FaultyToy, population=24)
    result = run(toy, generations=1)
    assert tuple(failures[0]) not in toy.evaluator.scored
    rows = failed_rows(result)
    assert len(read_run(tmp_path)[1][0]["result"]["failures"]) == len(rows) > 1


@pytest.mark.parametrize("kind", [IndependentToy, Toy])
def test_a_search_whose_candidates_all_fail_ends_with_the_reason(kind):
    toy = kind()

    def score(candidates):
        raise RuntimeError("the input has 3 channels")

    toy.evaluator.score = score
    with pytest.raises(SearchFailed) as failed:
        run(toy)
    assert str(failed.value).startswith(
        "All 8 candidates of a population failed. The first reason: RuntimeError: the input has 3 "
        "channels (test_parallel.py, line "
    )
    assert isinstance(failed.value.__cause__, RuntimeError)
    with pytest.raises(RuntimeError, match="the input has 3 channels"):  # outside a run
        toy.evaluate(np.zeros((1, 6), int))


def test_candidates_that_are_scored_together_fail_one_by_one(tmp_path):
    def faulty(toy):
        score = toy.evaluator.score

        def score_all_but_the_large(candidates):
            if (candidates.rows.sum(axis=1) >= 12).any():
                raise IndexError("too large")
            return score(candidates)

        toy.evaluator.score = score_all_but_the_large
        return toy

    result = run(faulty(journalled(tmp_path)), generations=3)
    expected = run(faulty(Toy()), generations=3)
    assert np.array_equal(result.pop.get("F"), expected.pop.get("F"))
    records = [r for r in read_run(tmp_path)[1] if r["kind"] == "score"]
    assert any("failures" in record["result"] for record in records)
    for record in records:
        failed = [sum(x) >= 12 for x in record["request"]["x"]]
        assert record["result"]["failed"] == failed
        assert len(record["result"].get("failures", {})) == sum(failed)
        assert [e == 100 for e in record["result"]["error"]] == failed


class HungryEvaluator(IndependentEvaluator):
    """Lacks memory for candidates of a size that a file contains, and larger ones."""

    def __init__(self, file):
        super().__init__()
        self.file = file

    def score(self, candidates):
        if self.file.exists() and candidates.rows.sum() >= int(self.file.read_text()):
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate")
        return super().score(candidates)


class HungryToy(IndependentToy):
    """A toy with a :class:`HungryEvaluator`, whose file is named like the settings' fault."""

    def make_evaluator(self):
        return HungryEvaluator(Path(self.settings.fault))


@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_a_run_that_lacks_memory_ends_and_is_resumed_as_if_it_had_not(workers, tmp_path):
    file = tmp_path / "hungry"
    options = dict(population=12, workers=workers, fault=str(file))
    file.write_text("0")
    toy = journalled(tmp_path / "run", HungryToy, **options)
    with pytest.raises(MemoryError, match="DefaultCPUAllocator: can't allocate memory"):
        run(toy)
    toy.journal.close()
    file.unlink()
    resumed = run(journalled(tmp_path / "run", HungryToy, **options))
    assert not resumed.pop.get("failed").any()
    expected = run(IndependentToy(population=12))
    assert np.array_equal(resumed.pop.get("F"), expected.pop.get("F"))


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_candidates_that_need_more_memory_than_there_is_fail(workers, tmp_path):
    file = tmp_path / "hungry"
    file.write_text("12")
    toy = HungryToy(population=12, workers=workers, fault=str(file))
    result = run(toy)
    rows = result.algorithm.data["moonas archive"]
    failed = rows.columns["failed"].astype(bool)
    assert np.array_equal(failed, rows.X.sum(axis=1) >= 12) and failed.any()
    assert all("can't allocate memory" in reason for reason in toy.session.run.failures.values())


def test_a_candidate_that_lacks_memory_once_is_evaluated_again(tmp_path):
    toy = HungryToy(population=12, fault=str(tmp_path / "hungry"))
    score, errors = toy.evaluator.score, [MemoryError()]

    def score_without_memory_once(candidates):
        if errors:
            raise errors.pop()
        return score(candidates)

    toy.evaluator.score = score_without_memory_once
    result, expected = run(toy), run(IndependentToy(population=12))
    assert not errors and np.array_equal(result.pop.get("F"), expected.pop.get("F"))


FORKING = """
import multiprocessing, sys
import torch
import moonas
from pymoo.optimize import minimize

def search(threads):
    options = dict(population=2, generations=1, warmup_epochs=0, channels=2, layers=2, workers=1)
    problem = moonas.load_problem("cars", device="cpu", threads=threads, **options)
    return minimize(problem, problem.algorithm(), ("n_gen", 1), seed=1).F.tolist()

if __name__ == "__main__":
    torch.set_num_threads(2)
    search(1)
    child = multiprocessing.get_context("fork").Process(target=search, args=(int(sys.argv[1]),))
    child.start()
    child.join(60)
    alive = child.is_alive()
    child.kill()
    sys.exit("hangs" if alive else child.exitcode)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes cannot be forked here")
@pytest.mark.slow
@pytest.mark.parametrize("threads", [1, 2])
def test_a_search_in_a_forked_process_ends(threads, tmp_path):
    (tmp_path / "search.py").write_text(FORKING)
    command = [sys.executable, tmp_path / "search.py", str(threads)]
    environment = {k: v for k, v in os.environ.items() if k != "OMP_NUM_THREADS"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    assert ("This process was forked, so PyTorch uses 1 thread" in done.stderr) == (threads == 2)
