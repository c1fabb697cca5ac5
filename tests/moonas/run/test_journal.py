import json
import os
import shutil
import signal
import subprocess
import sys
import tracemalloc
from contextlib import contextmanager
from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from searches import run
from toy import Toy, ToySettings, journalled

from moonas import algorithm, registry
from moonas.files.image_folders import image_folder
from moonas.files.tensors import fingerprint, read_tensors
from moonas.run.journal import (
    DamagedRun,
    Journal,
    RunMismatch,
    check_run,
    read_run,
    read_times,
    recorded_images,
)
from moonas.run.records import encode_record
from moonas.settings import RunSettings, setting


def record_a_call(folder, problem="other", settings=None, **more):
    """Record one call of a run in a folder, and close the journal."""
    journal = Journal(folder, problem=problem, settings=settings or RunSettings(), **more)
    journal.begin(1, "algorithm")
    journal.call("score", {}, dict)
    journal.close()


def test_a_journal_keeps_no_results_in_memory(tmp_path):
    def run_calls(journal):
        journal.begin(1, "algorithm")
        return [
            float(journal.call("score", {"x": x}, lambda: {"error": rng.random(2000)})["error"][0])
            for x in range(50)
        ]

    rng = np.random.default_rng(0)
    journal = Journal(tmp_path, problem="other", settings=RunSettings())
    tracemalloc.start()
    computed = run_calls(journal)
    kept, _ = tracemalloc.get_traced_memory()
    replayed = run_calls(journal)  # a second run reads them again
    kept_after_replay, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert replayed == computed and len(set(computed)) == 50
    assert journal.n_calls == 50 and not journal.replaying
    assert max(kept, kept_after_replay) < 50 * 2000 * 8 / 4  # the results take 50 * 2000 * 8 bytes


def open_in_another_process(folder):
    """Open a journal in a new Python process, which imports neither torch nor pymoo."""
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


def test_a_record_contains_the_kind_of_the_call_and_the_columns(tmp_path):
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


def test_the_saved_weights_equal_the_weights_after_the_last_training_call(tmp_path):
    toy = journalled(tmp_path)
    run(toy)
    (path,) = tmp_path.glob("weights-*.pt")
    _, state = read_tensors(path)
    assert state["t"] == toy.evaluator.t
    training_record = [r for r in read_run(tmp_path)[1] if "weights" in r][-1]
    assert training_record["weights"] == fingerprint(state)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (dict(seed=2), "contains a run with seed=1, but this run has seed=2"),
        (dict(population=12), "population=8, but this run has population=12"),
        (dict(generations=30), "generations=20, but this run has generations=30"),
        (dict(objectives=("params", "error")), "objectives"),
    ],
)
def test_a_run_with_other_options_in_the_folder_raises_an_error_that_names_the_option(
    tmp_path, change, message
):
    run(journalled(tmp_path))
    seed = change.pop("seed", 1)
    with pytest.raises(RunMismatch, match=message):
        run(journalled(tmp_path, **change), seed=seed)


def remove_setting(folder, name):
    """Remove a setting from run.json, as if the setting had been added to moonas after the run."""
    path = folder / "run.json"
    head = json.loads(path.read_text())
    del head["settings"][name]
    path.write_text(json.dumps(head))


# the objectives are a tuple in the settings and a list in run.json
@pytest.mark.parametrize("name", ["train_on_offspring", "objectives"])
def test_the_recorded_value_of_a_setting_missing_from_run_json_is_the_default(tmp_path, name):
    run(journalled(tmp_path))
    remove_setting(tmp_path, name)
    check_run(tmp_path, "toy", ToySettings(), 1)
    toy = journalled(tmp_path)
    run(toy)
    assert toy.evaluator.calls == []


def test_a_setting_missing_from_run_json_must_have_its_default_to_resume_the_run(tmp_path):
    run(journalled(tmp_path, population=12))
    remove_setting(tmp_path, "population")
    message = "population=8, but this run has population=12"
    with pytest.raises(RunMismatch, match=message):
        journalled(tmp_path, population=12)
    with pytest.raises(RunMismatch, match=message):
        check_run(tmp_path, "toy", ToySettings(population=12), 1)


