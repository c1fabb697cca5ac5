"""Searches and trainings from Python equal those on the command line bit by bit."""

import filelock
import numpy as np
import pytest
from callbacks import CallbackOf
from searches import TINY, words

import moonas
from moonas.cli import main
from moonas.planning import plan_search, plan_training
from moonas.run.folders import last_run
from moonas.run.journal import RunMismatch, read_run

EG_DARTS = {
    "eg-darts-cells": TINY["eg-darts-cells"]
    | dict(epochs=1, weight_epochs=0, candidates=(12,), layers=(3,), skip_dropout=(0.0,), batch=50),
    "eg-darts": TINY["eg-darts"] | dict(population=4, generations=1, final_epochs=1, batch=50),
}
REPRODUCIBLE_FILES = ("journal.jsonl", "front.csv", "cells.json", "run.json")


class Stop(Exception):
    """Interrupts a run."""


@pytest.fixture
def work_folder(tmp_path, monkeypatch):
    """Empty current directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def cars_options(tiny, few_digits):
    """Options of a fast CARS search on few images."""
    return tiny | dict(data=str(few_digits), batch=50, population=4, generations=2)


@pytest.fixture
def table_options(work_folder):
    """Options of a search of digits-table_options, which takes a second."""
    return {"population": 8, "generations": 3}


def files_of(folder):
    """Return path -> content of the files of a run that must be equal in a repeated run."""
    paths = (path for path in folder.rglob("*") if path.name in REPRODUCIBLE_FILES)
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


def test_a_search_from_python_equals_a_search_on_the_command_line(
    work_folder, cars_options, capsys
):
    assert (
        main(["search", "cars", "--out", "shell", "--seed", "3", "--set", *words(cars_options)])
        == 0
    )
    capsys.readouterr()
    result = moonas.search("cars", out=work_folder / "python", seed=3, **cars_options)
    assert capsys.readouterr().out == ""
    assert set(files_of(result.folder)) == {"run.json", "journal.jsonl", "front.csv"}
    assert files_of(work_folder / "shell") == files_of(work_folder / "python")
    assert result.rows and result.rows[result.picked].objectives["error"] <= 100
    assert result.problem.settings.population == cars_options["population"]
    assert [stage.name for stage in result.stages] == ["cars"] and result.stages[0].computed
    again = moonas.search("cars", out="shell", **cars_options)  # uses the seed of the run
    assert not again.stages[0].computed
    assert [row.x.tolist() for row in again.rows] == [row.x.tolist() for row in result.rows]


@pytest.mark.slow
def test_two_stages_from_python_equal_two_stages_on_the_command_line(
    work_folder, few_digits, capsys
):
    line = ["search", "eg-darts", "--out", "shell", "--data", str(few_digits), "--set"]
    for stage, options in EG_DARTS.items():
        line += words(options, stage)
    assert main(line) == 0
    log = []
    result = moonas.search(
        "eg-darts",
        out="python",
        stages=EG_DARTS,
        callbacks=[CallbackOf(on_log=log.append)],
        data=str(few_digits),
    )
    shell, python = (files_of(work_folder / name) for name in ("shell", "python"))
    # run.json and journal.jsonl of three stages, cells.json and front.csv
    assert len(shell) == 8 and shell.keys() == python.keys()
    front = "eg-darts/front.csv"  # the training adds a measured latency and its duration to a row
    assert all(shell[path] == python[path] for path in shell if path != front)
    cells, networks, training = result.stages
    assert (cells.name, networks.name, training.name) == ("eg-darts-cells", *2 * ["eg-darts"])
    assert networks.folder == result.folder and (result.folder / "front.csv").exists()
    assert training.folder == result.folder.parent / "training" and "error" in training.scores
    printed = capsys.readouterr().out
    assert (
        log[0].startswith(f"Preparing on {few_digits}, seed 1")
        and f"Test error {training.scores['error']:.2f} %" in printed
    )
    assert [line for line in (*cells.lines, *training.lines) if line not in log] == []
    settings = read_run(cells.folder)[0]["settings"]
    alone = moonas.search("eg-darts", out="python", stage="eg-darts-cells", **settings)
    assert (alone.rows, alone.picked, alone.problem) == ((), None, None)
    assert alone.folder == cells.folder and not alone.stages[0].computed


def test_a_resumed_search_equals_an_uninterrupted_search(work_folder, cars_options):
    def stop(algorithm):
        if algorithm.n_gen == 1:
            raise Stop

    uninterrupted = moonas.search("cars", out="uninterrupted", **cars_options)
    with pytest.raises(Stop):
        moonas.search(
            "cars", out="stopped", callbacks=[CallbackOf(on_generation=stop)], **cars_options
        )
    n_recorded = len(read_run(work_folder / "stopped")[1])
    assert 0 < n_recorded < len(read_run(uninterrupted.folder)[1])
    log = []
    moonas.search("cars", out="stopped", callbacks=[CallbackOf(on_log=log.append)], **cars_options)
    assert f"{n_recorded} calls recorded" in log[0]
    assert files_of(work_folder / "stopped") == files_of(work_folder / "uninterrupted")


def test_callbacks_are_called_during_a_search_and_removed_afterwards(table_options):
    generations, scores = [], []
    callback = CallbackOf(on_generation=lambda a: generations.append(a.n_gen))
    callback.on_scores = lambda candidates, columns: scores.append(len(columns["error"]))
    result = moonas.search("digits-table", callbacks=[callback], **table_options)
    assert generations == [1, 2, 3] and sum(scores) == 24
    assert result.problem.callbacks == []


def test_the_default_run_folder_contains_task_data_and_seed(work_folder, table_options):
    result = moonas.search("digits-table", seed=np.int64(0), **table_options)
    assert str(result.folder) == "runs/digits-table-digits-seed0"
    assert last_run(result.folder)[1] == "digits-table"


def test_verbose_prints_a_line_for_each_generation(table_options, capsys):
    moonas.search("digits-table", verbose=True, **table_options)
    assert "hypervolume" in capsys.readouterr().out


def test_an_algorithm_is_a_name_or_a_function_of_the_problem(work_folder, table_options):
    named = moonas.search("digits-table", out="a", algorithm="nsga2", **table_options)
    created = moonas.search(
        "digits-table",
        out="b",
        algorithm=lambda problem: moonas.algorithm("nsga2", problem),
        **table_options,
    )
    assert files_of(named.folder) == files_of(created.folder)
    assert "NSGA2" in read_run(created.folder)[0]["algorithm"]


@pytest.mark.parametrize(
    ("task", "options", "message"),
    [
        ("carz", {}, r"Unknown task 'carz'; choose from \['cars'"),
        ("cars", dict(epoch=1), "Unknown setting 'epoch'; did you mean 'epochs'[?] Choose from"),
        ("cars", dict(population=0), "population=0 is invalid"),
        ("cars", dict(preset="big"), "Unknown preset 'big'"),
        ("cars", dict(seed=-1), "seed=-1 is invalid: expected a whole number, 0 or more"),
        ("cars", dict(seed=1.5), "seed=1.5 is invalid"),
        ("cars", dict(algorithm="nsga9"), "Unknown algorithm 'nsga9'"),
        ("cars", dict(algorithm=3), "expected a name, or a function .* got 3"),
        ("cars", dict(algorithm=lambda problem: None), "expected a name, or a function"),
        ("cars", dict(stages={"carz": {}}), r"Unknown stage 'carz' in stages; choose from \['cars"),
        ("cars", dict(stages={"cars": {"epoch": 1}}), "Unknown setting 'epoch'"),
        ("cars", dict(callbacks=CallbackOf()), "expected a list of RunCallback"),
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
def test_invalid_options_of_a_search_raise_an_error_before_any_work(
    work_folder, task, options, message
):
    with pytest.raises(ValueError, match=message):
        moonas.search(task, **options)
    assert not (work_folder / "runs").exists()


def test_the_folder_of_a_different_search_is_rejected_before_any_work(work_folder, table_options):
    moonas.search("digits-table", out="run", **table_options)
    with pytest.raises(RunMismatch, match="population=8, but this run has population=10"):
        moonas.search("digits-table", out="run", **table_options | {"population": 10})


def test_options_for_one_stage_override_options_for_all_stages(work_folder):
    plan = plan_search("eg-darts", batch=20, stages={"eg-darts-cells": {"batch": 10}}, out="run")
    recorded = [planned.recorded_as for planned in plan]
    assert recorded == ["eg-darts-cells", "eg-darts", "eg-darts training"]
    assert plan[0].stage.settings.batch == 10
    assert plan_search("eg-darts", batch=20, out="all")[0].stage.settings.batch == 20


def test_a_plan_does_not_lock_its_folder(work_folder, table_options):
    (planned,) = plan_search("digits-table", out="run", **table_options)
    with filelock.FileLock(
        "run/lock", timeout=0, is_singleton=False
    ):  # another process can lock the folder
        pass
    (other,) = plan_search("digits-table", out="run", **table_options)
    assert planned.run().computed and not other.run().computed
    with filelock.FileLock("run/lock", timeout=0, is_singleton=False):
        pass


@pytest.mark.slow
def test_a_training_from_python_equals_a_training_on_the_command_line(
    work_folder, cars_options, device
):
    run = moonas.search("cars", **cars_options).folder
    options = dict(epochs=2, batch=50, device=device)
    assert main(["train", str(run), "--pick", "knee", "0", "--set", *words(options)]) == 0
    log, picks = [], ["knee", 0]
    trained = moonas.train(
        run, pick=picks, out="net", callbacks=[CallbackOf(on_log=log.append)], **options
    )
    assert [str(training.folder) for training in trained] == ["net-knee", "net-0"]
    for training, name in zip(trained, ("training-knee", "training-0"), strict=True):
        shell, python = files_of(run / name), files_of(training.folder)
        assert shell == python and len(shell) == 2
        assert 0 <= training.scores["error"] <= 100
        assert moonas.load_model(training.folder).classes and set(training.lines) <= set(log)
    (again,) = moonas.train(run, pick="0", out="net-0", **options)
    assert not again.computed and again.scores == trained[1].scores


def test_a_published_architecture_is_trained_without_a_run(work_folder, few_digits, device):
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
def test_invalid_arguments_of_a_training_raise_an_error_before_any_work(
    work_folder, options, message
):
    with pytest.raises(ValueError, match=message):
        moonas.train(**options)
    assert list(work_folder.iterdir()) == []


def test_plan_training_checks_the_arguments_of_all_trainings(work_folder, table_options):
    run = moonas.search("digits-table", **table_options).folder
    with pytest.raises(ValueError, match="Unknown setting 'epoch'"):
        plan_training(run, epoch=1)
    with pytest.raises(ValueError, match="tallest"):
        plan_training(run, pick=["knee", "tallest"])
    plan = plan_training(run, pick=["knee", "0", "knee"], seed=4)
    assert [(p.folder.name, p.seed) for p in plan] == [("training-knee", 4), ("training-0", 4)]
    for pick, name in ((None, "training-knee"), ("knee", "training-knee"), (0, "training-0")):
        assert [p.folder.name for p in plan_training(run, pick=pick)] == [name]
        assert [p.folder.name for p in plan_training(run, pick=pick, out="net")] == ["net"]


def test_a_training_in_the_folder_of_earlier_versions_is_resumed(work_folder, table_options):
    run = moonas.search("digits-table", **table_options).folder
    options = dict(epochs=1, device="cpu")
    (trained,) = moonas.train(run, pick="knee", out=run / "training", **options)
    (again,) = moonas.train(run, **options)
    assert again.folder == run / "training" and not again.computed
    assert moonas.load_model(run).classes == moonas.load_model(trained.folder).classes
    assert plan_training(run, pick="0", **options)[0].folder == run / "training-0"
