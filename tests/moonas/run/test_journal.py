import json
import os
import signal
import subprocess
import sys
from contextlib import contextmanager

import numpy as np
import pytest
import torch
from searches import run
from toy import Toy, ToySettings, journalled

from moonas import algorithm
from moonas.files.tensors import fingerprint, read_tensors
from moonas.run.journal import DamagedRun, Journal, RunMismatch, check_run, read_run
from moonas.run.records import to_line
from moonas.settings import RunSettings


def open_in_another_process(folder):
    """Open a journal in a folder in a fresh interpreter, which imports neither torch nor pymoo."""
    code = "import sys; from moonas.run.journal import Journal; from moonas.settings import *; "
    code += "Journal(sys.argv[1], problem='other', settings=RunSettings())"
    return subprocess.run(
        [sys.executable, "-c", code, str(folder)],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(p for p in sys.path if p)},
        capture_output=True,
        text=True,
    )


def test_a_journal_does_not_change_the_result_of_a_run(tmp_path):
    plain, recorded = run(Toy()), run(journalled(tmp_path))
    assert np.array_equal(plain.pop.get("X"), recorded.pop.get("X"))
    assert np.array_equal(plain.pop.get("F"), recorded.pop.get("F"))


def test_a_complete_run_is_replayed_without_training_or_scoring(tmp_path):
    first = run(journalled(tmp_path))
    written = (tmp_path / "journal.jsonl").read_bytes()
    toy = journalled(tmp_path)
    replayed = run(toy)
    assert toy.evaluator.calls == []
    assert np.array_equal(first.pop.get("F"), replayed.pop.get("F"))
    assert (tmp_path / "journal.jsonl").read_bytes() == written


def test_a_record_has_the_kind_and_the_columns_of_the_call(tmp_path):
    result = run(journalled(tmp_path))
    head, records = read_run(tmp_path)
    assert head["seed"] == 1 and head["problem"] == "toy"
    # a warm-up and an evaluation, then three calls per generation
    kinds = [record["kind"] for record in records]
    assert kinds == ["train", "score"] + ["score before", "train", "score"] * 2
    last = records[-1]["result"]
    assert set(last) == {"error", "params", "failed"}
    assert len(last["error"]) == 16  # parents and offspring together
    assert set(result.pop.get("F")[:, 0]) <= set(last["error"])


def test_the_saved_weights_are_those_after_the_last_training(tmp_path):
    toy = journalled(tmp_path)
    run(toy)
    (path,) = tmp_path.glob("weights-*.pt")
    _, state = read_tensors(path)
    assert state["t"] == toy.evaluator.t
    trained = [r for r in read_run(tmp_path)[1] if "weights" in r][-1]
    assert trained["weights"] == fingerprint(state)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (dict(seed=2), "contains a run with seed=1, but this run has seed=2"),
        (dict(population=12), "population=8, but this run has population=12"),
        (dict(generations=30), "generations=20, but this run has generations=30"),
        (dict(objectives=("params", "error")), "objectives"),
    ],
)
def test_a_different_run_in_the_folder_raises_an_error_that_names_the_difference(
    tmp_path, change, message
):
    run(journalled(tmp_path))
    seed = change.pop("seed", 1)
    with pytest.raises(RunMismatch, match=message):
        run(journalled(tmp_path, **change), seed=seed)


def remove_setting(folder, name):
    """Remove a setting from run.json, as if it had been added to moonas after the run."""
    path = folder / "run.json"
    head = json.loads(path.read_text())
    del head["settings"][name]
    path.write_text(json.dumps(head))


@pytest.mark.parametrize(
    "name", ["train_on_offspring", "objectives"]
)  # a tuple in Settings, a list in JSON
def test_a_setting_missing_from_the_record_is_taken_to_have_its_default(tmp_path, name):
    run(journalled(tmp_path))
    remove_setting(tmp_path, name)
    check_run(tmp_path, "toy", ToySettings(), 1)
    toy = journalled(tmp_path)
    run(toy)
    assert toy.evaluator.calls == []


def test_a_setting_missing_from_the_record_must_now_have_its_default(tmp_path):
    run(journalled(tmp_path, population=12))
    remove_setting(tmp_path, "population")
    message = "population=8, but this run has population=12"
    with pytest.raises(RunMismatch, match=message):
        journalled(tmp_path, population=12)
    with pytest.raises(RunMismatch, match=message):
        check_run(tmp_path, "toy", ToySettings(population=12), 1)


def test_a_different_algorithm_raises_an_error(tmp_path):
    run(journalled(tmp_path))
    toy = journalled(tmp_path)
    with pytest.raises(RunMismatch, match="algorithm='NSGA3.*this run has algorithm='NSGA2"):
        run(toy, algorithm=algorithm("nsga2", toy))


def test_a_changed_option_of_the_algorithm_is_detected_at_the_first_call_that_differs(tmp_path):
    from moonas.operators import ResetGenes

    toy = journalled(tmp_path)
    run(toy, algorithm=algorithm("nsga2", toy))
    toy = journalled(tmp_path)
    other = algorithm("nsga2", toy, mutation=ResetGenes(n_genes=4))
    with pytest.raises(RunMismatch, match="Call 2 .* 'x' of a 'score before' call differs"):
        run(toy, algorithm=other)


