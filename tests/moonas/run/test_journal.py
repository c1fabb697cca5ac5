import json
import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from searches import run
from toy import Toy, ToySettings, journalled

from moonas import algorithm
from moonas.files.tensors import fingerprint, read_tensors
from moonas.run.journal import DamagedRun, Journal, RunMismatch, check_run, read_run

CHILD = """
import sys
from toy import Toy, ToySettings
from moonas.run.journal import Journal
from pymoo.optimize import minimize
"""


def child(code, folder):
    """A fresh interpreter that runs ``code`` on ``folder``."""
    path = os.pathsep.join(p for p in sys.path if p)
    return subprocess.run(
        [sys.executable, "-c", CHILD + code, str(folder)],
        env=os.environ | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
    )


def test_a_journal_changes_nothing_about_a_run(tmp_path):
    plain, recorded = run(Toy()), run(journalled(tmp_path))
    assert np.array_equal(plain.pop.get("X"), recorded.pop.get("X"))
    assert np.array_equal(plain.pop.get("F"), recorded.pop.get("F"))


def test_a_complete_run_is_replayed_without_training_or_scoring(tmp_path):
    first = run(journalled(tmp_path))
    written = (tmp_path / "journal.jsonl").read_bytes()
    toy = journalled(tmp_path)
    again = run(toy)
    assert toy.evaluator.calls == []
    assert np.array_equal(first.pop.get("F"), again.pop.get("F"))
    assert (tmp_path / "journal.jsonl").read_bytes() == written


def test_a_call_has_its_kind_its_rows_and_its_columns(tmp_path):
    result = run(journalled(tmp_path))
    head, records = read_run(tmp_path)
    assert head["seed"] == 1 and head["problem"] == "toy"
    # one warm-up and one score, then three calls a generation
    kinds = [record["kind"] for record in records]
    assert kinds == ["train", "score"] + ["score before", "train", "score"] * 2
    last = records[-1]["result"]
    assert set(last) == {"error", "params", "failed"}
    assert len(last["error"]) == 16  # parents and offspring together
    assert set(result.pop.get("F")[:, 0]) <= set(last["error"])


def test_weights_are_those_after_the_last_training(tmp_path):
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
        (dict(seed=2), "holds a run with seed=1; this one has seed=2"),
        (dict(population=12), "holds a run with population=8; this one has population=12"),
        (dict(generations=30), "holds a run with generations=20; this one has generations=30"),
        (dict(objectives=("params", "error")), "objectives"),
    ],
)
def test_another_run_is_refused_by_name(tmp_path, change, message):
    run(journalled(tmp_path))
    seed = change.pop("seed", 1)
    with pytest.raises(RunMismatch, match=message):
        run(journalled(tmp_path, **change), seed=seed)


def without(folder, name):
    """Remove a setting from a run.json, as if it had been added to moonas since."""
    path = folder / "run.json"
    head = json.loads(path.read_text())
    del head["settings"][name]
    path.write_text(json.dumps(head))


@pytest.mark.parametrize("name", ["everyone", "objectives"])  # a tuple in Settings, a list in JSON
def test_a_setting_that_a_run_does_not_know_counts_as_its_default(tmp_path, name):
    run(journalled(tmp_path))
    without(tmp_path, name)
    check_run(tmp_path, "toy", ToySettings(), 1)
    toy = journalled(tmp_path)
    run(toy)
    assert toy.evaluator.calls == []


def test_a_setting_that_a_run_does_not_know_is_refused_with_another_value(tmp_path):
    run(journalled(tmp_path, population=12))
    without(tmp_path, "population")
    message = "population=8; this one has population=12"
    with pytest.raises(RunMismatch, match=message):
        journalled(tmp_path, population=12)
    with pytest.raises(RunMismatch, match=message):
        check_run(tmp_path, "toy", ToySettings(population=12), 1)


def test_another_algorithm_is_refused(tmp_path):
    run(journalled(tmp_path))
    toy = journalled(tmp_path)
    with pytest.raises(RunMismatch, match="algorithm='NSGA3.*this one has algorithm='NSGA2"):
        run(toy, algorithm=algorithm("nsga2", toy))


def test_an_option_of_the_algorithm_is_noticed_at_the_first_call_that_differs(tmp_path):
    from moonas.operators import ResetGenes

    toy = journalled(tmp_path)
    run(toy, algorithm=algorithm("nsga2", toy))
    toy = journalled(tmp_path)
    other = algorithm("nsga2", toy, mutation=ResetGenes(n_genes=4))
    with pytest.raises(RunMismatch, match="Call 2 .* 'score before' with another 'x'"):
        run(toy, algorithm=other)


