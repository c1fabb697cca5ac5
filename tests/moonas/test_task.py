"""Tasks run from Python give the same bits as on the command line."""

import filelock
import numpy as np
import pytest
from callbacks import On
from searches import TINY, words

import moonas
from moonas.cli import main
from moonas.run.folders import last_run
from moonas.run.journal import RunMismatch, read_run
from moonas.task import plan_search, plan_training

EG_DARTS = {
    "eg-darts-cells": TINY["eg-darts-cells"]
    | dict(epochs=1, weight_epochs=0, candidates=(12,), layers=(3,), skip_dropout=(0.0,), batch=25),
    "eg-darts": TINY["eg-darts"] | dict(population=4, generations=1, final_epochs=1, batch=25),
}
FILES = ("journal.jsonl", "front.csv", "cells.json", "run.json")


class Stop(Exception):
    """Interrupts a run."""


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def small(tiny, few_digits):
    """Options of a CARS search on few images."""
    return tiny | dict(data=str(few_digits), batch=50, population=4, generations=2)


@pytest.fixture
def table(elsewhere):
    """Options of a search in a table, which takes a second."""
    return {"population": 8, "generations": 3}


def files_of(folder):
    """Path -> bytes of the files of a run that must be reproducible."""
    paths = (path for path in folder.rglob("*") if path.name in FILES)
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


def test_a_search_from_python_equals_that_of_the_command_line(elsewhere, small, capsys):
    assert main(["search", "cars", "--out", "shell", "--seed", "3", "--set", *words(small)]) == 0
    capsys.readouterr()
    found = moonas.search("cars", out=elsewhere / "python", seed=3, **small)
    assert capsys.readouterr().out == ""
    assert set(files_of(found.folder)) == {"run.json", "journal.jsonl", "front.csv"}
    assert files_of(elsewhere / "shell") == files_of(elsewhere / "python")
    assert found.rows and found.rows[found.picked].objectives["error"] <= 100
    assert found.problem.settings.population == small["population"]
    assert [one.name for one in found.stages] == ["cars"] and found.stages[0].computed
    again = moonas.search("cars", out="shell", **small)  # uses the seed of the run
    assert not again.stages[0].computed
    assert [row.x.tolist() for row in again.rows] == [row.x.tolist() for row in found.rows]


def test_two_stages_from_python_equal_those_of_the_command_line(elsewhere, few_digits, capsys):
    line = ["search", "eg-darts", "--out", "shell", "--data", str(few_digits), "--set"]
    for stage, own in EG_DARTS.items():
        line += words(own, stage)
    assert main(line) == 0
    log = []
    found = moonas.search(
        "eg-darts",
        out="python",
        stages=EG_DARTS,
        callbacks=[On(on_log=log.append)],
        data=str(few_digits),
    )
    shell, python = (files_of(elsewhere / name) for name in ("shell", "python"))
    assert len(shell) == 6 and shell == python
    cells, networks = found.stages
    assert (cells.name, networks.name) == ("eg-darts-cells", "eg-darts")
    assert networks.folder == found.folder and (found.folder / "front.csv").exists()
    printed = capsys.readouterr().out
    assert (
        log[0].startswith(f"Preparing on {few_digits}, seed 1")
        and f"{networks.lines[-1]}\n" in printed
    )
    assert [line for line in (*cells.lines, *networks.lines) if line not in log] == []
    settings = read_run(cells.folder)[0]["settings"]
    alone = moonas.search("eg-darts", out="python", stage="eg-darts-cells", **settings)
    assert (alone.rows, alone.picked, alone.problem) == ((), None, None)
    assert alone.folder == cells.folder and not alone.stages[0].computed