def test_a_different_problem_raises_an_error(tmp_path):
    run(journalled(tmp_path))
    with pytest.raises(RunMismatch, match="problem='toy', but this run has problem='cars'"):
        Journal(tmp_path, problem="cars", settings=ToySettings())


def test_the_number_of_workers_may_change(tmp_path):
    run(journalled(tmp_path, workers=1))
    run(journalled(tmp_path, workers=2))


def test_a_complete_run_can_be_extended(tmp_path):
    run(journalled(tmp_path / "a"), generations=3)
    longer = run(journalled(tmp_path / "a"), generations=6)
    straight = run(journalled(tmp_path / "b"), generations=6)
    assert np.array_equal(longer.pop.get("F"), straight.pop.get("F"))
    assert same_journal(tmp_path / "a", tmp_path / "b")


def same_journal(a, b):
    return (a / "journal.jsonl").read_bytes() == (b / "journal.jsonl").read_bytes()


def test_a_journal_requires_a_seed(tmp_path):
    with pytest.raises(ValueError, match=r"requires a seed.*seed=1"):
        run(journalled(tmp_path), seed=None)


def test_an_incomplete_last_line_is_dropped_and_computed_again(tmp_path):
    run(journalled(tmp_path / "complete"))
    run(journalled(tmp_path / "truncated"))
    path = tmp_path / "truncated" / "journal.jsonl"
    os.truncate(path, path.stat().st_size - 30)
    run(journalled(tmp_path / "truncated"))
    assert same_journal(tmp_path / "truncated", tmp_path / "complete")


@pytest.mark.parametrize("line", [0, 3, -1])
def test_a_changed_digit_in_the_journal_raises_an_error_that_names_the_line(tmp_path, line):
    run(journalled(tmp_path))
    path = tmp_path / "journal.jsonl"
    lines = path.read_text().splitlines()
    index = range(len(lines))[line]
    lines[index] = lines[index].replace("1", "7", 1)
    path.write_text("\n".join(lines) + "\n")
    with pytest.raises(DamagedRun, match=rf"journal.jsonl is damaged in line {index + 1}"):
        journalled(tmp_path)


def test_a_missing_line_in_the_journal_raises_an_error(tmp_path):
    run(journalled(tmp_path))
    path = tmp_path / "journal.jsonl"
    lines = path.read_text().splitlines()
    path.write_text("\n".join(lines[:2] + lines[3:]) + "\n")
    with pytest.raises(DamagedRun, match="line 3"):
        journalled(tmp_path)


@pytest.mark.parametrize("text", ["", "{", "[1]", '{"format": 1}'])
def test_a_damaged_run_json_raises_an_error_that_names_it(tmp_path, text):
    run(journalled(tmp_path))
    (tmp_path / "run.json").write_text(text)
    with pytest.raises(DamagedRun, match=r"run\.json is damaged"):
        journalled(tmp_path)


def test_a_journal_without_run_json_raises_an_error(tmp_path):
    run(journalled(tmp_path))
    (tmp_path / "run.json").unlink()
    with pytest.raises(DamagedRun, match=r"run\.json is missing"):
        journalled(tmp_path)


def flip_bit(path):
    data = bytearray(path.read_bytes())
    offset = data.index(read_tensors(path)[1]["t"].numpy().tobytes())
    data[offset] ^= 1
    path.write_bytes(data)


def truncate(path):
    os.truncate(path, 100)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (flip_bit, "is damaged: it does not contain the tensors"),
        (truncate, "does not contain weights of this run"),
        (os.unlink, "is missing"),
    ],
)
def test_damaged_weights_raise_an_error_that_names_the_file(tmp_path, damage, message):
    run(journalled(tmp_path), generations=3)
    (path,) = tmp_path.glob("weights-*.pt")
    damage(path)
    with pytest.raises(DamagedRun, match=f"weights-.*{message}"):
        run(journalled(tmp_path), generations=4)


def test_a_pickle_in_place_of_the_weights_runs_no_code(tmp_path):
    class Exploit:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "executed"),)

    run(journalled(tmp_path), generations=3)
    (path,) = tmp_path.glob("weights-*.pt")
    torch.save({"t": Exploit()}, path)
    with pytest.raises(
        DamagedRun, match="not contain weights of this run: Weights only load failed"
    ):
        run(journalled(tmp_path), generations=4)
    assert not (tmp_path / "executed").exists()


def test_two_processes_cannot_write_one_folder(tmp_path):
    toy = journalled(tmp_path)
    process = open_in_another_process(tmp_path)
    assert process.returncode == 1
    assert "Another process is writing" in process.stderr
    toy.journal.close()
    assert open_in_another_process(tmp_path).returncode == 0


def test_two_writers_in_one_process_cannot_mix_their_records(tmp_path):
    one, other = journalled(tmp_path), journalled(tmp_path)
    run(one)
    with pytest.raises(DamagedRun, match="modified by another writer"):
        run(other)