def test_another_problem_is_refused(tmp_path):
    run(journalled(tmp_path))
    with pytest.raises(RunMismatch, match="problem='toy'; this one has problem='cars'"):
        Journal(tmp_path, problem="cars", settings=ToySettings())


def test_how_a_run_is_spread_may_change(tmp_path):
    run(journalled(tmp_path, workers=1))
    run(journalled(tmp_path, workers=2))


def test_a_run_may_go_on_past_its_end(tmp_path):
    run(journalled(tmp_path / "a"), generations=3)
    longer = run(journalled(tmp_path / "a"), generations=6)
    straight = run(journalled(tmp_path / "b"), generations=6)
    assert np.array_equal(longer.pop.get("F"), straight.pop.get("F"))
    assert same_journal(tmp_path / "a", tmp_path / "b")


def same_journal(a, b):
    return (a / "journal.jsonl").read_bytes() == (b / "journal.jsonl").read_bytes()


def test_a_run_without_a_seed_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"needs a seed.*seed=1"):
        run(journalled(tmp_path), seed=None)


def test_a_torn_last_line_is_dropped_and_computed_again(tmp_path):
    run(journalled(tmp_path / "whole"))
    run(journalled(tmp_path / "torn"))
    path = tmp_path / "torn" / "journal.jsonl"
    os.truncate(path, path.stat().st_size - 30)
    run(journalled(tmp_path / "torn"))
    assert same_journal(tmp_path / "torn", tmp_path / "whole")


@pytest.mark.parametrize("line", [0, 3, -1])
def test_a_changed_digit_in_a_journal_is_an_error_that_names_the_line(tmp_path, line):
    run(journalled(tmp_path))
    path = tmp_path / "journal.jsonl"
    lines = path.read_text().splitlines()
    where = range(len(lines))[line]
    lines[where] = lines[where].replace("1", "7", 1)
    path.write_text("\n".join(lines) + "\n")
    with pytest.raises(DamagedRun, match=rf"journal.jsonl is damaged in line {where + 1}"):
        journalled(tmp_path)


def test_a_missing_line_in_a_journal_is_an_error(tmp_path):
    run(journalled(tmp_path))
    path = tmp_path / "journal.jsonl"
    lines = path.read_text().splitlines()
    path.write_text("\n".join(lines[:2] + lines[3:]) + "\n")
    with pytest.raises(DamagedRun, match="line 3"):
        journalled(tmp_path)


@pytest.mark.parametrize("text", ["", "{", "[1]", '{"format": 1}'])
def test_a_damaged_head_is_an_error_that_names_it(tmp_path, text):
    run(journalled(tmp_path))
    (tmp_path / "run.json").write_text(text)
    with pytest.raises(DamagedRun, match=r"run\.json is damaged"):
        journalled(tmp_path)


def test_a_journal_without_its_head_is_an_error(tmp_path):
    run(journalled(tmp_path))
    (tmp_path / "run.json").unlink()
    with pytest.raises(DamagedRun, match=r"run\.json is missing"):
        journalled(tmp_path)


def flip(path):
    data = bytearray(path.read_bytes())
    at = data.index(read_tensors(path)[1]["t"].numpy().tobytes())
    data[at] ^= 1
    path.write_bytes(data)


def cut(path):
    os.truncate(path, 100)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (flip, "is damaged: it does not hold the tensors"),
        (cut, "holds no weights of this run"),
        (os.unlink, "is missing"),
    ],
)
def test_damaged_weights_are_an_error_that_names_them(tmp_path, damage, message):
    run(journalled(tmp_path), generations=3)
    (path,) = tmp_path.glob("weights-*.pt")
    damage(path)
    with pytest.raises(DamagedRun, match=f"weights-.*{message}"):
        run(journalled(tmp_path), generations=4)


def test_a_pickle_in_place_of_weights_runs_no_code(tmp_path):
    class Bomb:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "exploded"),)

    run(journalled(tmp_path), generations=3)
    (path,) = tmp_path.glob("weights-*.pt")
    torch.save({"t": Bomb()}, path)
    with pytest.raises(DamagedRun, match="holds no weights of this run: Weights only load failed"):
        run(journalled(tmp_path), generations=4)
    assert not (tmp_path / "exploded").exists()


def test_two_processes_cannot_write_one_folder(tmp_path):
    toy = journalled(tmp_path)
    code = "Journal(sys.argv[1], problem='toy', settings=ToySettings())"
    done = child(code, tmp_path)
    assert done.returncode == 1
    assert "Another process is writing" in done.stderr
    toy.journal.close()
    assert child(code, tmp_path).returncode == 0