def test_resuming_with_a_different_algorithm_raises_an_error(tmp_path):
    run(journalled(tmp_path))
    toy = journalled(tmp_path)
    with pytest.raises(RunMismatch, match="algorithm='NSGA3.*this run has algorithm='NSGA2"):
        run(toy, algorithm=algorithm("nsga2", toy))


def test_a_changed_option_of_the_algorithm_raises_an_error_at_the_first_different_call(tmp_path):
    from moonas.operators import ResetGenes

    toy = journalled(tmp_path)
    run(toy, algorithm=algorithm("nsga2", toy))
    toy = journalled(tmp_path)
    other = algorithm("nsga2", toy, mutation=ResetGenes(n_genes=4))
    with pytest.raises(RunMismatch, match="Call 2 .* 'x' of a 'score before' call differs"):
        run(toy, algorithm=other)


def test_resuming_with_a_different_problem_raises_an_error(tmp_path):
    run(journalled(tmp_path))
    with pytest.raises(RunMismatch, match="problem='toy', but this run has problem='cars'"):
        Journal(tmp_path, problem="cars", settings=ToySettings())


def test_a_run_can_be_resumed_with_a_different_number_of_workers(tmp_path):
    run(journalled(tmp_path, workers=1))
    run(journalled(tmp_path, workers=2))


def test_a_complete_run_can_be_continued_for_more_generations(tmp_path):
    run(journalled(tmp_path / "a"), generations=3)
    extended = run(journalled(tmp_path / "a"), generations=6)
    uninterrupted = run(journalled(tmp_path / "b"), generations=6)
    assert np.array_equal(extended.pop.get("F"), uninterrupted.pop.get("F"))
    assert journals_are_equal(tmp_path / "a", tmp_path / "b")


def journals_are_equal(a, b):
    return (a / "journal.jsonl").read_bytes() == (b / "journal.jsonl").read_bytes()


def test_a_run_with_a_journal_but_without_a_seed_raises_an_error(tmp_path):
    with pytest.raises(ValueError, match=r"requires a seed.*seed=1"):
        run(journalled(tmp_path), seed=None)


def test_the_call_of_an_incomplete_last_line_is_computed_again(tmp_path):
    run(journalled(tmp_path / "complete"))
    run(journalled(tmp_path / "truncated"))
    path = tmp_path / "truncated" / "journal.jsonl"
    os.truncate(path, path.stat().st_size - 30)
    run(journalled(tmp_path / "truncated"))
    assert journals_are_equal(tmp_path / "truncated", tmp_path / "complete")


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


def test_a_missing_line_in_the_journal_raises_an_error_that_names_the_line(tmp_path):
    run(journalled(tmp_path))
    path = tmp_path / "journal.jsonl"
    lines = path.read_text().splitlines()
    path.write_text("\n".join(lines[:2] + lines[3:]) + "\n")
    with pytest.raises(DamagedRun, match="line 3"):
        journalled(tmp_path)


@pytest.mark.parametrize("text", ["", "{", "[1]", '{"format": 1}'])
def test_a_damaged_run_json_raises_an_error_that_names_the_file(tmp_path, text):
    run(journalled(tmp_path))
    (tmp_path / "run.json").write_text(text)
    with pytest.raises(DamagedRun, match=r"run\.json is damaged"):
        journalled(tmp_path)


def test_a_run_folder_without_run_json_raises_an_error(tmp_path):
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


def test_a_weights_file_with_a_malicious_pickle_is_rejected_without_executing_code(tmp_path):
    class Exploit:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "executed"),)

    run(journalled(tmp_path), generations=3)
    (path,) = tmp_path.glob("weights-*.pt")
    torch.save({"t": Exploit()}, path)
    with pytest.raises(DamagedRun, match="not contain weights of this run: it is another file"):
        run(journalled(tmp_path), generations=4)
    assert not (tmp_path / "executed").exists()


def test_a_second_process_that_opens_a_run_folder_raises_an_error(tmp_path):
    toy = journalled(tmp_path)
    process = open_in_another_process(tmp_path)
    assert process.returncode == 1
    assert "Another process is writing" in process.stderr
    toy.journal.close()
    assert open_in_another_process(tmp_path).returncode == 0