@contextmanager
def file_size_limit(size):
    """Let writes past ``size`` bytes fail with an ``OSError``, as they do on a full disk."""
    resource = pytest.importorskip("resource")
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, handler)


def test_a_full_disk_loses_no_recorded_call(tmp_path):
    toy = journalled(tmp_path / "full")
    with file_size_limit(12000), pytest.raises(OSError, match="File too large"):
        run(toy, generations=20)
    toy.journal.close()
    data = (tmp_path / "full" / "journal.jsonl").read_bytes()
    assert 6000 < len(data) <= 12000 and data.endswith(b"\n")
    run(journalled(tmp_path / "full"), generations=20)
    run(journalled(tmp_path / "uninterrupted"), generations=20)
    assert same_journal(tmp_path / "full", tmp_path / "uninterrupted")


def test_a_file_in_place_of_the_folder_raises_an_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match="is a file; expected a folder"):
        journalled(tmp_path / "file")


def test_a_folder_without_a_run_cannot_be_read(tmp_path):
    with pytest.raises(ValueError, match="contains no run: run.json is missing"):
        read_run(tmp_path)


def test_times_are_recorded_in_a_file_of_their_own(tmp_path):
    run(journalled(tmp_path))
    times = [json.loads(line) for line in (tmp_path / "times.jsonl").read_text().splitlines()]
    assert [t["call"] for t in times] == list(range(len(times)))
    assert all(t["seconds"] >= 0 for t in times)
    assert "seconds" not in (tmp_path / "journal.jsonl").read_text()


def test_resuming_with_different_package_versions_warns(tmp_path):
    run(journalled(tmp_path))
    path = tmp_path / "run.json"
    head = json.loads(path.read_text())
    head["versions"]["torch"] = "1.0"
    path.write_text(json.dumps(head))
    with pytest.warns(UserWarning, match=r"different conditions .torch 1\.0 ->"):
        run(journalled(tmp_path))


def test_resuming_with_a_different_number_of_threads_warns(tmp_path):
    run(journalled(tmp_path))
    with pytest.warns(UserWarning, match="environment cpu, 1 threads -> cpu, 3 threads"):
        run(journalled(tmp_path, threads=3))


def test_a_mismatch_releases_the_lock(tmp_path):
    Journal(tmp_path, problem="other", settings=RunSettings()).begin(1, "algorithm")
    with pytest.raises(RunMismatch) as mismatch:  # keeps the traceback, and so the journal, alive
        journalled(tmp_path, population=12)
    assert open_in_another_process(tmp_path).returncode == 0, mismatch


def test_an_interrupted_write_leaves_complete_lines(tmp_path, monkeypatch):
    toy = journalled(tmp_path)

    def interrupted(_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        real, calls = os.fsync, []
        patched.setattr(
            os, "fsync", lambda f: calls.append(f) or (real if len(calls) < 5 else interrupted)(f)
        )
        with pytest.raises(KeyboardInterrupt):
            run(toy)
    resumed = run(toy)
    assert np.array_equal(resumed.pop.get("F"), run(Toy()).pop.get("F"))


def test_an_incomplete_line_of_times_is_removed(tmp_path):
    run(journalled(tmp_path), generations=2)
    with open(tmp_path / "times.jsonl", "a") as file:
        file.write('{"call": 9, "ki')
    run(journalled(tmp_path), generations=3)
    for line in (tmp_path / "times.jsonl").read_text().splitlines():
        json.loads(line)


def test_partial_results_of_another_call_are_ignored(tmp_path):
    journal = Journal(tmp_path, problem="toy", settings=ToySettings())
    journal.begin(1, "algorithm")
    journal.save_partial([1, 2], {"error": np.array([3.0])})
    other = {"call": 7, "x": [4, 5], "result": {"error": [6.0]}}
    with open(tmp_path / "unfinished.jsonl", "ab") as file:
        file.write(to_line(other))
    assert journal.partial_results() == {(1, 2): {"error": np.array([3.0])}}


def test_changed_inputs_raise_an_error(tmp_path):
    toy = Toy()
    Journal(tmp_path, problem="toy", settings=toy.settings, inputs={"table": "1"}).begin(1, "x")
    with pytest.raises(RunMismatch, match="inputs"):
        Journal(tmp_path, problem="toy", settings=toy.settings, inputs={"table": "2"})


def test_an_evaluation_after_a_run_uses_its_last_weights(tmp_path):
    toy = journalled(tmp_path)
    result = run(toy)
    X, F = result.pop.get("X"), result.pop.get("F")
    assert np.array_equal(toy.evaluate(X), F)
    fresh = journalled(tmp_path)
    assert np.array_equal(fresh.evaluate(X), F)  # no run in this process
    replayed = journalled(tmp_path)
    run(replayed)
    assert np.array_equal(replayed.evaluate(X), F)


def test_an_evaluation_outside_the_algorithm_during_a_replay_raises_an_error(tmp_path):
    run(journalled(tmp_path))
    toy = journalled(tmp_path)

    def callback(algorithm):
        toy.evaluate(algorithm.pop.get("X"))

    with pytest.raises(ValueError, match="being replayed"):
        run(toy, callback=callback)
