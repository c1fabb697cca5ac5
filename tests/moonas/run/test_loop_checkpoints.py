"""Tests of checkpoints within a call, for every kind of training loop."""

import errno

import cyclegans
import pytest
import searches
import torch
from moonas.problems.cyclegan_pruning.training import new_gan
from moonas.problems.eagan import final_training

import moonas
from moonas.run import loop_checkpoints
from moonas.run.journal import Journal
from moonas.run.loop_checkpoints import CheckpointFolder, LoopCheckpoints
from moonas.run.stage import TrainingStage
from moonas.training import from_scratch


class Counter:
    """A training whose state is a number."""

    def __init__(self, n=0):
        self.n = n

    def state(self):
        return {"n": torch.tensor(self.n)}

    def load_state(self, state):
        self.n = int(state["n"])


@pytest.fixture
def always(monkeypatch):
    monkeypatch.setattr(loop_checkpoints, "SECONDS_BETWEEN_CHECKPOINTS", 0.0)


def saved(folder, n=3, loop="first", identity=("train", 1)):
    folder.checkpoints(*identity).save_if_due(loop, Counter(n), lambda: {"i": torch.tensor(7)})


def test_a_checkpoint_restores_the_training_and_the_values_of_its_loop(tmp_path, always):
    folder = CheckpointFolder(tmp_path, "run")
    saved(folder)
    checkpoints, counter = folder.checkpoints("train", 1), Counter()
    assert checkpoints.restore("second", counter) == {} and counter.n == 0
    assert checkpoints.restore("first", counter) == {"i": torch.tensor(7)} and counter.n == 3
    assert checkpoints.restore("first", counter) == {}, "a loop that runs twice resumes once"


def test_a_finished_loop_keeps_its_report_in_the_checkpoints_of_the_next_one(tmp_path, always):
    folder = CheckpointFolder(tmp_path, "run")
    checkpoints = folder.checkpoints("train", 1)
    checkpoints.finish("first", {"loss": 0.5})
    checkpoints.save_if_due("second", Counter(4), dict)
    resumed = folder.checkpoints("train", 1)
    assert resumed.report("first") == {"loss": 0.5} and resumed.report("second") is None


@pytest.mark.parametrize("other", [("run", "train", 2), ("run", "score", 1), ("other", "train", 1)])
def test_the_checkpoint_of_another_training_is_not_used(tmp_path, always, other):
    saved(CheckpointFolder(tmp_path, "run"))
    run, *identity = other
    counter = Counter()
    assert CheckpointFolder(tmp_path, run).checkpoints(*identity).restore("first", counter) == {}
    assert counter.n == 0


def test_checkpoints_are_saved_once_the_interval_has_passed(tmp_path, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(loop_checkpoints.time, "monotonic", lambda: now[0])
    checkpoints = CheckpointFolder(tmp_path, "run").checkpoints("train", 1)
    n_saved = []
    for seconds in range(0, 1000, 100):  # every four minutes: after 300 s, 600 s and 900 s
        now[0] = float(seconds)
        before = list(tmp_path.glob("*"))
        checkpoints.save_if_due("first", Counter(seconds), dict)
        if not before and list(tmp_path.glob("*")):
            n_saved.append(seconds)
            [path.unlink() for path in tmp_path.glob("*")]
    assert n_saved == [300, 600, 900]


def test_a_damaged_checkpoint_is_ignored_with_a_warning(tmp_path, always):
    folder = CheckpointFolder(tmp_path, "run")
    saved(folder)
    (path,) = tmp_path.glob(loop_checkpoints.PATTERN)
    path.write_bytes(path.read_bytes()[:100])
    with pytest.warns(UserWarning, match="The training of this call starts again"):
        assert folder.checkpoints("train", 1).restore("first", Counter()) == {}


def test_a_checkpoint_that_cannot_be_written_does_not_end_the_training(
    tmp_path, always, monkeypatch
):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("moonas.files.tensors.write_tensors", full)
    with pytest.warns(UserWarning, match="was not written: .*No space left"):
        saved(CheckpointFolder(tmp_path, "run"))
    assert not list(tmp_path.iterdir())


class Interrupted(KeyboardInterrupt):
    """Raised in place of a signal that kills the process."""


@pytest.fixture
def interrupt(monkeypatch, always):
    """Return a function (n) -> list: from then on, the n-th checkpoint is saved and ends the run.

    The list has one item per checkpoint that could have been saved, the name of its loop.
    """
    save = LoopCheckpoints.save_if_due

    def after(n=None):
        loops = []

        def save_and_raise(self, loop, *args):
            loops.append(loop)
            if len(loops) == n:
                save(self, loop, *args)
                raise Interrupted

        monkeypatch.setattr(LoopCheckpoints, "save_if_due", save_and_raise)
        return loops

    return after


FEW = dict(batch=16, device="cpu")  # steps of 16 of 80 or 100 digits
CLASSES = FEW | dict(score_batch=20)
ONE_ROUND = dict(generations=2, population=4)
STAGES = {  # name -> settings, and the numbers of checkpoints after which the run is interrupted
    "cars": (CLASSES | ONE_ROUND | dict(warmup_epochs=2), (2, 7)),
    "nsganet": (CLASSES | dict(generations=1, population=2, proxy_epochs=2), (3, 13)),
    "eg-darts-cells": (CLASSES, (2, 10)),
    "eagan-generator": (FEW | ONE_ROUND, (3, 8)),
    "eagan-discriminator": (FEW | ONE_ROUND, (3, 13)),
    "cyclegan-pretraining": (dict(batch=100, flip=True, pool=5), (3,)),
}


SLOW = {"eg-darts-cells", "eagan-discriminator", "cyclegan-pretraining"}


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=pytest.mark.slow if name in SLOW else ()) for name in STAGES],
)
def test_a_training_resumes_within_a_call(name, tmp_path, interrupt, few_digits):
    options, numbers = STAGES[name]
    if name != "cyclegan-pretraining":
        options = options | dict(data=str(few_digits))

    def run(folder):
        stage = moonas.load_stage(name, journal=folder, **searches.TINY[name] | options)
        try:
            if isinstance(stage, TrainingStage):
                stage.run(seed=1)
            else:
                searches.run(stage, generations=options["generations"])
        finally:
            stage.journal.close()

    check_resumption(run, numbers, tmp_path, interrupt)