def test_a_second_writer_in_the_same_process_raises_an_error(tmp_path):
    first, second = journalled(tmp_path), journalled(tmp_path)
    run(first)
    with pytest.raises(DamagedRun, match="modified by another writer"):
        run(second)


@contextmanager
def file_size_limit(size):
    """Limit the size of files in bytes; larger writes raise ``OSError``, as on a full disk."""
    resource = pytest.importorskip("resource")
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, handler)


def test_recorded_calls_are_kept_when_the_disk_is_full(tmp_path):
    toy = journalled(tmp_path / "full")
    with file_size_limit(12000), pytest.raises(OSError, match="File too large"):
        run(toy, generations=20)
    toy.journal.close()
    data = (tmp_path / "full" / "journal.jsonl").read_bytes()
    assert 6000 < len(data) <= 12000 and data.endswith(b"\n")
    run(journalled(tmp_path / "full"), generations=20)
    run(journalled(tmp_path / "uninterrupted"), generations=20)
    assert journals_are_equal(tmp_path / "full", tmp_path / "uninterrupted")


def test_a_file_at_the_path_of_the_run_folder_raises_an_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match="is a file; expected a folder"):
        journalled(tmp_path / "file")


def test_reading_a_folder_without_a_run_raises_an_error(tmp_path):
    with pytest.raises(ValueError, match="contains no run: run.json is missing"):
        read_run(tmp_path)


def test_the_times_of_calls_are_recorded_in_times_jsonl_and_not_in_the_journal(tmp_path):
    run(journalled(tmp_path))
    times = [json.loads(line) for line in (tmp_path / "times.jsonl").read_text().splitlines()]
    assert [t["call"] for t in times] == list(range(len(times)))
    assert all(t["seconds"] >= 0 for t in times)
    assert "seconds" not in (tmp_path / "journal.jsonl").read_text()


def test_resuming_with_different_package_versions_issues_a_warning(tmp_path):
    run(journalled(tmp_path))
    path = tmp_path / "run.json"
    head = json.loads(path.read_text())
    head["versions"]["torch"] = "1.0"
    path.write_text(json.dumps(head))
    with pytest.warns(UserWarning, match=r"different conditions .torch 1\.0 ->"):
        run(journalled(tmp_path))


def test_resuming_with_a_different_number_of_threads_issues_a_warning(tmp_path):
    run(journalled(tmp_path))
    with pytest.warns(UserWarning, match="environment cpu, 1 threads -> cpu, 3 threads"):
        run(journalled(tmp_path, threads=3))


def test_the_lock_is_released_if_opening_the_journal_raises_an_error(tmp_path):
    record_a_call(tmp_path)
    with pytest.raises(RunMismatch) as mismatch:  # the traceback keeps the journal alive
        journalled(tmp_path, population=12)
    assert open_in_another_process(tmp_path).returncode == 0, mismatch


