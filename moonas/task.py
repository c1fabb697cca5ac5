"""Run whole tasks: search for a front of architectures, and train architectures from scratch.

    import moonas

    found = moonas.search("cars", seed=2, generations=20)  # the same as ``moonas search cars``
    print(found.rows[found.picked].architecture)
    (trained,) = moonas.train(found.folder, pick="knee")  # the same as ``moonas train RUN``
    print(trained.folder, trained.scores)

Both functions first plan the stages (:mod:`moonas.planning`), which checks everything that can be
checked before any work, and then run them in order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .planning import (
    DEFAULT_SEED,
    PlannedStage,
    StageResult,
    load_training,
    make_algorithm,
    pipeline,
    plan_search,
    plan_training,
    stage_names,
    stages_with,
    trained_problem,
)
from .run.callbacks import Callbacks, RunCallback
from .run.stage import Stage, TrainingStage

if TYPE_CHECKING:
    from pymoo.core.algorithm import Algorithm

    from .pareto import Row
    from .problem import ArchitectureProblem

__all__ = [
    "DEFAULT_SEED",
    "PlannedStage",
    "StageResult",
    "TaskResult",
    "load_training",
    "make_algorithm",
    "pipeline",
    "plan_search",
    "plan_training",
    "search",
    "stage_names",
    "stages_with",
    "train",
    "trained_problem",
]


@dataclass(frozen=True)
class TaskResult:
    """Result of :func:`search`.

    Args:
        rows: feasible, unique, non-dominated rows of the last search; empty if no search ran.
        picked: index of the row that the problem picks, or None.
        folder: run folder of the last search, which contains ``front.csv``.
        problem: problem of the last search; None if no search ran.
        stages: one :class:`StageResult` per stage, in order.
    """

    rows: tuple[Row, ...]
    picked: int | None
    folder: Path
    problem: ArchitectureProblem | None
    stages: tuple[StageResult, ...]


def search(
    task: str,
    *,
    out: str | Path | None = None,
    seed: int | None = None,
    algorithm: str | Callable[[ArchitectureProblem], Algorithm] | None = None,
    stage: str | None = None,
    preset: str | None = None,
    callbacks: Sequence[RunCallback] = (),
    stages: Mapping[str, Mapping[str, Any]] | None = None,
    verbose: bool = False,
    **options: Any,
) -> TaskResult:
    """Search for a Pareto front of architectures by running all stages of a task.

    A call with the same arguments resumes a search that was interrupted, or returns the result of a
    search that is complete. The run folder is the same as that of ``moonas search TASK``, so either
    can resume a run of the other::

        found = moonas.search("eg-darts", seed=3, stages={"eg-darts-cells": {"epochs": 20}})
        for row in found.rows:
            print(row.objectives, row.architecture)

    Args:
        task: name of the task; ``moonas list`` shows all tasks.
        out: run folder; by default, ``runs/TASK-DATA-seedN``. If the task has several stages, it
            contains one folder per stage.
        seed: random seed, 0 or more; by default, the seed of the run in ``out``, else 1.
        algorithm: name of an algorithm (see :func:`moonas.algorithm`), or a function that takes the
            problem and returns a new pymoo algorithm, and that can be called repeatedly; by
            default, the algorithm of the paper.
        stage: name of a stage to run alone.
        preset: name of a preset, such as "paper"; other options override it.
        callbacks: :class:`~moonas.run.callbacks.RunCallback` objects that are called during the
            stages.
        stages: name of a stage -> options of this stage only.
        verbose: whether to print one line per generation.
        options: fields of the Settings (``moonas search TASK --help``), for every stage that has
            them.

    Returns:
        A :class:`TaskResult`; its folder contains ``front.csv`` and ``front.png``.

    Raises:
        ValueError: a name, an option or a value is invalid, which is checked before any work; or
            the run folder holds another run, is damaged, or is in use by another process.
        SearchFailed: every candidate of a population failed.
    """
    _check_callbacks(callbacks)
    plan = plan_search(
        task,
        out=out,
        seed=seed,
        algorithm=algorithm,
        stage=stage,
        preset=preset,
        stages=stages,
        **options,
    )
    results = _run(plan, callbacks, verbose)
    searches = [result for result in results if not isinstance(result.stage, TrainingStage)]
    if not searches:
        return TaskResult((), None, results[-1].folder, None, tuple(results))
    last = searches[-1]
    found, problem = last.result, last.stage
    assert not isinstance(problem, Stage)
    return TaskResult(tuple(found.rows), found.picked, last.folder, problem, tuple(results))


def train(
    run: str | Path | None = None,
    *,
    architecture: str | None = None,
    pick: str | int | Iterable[str | int] | None = None,
    out: str | Path | None = None,
    seed: int | None = None,
    preset: str | None = None,
    callbacks: Sequence[RunCallback] = (),
    **options: Any,
) -> list[StageResult]:
    """Train architectures from scratch and evaluate them on the test set.

    The architectures are rows of a search's front, or a published architecture. A call with the
    same arguments resumes a training that was interrupted, or returns the result of a training that
    is complete::

        for trained in moonas.train("runs/cars-digits-seed1", pick=["knee", "smallest"], epochs=60):
            print(trained.folder, trained.scores["error"])
        moonas.train(architecture="CARS_A", data="cifar10", root="data", preset="paper")

    Args:
        run: run folder of a search, or of its last stage.
        architecture: name of a published architecture (see :func:`moonas.zoo`), instead of ``run``.
        pick: one or several rows of the front: "knee", "best-error", "smallest", or indices from 0;
            by default, the knee.
        out: folder of the training; by default, RUN/training, or ``runs/NAME-DATA-seedN`` for a
            published architecture. With several rows, there is one folder per row, OUT-ROW.
        seed: random seed, 0 or more; by default, the seed of the training in the folder, else 1.
        preset: name of a preset, such as "paper"; other options override it.
        callbacks: :class:`~moonas.run.callbacks.RunCallback` objects that are called during the
            training.
        options: fields of the training's Settings (``moonas train RUN --help``). Fields that the
            search has as well default to the values of the search.

    Returns:
        One :class:`StageResult` per row; its ``folder`` contains ``model.pt``, and its ``scores``
        are those on the test set.

    Raises:
        ValueError: a name, an option or a value is invalid, which is checked before any work; or
            the search is not complete; or a folder holds another training, is damaged, or is in use
            by another process.
        SearchFailed: no step of an epoch had a finite loss.
    """
    _check_callbacks(callbacks)
    plan = plan_training(
        run, architecture=architecture, pick=pick, out=out, seed=seed, preset=preset, **options
    )
    return _run(plan, callbacks, verbose=False)


def _run(
    plan: Sequence[PlannedStage], callbacks: Sequence[RunCallback], verbose: bool
) -> list[StageResult]:
    results = []
    for planned in plan:
        result = planned.run(callbacks=callbacks, verbose=verbose)
        for line in result.lines:
            Callbacks(callbacks).on_log(line)
        results.append(result)
    return results


def _check_callbacks(callbacks: Sequence[RunCallback]) -> None:
    if isinstance(callbacks, RunCallback) or not all(isinstance(c, RunCallback) for c in callbacks):
        raise ValueError(
            f"callbacks is invalid: expected a list of RunCallback; got {callbacks!r}."
        )