@pytest.mark.parametrize("given", ["nothing", "generators"])
def test_the_training_before_a_pruning_resumes_within_an_epoch(given, tmp_path, interrupt):
    options = cyclegans.PRUNING | dict(batch=4, flip=True, pretrain_epochs=3)
    options |= dict(data=cyclegans.write_domains(tmp_path / "noise"))
    if given == "generators":
        gan = new_gan(1, "cpu", width=2, blocks=1, d_width=2, d_layers=1)
        options |= dict(weights=cyclegans.write_released(tmp_path / "nets", gan, ["generators"]))

    def run(folder):
        problem = moonas.load_problem("cyclegan-pruning", journal=folder, **options)
        try:
            searches.run(problem, generations=1)
        finally:
            problem.journal.close()

    # an epoch has three steps, so a whole epoch precedes the second and the third interruption
    check_resumption(run, (2, 5, 6), tmp_path, interrupt)


@pytest.mark.parametrize("build", ["classifier", pytest.param("gan", marks=pytest.mark.slow)])
def test_a_full_training_resumes_within_an_epoch(build, tmp_path, interrupt, few_digits):
    common = dict(data=str(few_digits), image_size=8, batch=16, epochs=2, device="cpu")
    if build == "classifier":
        stage = from_scratch.build(
            architecture="CARS_A", channels=2, layers=3, drop_path=0.3, **common
        )
        numbers = (2, 8)
    else:
        stage = final_training.build(channels=2, d_channels=2, score_images=20, **common)
        numbers = (1, 3)

    def run(folder):
        journal = stage.session.journal = Journal(
            folder, problem=build, settings=stage.settings, inputs=stage.inputs
        )
        try:
            stage.run(seed=1)
        finally:
            journal.close()

    check_resumption(run, numbers, tmp_path, interrupt)


def check_resumption(run, numbers, tmp_path, interrupt):
    """Interrupt runs within a call; they resume without repeating a step, with equal results.

    Args:
        run: function (folder) that runs or resumes the run in a folder.
        numbers: numbers of checkpoints after which the run is interrupted.
        tmp_path: folder of the runs.
        interrupt: fixture.
    """
    loops = interrupt()
    run(tmp_path / "whole")
    assert max(numbers) < len(loops)
    for n in numbers:
        folder = tmp_path / str(n)
        interrupt(n)
        with pytest.raises(Interrupted):
            run(folder)
        assert len(list(folder.glob("unfinished-*.pt"))) == 1
        rest = interrupt()
        run(folder)
        assert rest == loops[n:], "no step is repeated, and none is left out"
        assert not list(folder.glob("unfinished-*.pt"))
        journals = (folder / "journal.jsonl", tmp_path / "whole" / "journal.jsonl")
        assert journals[0].read_bytes() == journals[1].read_bytes()