def test_a_run_can_be_resumed_after_an_interrupt_during_a_journal_write(tmp_path, monkeypatch):
    toy = journalled(tmp_path)

    def raise_interrupt(_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        real, calls = os.fsync, []
        patched.setattr(
            os,
            "fsync",
            lambda f: calls.append(f) or (real if len(calls) < 5 else raise_interrupt)(f),
        )
        with pytest.raises(KeyboardInterrupt):
            run(toy)
    resumed = run(toy)
    assert np.array_equal(resumed.pop.get("F"), run(Toy()).pop.get("F"))


def test_an_incomplete_last_line_of_times_jsonl_is_removed(tmp_path):
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
    record = {"call": 7, "x": [4, 5], "result": {"error": [6.0]}}
    with open(tmp_path / "unfinished.jsonl", "ab") as file:
        file.write(encode_record(record))
    assert journal.partial_results() == {(1, 2): {"error": np.array([3.0])}}


def test_a_changed_checksum_of_an_input_file_raises_an_error(tmp_path):
    toy = Toy()
    record_a_call(tmp_path, "toy", toy.settings, inputs={"table": "1"})
    with pytest.raises(RunMismatch, match="inputs"):
        Journal(tmp_path, problem="toy", settings=toy.settings, inputs={"table": "2"})


def test_an_evaluation_after_a_run_uses_the_final_weights_of_the_run(tmp_path):
    toy = journalled(tmp_path)
    result = run(toy)
    X, F = result.pop.get("X"), result.pop.get("F")
    assert np.array_equal(toy.evaluate(X), F)
    fresh = journalled(tmp_path)
    assert np.array_equal(fresh.evaluate(X), F)  # no run has begun on this problem object
    replayed = journalled(tmp_path)
    run(replayed)
    assert np.array_equal(replayed.evaluate(X), F)


def test_an_evaluation_outside_the_algorithm_raises_an_error_during_a_replay(tmp_path):
    run(journalled(tmp_path))
    toy = journalled(tmp_path)

    def callback(algorithm):
        toy.evaluate(algorithm.pop.get("X"))

    with pytest.raises(ValueError, match="being replayed"):
        run(toy, callback=callback)


@dataclass(frozen=True, kw_only=True)
class LaterSettings(ToySettings):
    """Settings of a later version, which adds a setting whose default changes results."""

    order: str = setting("new", "order of the toy", formerly="old")


class LaterToy(Toy):
    settings_class = LaterSettings


def later_toy(folder, monkeypatch, **options):
    """Load the toy of the later version with ``load_problem``."""
    module = SimpleNamespace(build=LaterToy)
    monkeypatch.setattr(registry, "stage_module", lambda name: module)
    monkeypatch.setattr(registry, "settings_class", lambda name: LaterSettings)
    return registry.load_stage("toy", journal=folder, **options)


def test_a_run_that_lacks_a_later_setting_is_resumed_with_the_former_value(tmp_path, monkeypatch):
    run(journalled(tmp_path))
    toy = later_toy(tmp_path, monkeypatch)
    assert toy.settings.order == "old"
    run(toy)
    assert toy.evaluator.calls == []


def test_a_new_run_uses_the_default_of_a_later_setting(tmp_path, monkeypatch):
    toy = later_toy(tmp_path, monkeypatch)
    assert toy.settings.order == "new"
    run(toy)
    toy = later_toy(tmp_path, monkeypatch)
    assert toy.settings.order == "new"
    toy.journal.close()


def test_an_old_run_and_a_chosen_value_of_a_later_setting_do_not_match(tmp_path, monkeypatch):
    run(journalled(tmp_path))
    with pytest.raises(RunMismatch, match="order='old', but this run has order='new'"):
        later_toy(tmp_path, monkeypatch, order="new")


class Counter:
    """A state that each training call increments, as weights that training changes."""

    def __init__(self):
        self.t = 0

    def train(self):
        self.t += 1
        return {"t": self.t}

    def state(self):
        return {"t": torch.tensor(self.t)}

    def load_state(self, state):
        self.t = int(state["t"])


def count(folder, saved, n_calls=6, evaluate=()):
    """Train a counter in n_calls recorded calls; ``saved`` are the calls that save its state."""
    counter = Counter()
    journal = Journal(folder, problem="counter", settings=RunSettings())
    try:
        journal.begin(1, "counting")
        dropped, results = journal.n_dropped, []
        for i in range(n_calls):
            results.append(
                journal.call("train", {"i": i}, counter.train, counter, lambda i=i: i in saved)["t"]
            )
            if i in evaluate:
                journal.call("score", {"i": i}, lambda: {"t": counter.t}, counter)
        return results, dropped
    finally:
        journal.close()


def test_calls_whose_weights_were_not_saved_are_dropped_and_computed_again(tmp_path):
    complete, _ = count(tmp_path / "a", saved=(2, 5))
    assert complete == [1, 2, 3, 4, 5, 6]
    assert count(tmp_path / "b", saved=(2, 5), n_calls=5) == ([1, 2, 3, 4, 5], 0)
    assert [p.name for p in (tmp_path / "b").glob("weights-*.pt")] == ["weights-000002.pt"]
    # calls 3 and 4 came after the last saved weights
    assert count(tmp_path / "b", saved=(2, 5)) == (complete, 2)
    journals = [(tmp_path / name / "journal.jsonl").read_bytes() for name in "ab"]
    assert journals[0] == journals[1]
    assert count(tmp_path / "b", saved=(2, 5)) == (complete, 0)  # a replay


def test_without_any_saved_weights_all_training_calls_are_computed_again(tmp_path):
    count(tmp_path, saved=(), n_calls=3)
    assert count(tmp_path, saved=(5,)) == ([1, 2, 3, 4, 5, 6], 3)


def test_an_evaluation_of_saved_weights_is_kept_and_a_later_one_is_dropped(tmp_path):
    count(tmp_path, saved=(1,), n_calls=3, evaluate=(1, 2))
    kinds = [record["kind"] for record in read_run(tmp_path)[1]]
    assert kinds == ["train", "train", "score", "train", "score"]
    _, dropped = count(tmp_path, saved=(1,), n_calls=2, evaluate=(1,))
    assert dropped == 2 and len(read_run(tmp_path)[1]) == 3


def test_a_journal_knows_the_size_of_its_last_checkpoint(tmp_path):
    counter = Counter()
    journal = Journal(tmp_path, problem="counter", settings=RunSettings())
    journal.begin(1, "counting")
    assert journal.checkpoint is None
    journal.call("train", {}, counter.train, counter, saves=True)
    (path,) = tmp_path.glob("weights-*.pt")
    assert journal.checkpoint.size == path.stat().st_size and journal.checkpoint.seconds > 0
    journal.close()


def write_images(folder, shade, n):
    """Write n gray images of 8x8 pixels into a folder, which is created."""
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(n):
        Image.fromarray(np.full((8, 8, 3), shade + i, np.uint8)).save(folder / f"{i}.png")


@pytest.fixture
def pets(tmp_path):
    """A folder with images of two classes."""
    for name, shade in (("cat", 40), ("dog", 200)):
        write_images(tmp_path / "pets" / name, shade, 6)
    return tmp_path / "pets"


def resume_with(folder, images):
    """Open the journal of a run in a folder with other images."""
    settings = ToySettings(data=str(images))
    return Journal(folder, problem="toy", settings=settings, images=image_folder(images))


def test_a_run_goes_on_with_the_same_images_in_another_folder(pets, tmp_path):
    run_folder = tmp_path / "run"
    settings = ToySettings(data=str(pets))
    record_a_call(run_folder, "toy", settings, images=image_folder(pets))
    moved = pets.rename(tmp_path / "moved")
    for path in moved.rglob("*.png"):
        os.utime(path, (0, 0))  # a copy has other times
    settings = ToySettings(data=str(moved))
    check_run(run_folder, "toy", settings, 1, image_folder(moved))
    journal = resume_with(run_folder, moved)
    assert journal.n_calls == 1
    # what starts from this run finds the images
    assert read_run(run_folder)[0]["settings"]["data"] == str(moved)
    assert recorded_images(read_run(run_folder)[0]).path == str(moved)


def rename_class(pets):
    (pets / "cat").rename(pets / "zcat")


def remove_class(pets):
    shutil.rmtree(pets / "dog")


def change_pixels(pets):
    write_images(pets / "dog", 100, 6)


CHANGES = {
    rename_class: "'cat' is now named 'zcat'",
    remove_class: r"'dog' \(6 images\) is missing",
    change_pixels: "files in 'dog' changed",
    lambda pets: write_images(pets / "dog", 200, 9): "'dog' contains 9 images instead of 6",
    lambda pets: write_images(pets / "owl", 90, 1): r"'owl' \(1 image\) is new",
    lambda pets: (pets / "labels.csv").write_text("image,cat\n"): "'labels.csv' is new",
}


@pytest.mark.parametrize("change", CHANGES, ids=CHANGES.values())
@pytest.mark.parametrize("moved", [False, True])
def test_a_run_does_not_go_on_with_other_images(pets, tmp_path, change, moved):
    settings = ToySettings(data=str(pets))
    record_a_call(tmp_path / "run", "toy", settings, images=image_folder(pets))
    recorded = (tmp_path / "run" / "run.json").read_bytes()
    images = shutil.copytree(pets, tmp_path / "copy") if moved else pets
    change(images)
    message = CHANGES[change]
    with pytest.raises(RunMismatch, match=message):
        resume_with(tmp_path / "run", images)
    with pytest.raises(RunMismatch, match=message):
        settings = ToySettings(data=str(images))
        check_run(tmp_path / "run", "toy", settings, 1, image_folder(images))
    assert (tmp_path / "run" / "run.json").read_bytes() == recorded


def test_a_run_of_an_earlier_version_records_its_images_when_it_goes_on(pets, tmp_path):
    record_a_call(tmp_path / "run", "toy", ToySettings(data=str(pets)))
    resume_with(tmp_path / "run", pets).close()
    change_pixels(pets)
    with pytest.raises(RunMismatch, match="files in 'dog' changed"):
        resume_with(tmp_path / "run", pets)


def test_a_run_without_results_is_replaced(tmp_path):
    journal = Journal(tmp_path / "run", problem="other", settings=RunSettings())
    journal.begin(1, "algorithm")
    killed = shutil.copytree(tmp_path / "run", tmp_path / "killed")
    journal.close()
    assert not (tmp_path / "run").exists()
    assert sorted(path.name for path in killed.iterdir()) == ["lock", "run.json"]
    check_run(killed, "toy", ToySettings(), 2)
    run(journalled(killed), seed=2, generations=1)
    assert read_run(killed)[0]["seed"] == 2
    with pytest.raises(RunMismatch, match="problem='toy', but this run has problem='other'"):
        Journal(killed, problem="other", settings=RunSettings())


def test_partial_results_are_not_replaced(tmp_path):
    journal = Journal(tmp_path, problem="toy", settings=ToySettings())
    journal.begin(1, "algorithm")
    journal.save_partial([1, 2], {"error": np.array([3.0])})
    journal.close()
    with pytest.raises(RunMismatch, match="problem='toy', but this run has problem='other'"):
        Journal(tmp_path, problem="other", settings=RunSettings())


def test_a_run_is_not_written_into_a_folder_of_other_files(tmp_path):
    (tmp_path / "thesis.tex").write_text("important")
    message = "contains files that do not belong to a run, such as 'thesis.tex'"
    with pytest.raises(ValueError, match=message):
        Journal(tmp_path, problem="toy", settings=ToySettings())
    with pytest.raises(ValueError, match=message):
        check_run(tmp_path, "toy", ToySettings(), 1)
    with pytest.raises(ValueError, match="thesis.tex/run is a file; expected a folder"):
        Journal(tmp_path / "thesis.tex" / "run", problem="toy", settings=ToySettings())
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


@pytest.mark.parametrize(
    "change",
    [
        dict(versions=None),
        dict(settings=[]),
        dict(seed="1"),
        dict(problem=3),
        dict(images={"path": 3, "content": {}}),
        dict(images={"path": "x", "content": {"cat": 3}}),
    ],
)
def test_a_run_json_with_a_value_of_another_type_is_damaged(tmp_path, change):
    run(journalled(tmp_path), generations=1)
    path = tmp_path / "run.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(DamagedRun, match="run.json is damaged: it is not a run.json that moonas"):
        journalled(tmp_path)


def test_the_kind_of_a_call_in_times_jsonl_is_text(tmp_path):
    run(journalled(tmp_path), generations=1)
    path = tmp_path / "times.jsonl"
    first, *rest = path.read_text().splitlines()
    path.write_text("\n".join([json.dumps(json.loads(first) | {"kind": [1]}), *rest]) + "\n")
    with pytest.raises(DamagedRun, match="times.jsonl is damaged: expected text as kind, got .1."):
        read_times(tmp_path)


def test_long_values_are_shortened_in_messages(tmp_path):
    run(journalled(tmp_path), generations=1)
    path = tmp_path / "run.json"
    head = json.loads(path.read_text())
    head["settings"]["population"] = "8" * 100_000
    path.write_text(json.dumps(head))
    with pytest.raises(RunMismatch, match="population='888.*[.]{3}, but this run") as error:
        journalled(tmp_path)
    assert len(str(error.value)) < 500 + len(str(tmp_path))


def test_a_run_folder_among_the_images_is_not_part_of_them(pets):
    content = image_folder(pets).content
    record_a_call(pets / "run", "toy", ToySettings(data=str(pets)), images=image_folder(pets))
    write_images(pets / "run", 0, 1)
    assert image_folder(pets).content == content
    resume_with(pets / "run", pets)