def test_two_writers_in_one_process_do_not_mix(tmp_path):
    one, other = journalled(tmp_path), journalled(tmp_path)
    run(one)
    with pytest.raises(DamagedRun, match="changed by someone else"):
        run(other)


FULL = """
import resource, signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # a write past the limit fails as on a full disk
resource.setrlimit(resource.RLIMIT_FSIZE, (12000, 12000))
toy = Toy()
toy.session.journal = Journal(sys.argv[1], problem="toy", settings=toy.settings)
minimize(toy, toy.algorithm(), ("n_gen", 40), seed=1)
"""


def test_a_full_disk_loses_nothing_that_was_recorded(tmp_path):
    pytest.importorskip("resource")
    done = child(FULL, tmp_path / "full")
    assert done.returncode == 1 and "OSError" in done.stderr
    recorded = read_run(tmp_path / "full")[1]
    assert recorded, "some calls fitted"
    assert (tmp_path / "full" / "journal.jsonl").read_bytes().endswith(b"\n")
    run(journalled(tmp_path / "full"), generations=40)
    run(journalled(tmp_path / "straight"), generations=40)
    assert same_journal(tmp_path / "full", tmp_path / "straight")


def test_a_file_in_the_place_of_the_folder_is_an_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match="is a file; expected a folder"):
        journalled(tmp_path / "file")


def test_a_folder_without_a_run_cannot_be_read(tmp_path):
    with pytest.raises(ValueError, match="holds no run"):
        read_run(tmp_path)


def test_times_are_kept_apart(tmp_path):
    run(journalled(tmp_path))
    times = [json.loads(line) for line in (tmp_path / "times.jsonl").read_text().splitlines()]
    assert [t["call"] for t in times] == list(range(len(times)))
    assert all(t["seconds"] >= 0 for t in times)
    assert "seconds" not in (tmp_path / "journal.jsonl").read_text()


def test_a_run_begun_with_other_versions_warns(tmp_path):
    run(journalled(tmp_path))
    path = tmp_path / "run.json"
    head = json.loads(path.read_text())
    head["versions"]["torch"] = "1.0"
    path.write_text(json.dumps(head))
    with pytest.warns(UserWarning, match=r"other circumstances .torch 1\.0 ->"):
        run(journalled(tmp_path))


def test_a_run_that_goes_on_with_other_threads_warns(tmp_path):
    run(journalled(tmp_path))
    with pytest.warns(UserWarning, match="where cpu, 1 threads -> cpu, 3 threads"):
        run(journalled(tmp_path, threads=3))


def test_a_folder_that_was_refused_is_free_again(tmp_path):
    run(journalled(tmp_path))
    with pytest.raises(RunMismatch) as refused:
        journalled(tmp_path, population=12)
    code = "Journal(sys.argv[1], problem='toy', settings=ToySettings())"
    assert child(code, tmp_path).returncode == 0, refused


def test_an_interrupt_while_writing_leaves_whole_lines(tmp_path, monkeypatch):
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
    again = run(toy)
    assert np.array_equal(again.pop.get("F"), run(Toy()).pop.get("F"))


def test_a_torn_line_of_times_is_cut_off(tmp_path):
    run(journalled(tmp_path), generations=2)
    with open(tmp_path / "times.jsonl", "a") as file:
        file.write('{"call": 9, "ki')
    run(journalled(tmp_path), generations=3)
    for line in (tmp_path / "times.jsonl").read_text().splitlines():
        json.loads(line)


def test_inputs_of_other_content_are_refused(tmp_path):
    toy = Toy()
    Journal(tmp_path, problem="toy", settings=toy.settings, inputs={"table": "1"}).begin(1, "x")
    with pytest.raises(RunMismatch, match="inputs"):
        Journal(tmp_path, problem="toy", settings=toy.settings, inputs={"table": "2"})


def test_a_direct_score_after_a_run_uses_its_last_weights(tmp_path):
    toy = journalled(tmp_path)
    result = run(toy)
    X, F = result.pop.get("X"), result.pop.get("F")
    assert np.array_equal(toy.evaluate(X), F)
    fresh = journalled(tmp_path)
    assert np.array_equal(fresh.evaluate(X), F)  # no run in this process at all
    replayed = journalled(tmp_path)
    run(replayed)
    assert np.array_equal(replayed.evaluate(X), F)


def test_a_direct_score_during_a_replay_is_refused(tmp_path):
    run(journalled(tmp_path))
    toy = journalled(tmp_path)

    def callback(algorithm):
        toy.evaluate(algorithm.pop.get("X"))

    with pytest.raises(ValueError, match="being replayed"):
        run(toy, callback=callback)