def test_an_interrupted_search_resumes_with_the_same_bits(elsewhere, small):
    def stop(algorithm):
        if algorithm.n_gen == 1:
            raise Stop

    whole = moonas.search("cars", out="whole", **small)
    with pytest.raises(Stop):
        moonas.search("cars", out="stopped", callbacks=[On(on_generation=stop)], **small)
    begun = len(read_run(elsewhere / "stopped")[1])
    assert 0 < begun < len(read_run(whole.folder)[1])
    log = []
    moonas.search("cars", out="stopped", callbacks=[On(on_log=log.append)], **small)
    assert f"{begun} calls recorded" in log[0]
    assert files_of(elsewhere / "stopped") == files_of(elsewhere / "whole")


def test_callbacks_are_called_during_a_search_and_removed_afterwards(table):
    generations, scores = [], []
    callback = On(on_generation=lambda a: generations.append(a.n_gen))
    callback.on_scores = lambda candidates, columns: scores.append(len(columns["error"]))
    found = moonas.search("digits-table", callbacks=[callback], **table)
    assert generations == [1, 2, 3] and sum(scores) == 24
    assert found.problem.callbacks == []


def test_the_default_folder_equals_that_of_the_command_line(elsewhere, table):
    found = moonas.search("digits-table", seed=np.int64(0), **table)
    assert str(found.folder) == "runs/digits-table-digits-seed0"
    assert last_run(found.folder)[1] == "digits-table"


def test_verbose_prints_a_line_for_each_generation(table, capsys):
    moonas.search("digits-table", verbose=True, **table)
    assert "hypervolume" in capsys.readouterr().out


def test_an_algorithm_is_a_name_or_a_function_of_the_problem(elsewhere, table):
    named = moonas.search("digits-table", out="a", algorithm="nsga2", **table)
    made = moonas.search(
        "digits-table",
        out="b",
        algorithm=lambda problem: moonas.algorithm("nsga2", problem),
        **table,
    )
    assert files_of(named.folder) == files_of(made.folder)
    assert "NSGA2" in read_run(made.folder)[0]["algorithm"]


@pytest.mark.parametrize(
    ("task", "options", "message"),
    [
        ("carz", {}, r"Unknown task 'carz'; choose from \['cars'"),
        ("cars", dict(epoch=1), "Unknown setting 'epoch'; choose from"),
        ("cars", dict(population=0), "population=0 is invalid"),
        ("cars", dict(preset="big"), "Unknown preset 'big'"),
        ("cars", dict(seed=-1), "seed=-1 is invalid: expected a whole number, 0 or more"),
        ("cars", dict(seed=1.5), "seed=1.5 is invalid"),
        ("cars", dict(algorithm="nsga9"), "Unknown algorithm 'nsga9'"),
        ("cars", dict(algorithm=3), "expected a name, or a function .* got 3"),
        ("cars", dict(algorithm=lambda problem: None), "expected a name, or a function"),
        ("cars", dict(stages={"carz": {}}), r"Unknown stage 'carz' in stages; choose from \['cars"),
        ("cars", dict(stages={"cars": {"epoch": 1}}), "Unknown setting 'epoch'"),
        ("cars", dict(callbacks=On()), "expected a list of RunCallback"),
        ("cars", dict(callbacks=[print]), "expected a list of RunCallback"),
        ("eg-darts", dict(stage="x"), "Unknown stage 'x' of eg-darts"),
        (
            "eg-darts",
            dict(from_run="x"),
            "from_run='x' is invalid: eg-darts starts from the stage before it",
        ),
        (
            "eg-darts",
            dict(stage="eg-darts-cells", algorithm="nsga2"),
            "algorithm='nsga2' is invalid: eg-darts-cells does not use an algorithm",
        ),
        ("eg-darts", dict(stage="eg-darts-cells", mutation=0.1), "Unknown setting 'mutation'"),
    ],
)
def test_invalid_options_raise_before_any_work(elsewhere, task, options, message):
    with pytest.raises(ValueError, match=message):
        moonas.search(task, **options)
    assert not (elsewhere / "runs").exists()


def test_a_folder_of_another_search_raises_before_any_work(elsewhere, table):
    moonas.search("digits-table", out="run", **table)
    with pytest.raises(RunMismatch, match="population=8, but this run has population=10"):
        moonas.search("digits-table", out="run", **table | {"population": 10})


