"""Search for a front of architectures, and train architectures from scratch.

    import moonas

    result = moonas.search("cars", seed=2, generations=20)  # the same as ``moonas search cars``
    print(result.rows[result.picked].architecture)
    (trained,) = moonas.train(result.folder, pick="knee")  # the same as ``moonas train RUN``
    print(trained.folder, trained.scores)

Both functions first plan the stages (:mod:`moonas.planning`), which checks all arguments before
anything is trained, and then run the stages in order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .planning import PlannedStage, StageResult, plan_search, plan_training
from .run.callbacks import Callbacks, RunCallback
from .run.stage import TrainingStage

if TYPE_CHECKING:
    from pymoo.core.algorithm import Algorithm

    from .pareto import Row
    from .problem import ArchitectureProblem


@dataclass(frozen=True)
class TaskResult:
    """Result of :func:`search`.

    Args:
        rows: feasible, unique, non-dominated candidates of the last search; empty if no stage is a
            search.
        picked: index in ``rows`` of the row that the problem picks, or None.
        folder: run folder of the last search, which contains ``front.csv``.
        problem: problem of the last search; None if no stage is a search.
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

    If the same search was interrupted, a call resumes it; if it is complete, a call returns its
    result. ``moonas search TASK`` uses the same run folder, so this function can resume a run that
    was started on the command line, and vice versa::

        result = moonas.search("eg-darts", seed=3, stages={"eg-darts-cells": {"epochs": 20}})
        for row in result.rows:
            print(row.objectives, row.architecture)

    Args:
        task: name of the task; ``moonas list`` shows all tasks.
        out: run folder; by default, ``runs/TASK-DATA-seedN``. If the task has several stages,
            the folder contains one folder per stage.
        seed: random seed, 0 or more; by default, the seed of the run in ``out``, else 1.
        algorithm: name of an algorithm (see :func:`moonas.algorithm`), or a function that takes the
            problem and returns a new pymoo algorithm at each call; by default, the algorithm of the
            problem's paper.
        stage: name of a stage to run alone.
        preset: name of a preset, such as "paper"; other options override it.
        callbacks: :class:`~moonas.run.callbacks.RunCallback` objects that are called during the
            stages.
        stages: name of a stage -> options for this stage only.
        verbose: whether to print a line after each generation.
        options: fields of the Settings (``moonas search TASK --help``), for every stage whose
            Settings have them.

    Returns:
        A :class:`TaskResult`; its folder contains ``front.csv`` and ``front.png``.

    Raises:
        ValueError: a name, an option or a value is invalid, which is checked before anything is
            trained; or the run folder contains a different run, is damaged, or is in use by another
            process.
        SearchFailed: the evaluation of every candidate of a population failed.
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
    searches = [(r, r.stage) for r in results if not isinstance(r.stage, TrainingStage)]
    if not searches:
        return TaskResult((), None, results[-1].folder, None, tuple(results))
    last, problem = searches[-1]
    found = last.result
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

    The architectures are rows of a search's front, or one published architecture. If the same
    training was interrupted, a call resumes it; if it is complete, a call returns its result::

        for trained in moonas.train("runs/cars-digits-seed1", pick=["knee", "smallest"], epochs=60):
            print(trained.folder, trained.scores["error"])
        moonas.train(architecture="CARS_A", data="cifar10", root="data", preset="paper")

    Args:
        run: run folder of a search, or of its last stage.
        architecture: name of a published architecture (see :func:`moonas.zoo`), instead of ``run``.
        pick: one or several rows of the front: "knee", "best-error", "smallest", "spread:K",
            "tradeoff:K", "under:COLUMN=NUMBER" (see :func:`moonas.run.front_file.find_rows`), or
            indices from 0; by default, the knee.
        out: folder of the training; by default, RUN/training-PICK, or ``runs/NAME-DATA-seedN`` for
            a published architecture. If several rows are trained, each row has a folder OUT-PICK.
        seed: random seed, 0 or more; by default, the seed of the training in the folder, else 1.
        preset: name of a preset, such as "paper"; other options override it.
        callbacks: :class:`~moonas.run.callbacks.RunCallback` objects that are called during the
            training.
        options: fields of the training's Settings (``moonas train RUN --help``). Fields that the
            search's Settings also have default to the search's values.

    Returns:
        One :class:`StageResult` per architecture; its ``folder`` contains ``model.pt``, and its
        ``scores`` are the scores on the test set.

    Raises:
        ValueError: a name, an option or a value is invalid, which is checked before anything is
            trained; or the search is not complete; or a folder contains a different training, is
            damaged, or is in use by another process.
        SearchFailed: no training step of an epoch had a finite loss.
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