def test_options_of_one_stage_override_those_of_all_stages(elsewhere):
    plan = plan_search("eg-darts", batch=20, stages={"eg-darts-cells": {"batch": 10}}, out="run")
    assert [planned.name for planned in plan] == ["eg-darts-cells", "eg-darts"]
    assert plan[0].stage.settings.batch == 10
    assert plan_search("eg-darts", batch=20, out="all")[0].stage.settings.batch == 20


def test_a_plan_does_not_lock_its_folder(elsewhere, table):
    (planned,) = plan_search("digits-table", out="run", **table)
    with filelock.FileLock("run/lock", timeout=0, is_singleton=False):  # as another process would
        pass
    (other,) = plan_search("digits-table", out="run", **table)
    assert planned.run().computed and not other.run().computed
    with filelock.FileLock("run/lock", timeout=0, is_singleton=False):
        pass


def test_a_training_from_python_equals_that_of_the_command_line(elsewhere, small, device):
    run = moonas.search("cars", **small).folder
    options = dict(epochs=2, batch=50, device=device)
    assert main(["train", str(run), "--pick", "knee", "0", "--set", *words(options)]) == 0
    log, picks = [], ["knee", 0]
    trained = moonas.train(run, pick=picks, out="net", callbacks=[On(on_log=log.append)], **options)
    assert [str(one.folder) for one in trained] == ["net-knee", "net-0"]
    for one, name in zip(trained, ("training-knee", "training-0"), strict=True):
        shell, python = files_of(run / name), files_of(one.folder)
        assert shell == python and len(shell) == 2
        assert 0 <= one.scores["error"] <= 100
        assert moonas.load_model(one.folder).classes and set(one.lines) <= set(log)
    (again,) = moonas.train(run, pick="0", out="net-0", **options)
    assert not again.computed and again.scores == trained[1].scores


def test_a_published_architecture_is_trained_without_a_run(elsewhere, few_digits, device):
    options = dict(data=few_digits, channels=2, layers=3, epochs=1, batch=50, device=device)
    (trained,) = moonas.train(architecture="CARS_A", seed=0, **options)
    assert str(trained.folder) == "runs/CARS_A-digits-seed0"
    assert read_run(trained.folder)[0]["seed"] == 0 and "error" in trained.scores


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "a run folder or the name of a published architecture .* got neither"),
        (dict(run="x", architecture="CARS_A"), "got both"),
        (dict(run="x"), "x"),
        (dict(architecture="CARS_Z"), "Unknown architecture 'CARS_Z'"),
        (dict(architecture="CARS_A", pick=0), "pick=0 is invalid with architecture='CARS_A'"),
        (
            dict(architecture="EAGAN_G"),
            "architecture='EAGAN_G' is invalid: expected the name of a classifier",
        ),
        (dict(architecture="CARS_A", epoch=1), "Unknown setting 'epoch'"),
        (dict(architecture="CARS_A", preset="big"), "Unknown preset 'big'"),
        (dict(architecture="CARS_A", seed=True), "seed=True is invalid"),
    ],
)
def test_invalid_arguments_of_a_training_raise_before_any_work(elsewhere, options, message):
    with pytest.raises(ValueError, match=message):
        moonas.train(**options)
    assert list(elsewhere.iterdir()) == []


def test_trainings_of_a_run_are_checked_before_any_work(elsewhere, table):
    run = moonas.search("digits-table", **table).folder
    with pytest.raises(ValueError, match="Unknown setting 'epoch'"):
        plan_training(run, epoch=1)
    with pytest.raises(ValueError, match="tallest"):
        plan_training(run, pick=["knee", "tallest"])
    plan = plan_training(run, pick=["knee", "0", "knee"], seed=4)
    assert [(p.folder.name, p.seed) for p in plan] == [("training-knee", 4), ("training-0", 4)]
