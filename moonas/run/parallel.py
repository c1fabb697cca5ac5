"""Parallel evaluation with joblib: in local processes, or on a Dask or Ray cluster.

    with joblib.parallel_config(backend="loky", n_jobs=4):
        minimize(problem, ...)

Each worker process creates an evaluator, and loads the shared weights whenever they have changed.
Threads share the evaluator of the problem. The score of a candidate does not depend on the other
candidates, nor on the distribution of the candidates over the workers.
"""

from __future__ import annotations

import gc
import math
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import BrokenExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Union

import joblib
import numpy as np

from ..errors import UnreadableImages, memory_error, reason
from .candidates import Candidates

if TYPE_CHECKING:
    from ..problem import ArchitectureProblem, Evaluator
    from .callbacks import Progress
    from .journal import Journal
    from .loop_checkpoints import CheckpointFolder

FAILURE_KEY = "failure"  # key of the reason in the partial result of a failed candidate

# State of a worker: problem, hash of the problem, seed, and fingerprint of the loaded weights.
_worker = threading.local()


@dataclass(frozen=True)
class Failure:
    """Why a candidate could not be evaluated.

    Args:
        reason: type and message of the exception, and where it was raised, on one line.
        error: the exception; None if it was raised in another process.
        lacked_memory: whether the memory of this machine was exhausted.
    """

    reason: str
    error: BaseException | None = field(default=None, compare=False)
    lacked_memory: bool = False

    def __reduce__(self) -> tuple[Any, ...]:
        # not every exception can be sent to another process
        return Failure, (self.reason, None, self.lacked_memory)


OnFailure = Callable[[int, Failure], None]
Outcome = Union[dict[str, np.ndarray], Failure]  # noqa: UP007 (evaluated at run time)


def score(
    problem: ArchitectureProblem,
    candidates: Candidates,
    *,
    seed: int,
    journal: Journal | None = None,
    on_progress: Progress,
    on_failure: OnFailure | None = None,
) -> dict[str, np.ndarray]:
    """Evaluate candidates, in parallel if joblib or the settings configure several workers.

    If the evaluator scores candidates independently, each candidate is a task. On a CPU these tasks
    run in ``settings.workers`` processes by default; a joblib configuration takes precedence, and a
    joblib worker starts no further processes. The journal stores the result of each candidate until
    all candidates have been evaluated, so an interrupted evaluation can be resumed.

    If the evaluator does not score candidates independently, the candidates are split into one part
    per joblib worker.

    If the evaluation of a candidate raises an exception, or if its process dies, it is evaluated
    once more, alone. If that fails as well, the candidate gets the worst scores. If the memory of
    this machine does not suffice for any of several candidates, an exception ends the run before
    anything is recorded: other programs may occupy the memory, and the run can be resumed when
    they have ended.

    Args:
        problem: problem whose evaluator is used.
        candidates: n candidates.
        seed: seed of the run, which workers pass to ``begin`` of their evaluators.
        journal: journal that stores partial results; None outside a run.
        on_progress: function that is called with (phase, number of evaluated candidates, n,
            "candidates").
        on_failure: function that is called with (index of a candidate, its :class:`Failure`); by
            default, exceptions are raised.

    Returns:
        Name -> (n,) values of each column; ``failed`` is true for candidates that failed.

    Raises:
        MemoryError: there are at least two candidates, and the memory of this machine suffices for
            none of them.
    """
    evaluator = problem.evaluator
    jobs = joblib.effective_n_jobs(joblib.Parallel().n_jobs)
    nested = joblib.parallel.get_active_backend()[0].nesting_level
    on_cpu = str(evaluator.device).startswith("cpu")
    if jobs == 1 and not nested and evaluator.independent and on_cpu:
        jobs = problem.settings.workers
    jobs = min(jobs, len(candidates))
    folder = None if journal is None else journal.checkpoint_folder
    work = _Work(problem, seed, jobs, catches=on_failure is not None, checkpoint_folder=folder)
    if evaluator.independent:
        outcomes = _score_each(work, candidates, journal, on_progress)
    else:
        outcomes = _score_together(work, candidates)
    first = outcomes[0] if outcomes else None
    if len(outcomes) > 1 and isinstance(first, Failure) and all(map(_lacked_memory, outcomes)):
        raise MemoryError(first.reason) from first.error
    for i, outcome in enumerate(outcomes):
        if isinstance(outcome, Failure):
            assert on_failure is not None
            on_failure(i, outcome)
    return _concatenate([_columns_of(problem, outcome) for outcome in outcomes])


@dataclass(frozen=True)
class _Work:
    """How candidates are evaluated.

    Args:
        problem: problem whose evaluator is used.
        seed: seed of the run.
        jobs: number of workers; 1 for an evaluation in this process.
        catches: whether exceptions of an evaluator become a :class:`Failure`.
        checkpoint_folder: folder for the trainings of candidates; None outside a run.
    """

    problem: ArchitectureProblem
    seed: int
    jobs: int
    catches: bool
    checkpoint_folder: CheckpointFolder | None

    def outcomes(self, parts: list[Candidates]) -> Iterator[Outcome]:
        """Yield the outcome of each part, in order."""
        if self.jobs == 1:
            for part in parts:
                yield self.outcome_here(part)
            return
        while parts:
            n = 0
            try:
                for outcome in _distribute(self, parts):
                    n += 1
                    yield outcome
                return
            except BrokenExecutor:  # a worker died while it evaluated one of the next parts
                if not self.catches:
                    raise
                suspects, parts = parts[n : n + 2 * self.jobs], parts[n + 2 * self.jobs :]
                for part in suspects:
                    yield self.outcome_alone(part)

    def outcome_here(self, part: Candidates) -> Outcome:
        """Evaluate a part in this process."""
        return _score_here(self.problem.evaluator, part, self.catches, self.checkpoint_folder)

    def outcome_alone(self, part: Candidates, failure: Failure | None = None) -> Outcome:
        """Evaluate a part while no other part is evaluated.

        Args:
            part: candidates to evaluate.
            failure: how the first evaluation failed; None if its process died.
        """
        if failure is None or "memory" in failure.reason.lower():
            _free_memory()  # this can take a second, so not for every failure
        if self.jobs == 1:
            return self.outcome_here(part)
        try:
            (outcome,) = _distribute(self, [part])
            return outcome
        except BrokenExecutor:
            return Failure(
                "The process that evaluated it died; this happens if memory is exhausted."
            )


def _score_here(
    evaluator: Evaluator,
    part: Candidates,
    catches: bool,
    checkpoint_folder: CheckpointFolder | None,
) -> Outcome:
    if hasattr(evaluator, "checkpoint_folder"):
        evaluator.checkpoint_folder = checkpoint_folder
    try:
        return evaluator.score(part)
    except UnreadableImages:  # no fault of the candidate
        raise
    except Exception as error:
        if not catches:
            raise
        text = f"{type(error).__name__}: {reason(error)}{_location(error)}"
        return Failure(text, error, memory_error(error) is not None)


def _lacked_memory(outcome: Outcome) -> bool:
    return isinstance(outcome, Failure) and outcome.lacked_memory


def _location(error: Exception) -> str:
    """Return the file and the line where an exception was raised, in parentheses."""
    frames = traceback.extract_tb(error.__traceback__)
    return f" ({Path(frames[-1].filename).name}, line {frames[-1].lineno})" if frames else ""


def _free_memory() -> None:
    """Free memory that a failed evaluation may still occupy."""
    gc.collect()
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        torch.cuda.empty_cache()


def _columns_of(problem: ArchitectureProblem, outcome: Outcome) -> dict[str, np.ndarray]:
    """Return the columns of an outcome; those of a failed candidate are the worst ones."""
    if not isinstance(outcome, Failure):
        return outcome
    columns = {
        column.name: np.array([math.nan if column.bounds is None else column.bounds[1]])
        for column in problem.columns
        if column.worst is None and not column.measured
    }
    columns |= {c.name: np.array([c.worst]) for c in problem.columns if c.worst is not None}
    return columns | {"failed": np.array([True])}


def _concatenate(parts: Sequence[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """Concatenate columns; values that a part lacks are NaN."""
    complete = [part for part in parts if "failed" not in part]
    if len(complete) == len(parts):
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    names = complete[0] if complete else parts[0]
    lengths = [len(next(iter(part.values()))) for part in parts]
    columns = {
        name: np.concatenate(
            [part.get(name, np.full(n, math.nan)) for part, n in zip(parts, lengths, strict=True)]
        )
        for name in names
    }
    failed = [part.get("failed", np.zeros(n, bool)) for part, n in zip(parts, lengths, strict=True)]
    return columns | {"failed": np.concatenate(failed)}


def _score_together(work: _Work, candidates: Candidates) -> list[Outcome]:
    """Evaluate all candidates in one call for each worker; if one of these fails, one by one."""
    parts = [candidates[i] for i in np.array_split(np.arange(len(candidates)), work.jobs)]
    outcomes: list[Outcome] = []
    for part, outcome in zip(parts, work.outcomes(parts), strict=True):
        if isinstance(outcome, Failure):
            outcomes += [work.outcome_alone(part[i : i + 1], outcome) for i in range(len(part))]
        else:
            outcomes.append(outcome)
    return outcomes


def _score_each(
    work: _Work,
    candidates: Candidates,
    journal: Journal | None,
    on_progress: Progress,
) -> list[Outcome]:
    """Evaluate one candidate per task; partial results of an interrupted call are reused."""
    partial = {} if journal is None else journal.partial_results()
    rows = [work.problem.genes.to_json(x) for x in candidates.X]
    known = {i: partial[tuple(row)] for i, row in enumerate(rows) if tuple(row) in partial}
    results = {i: _decode_outcome(result) for i, result in known.items()}
    missing = [i for i in range(len(rows)) if i not in results]
    evaluator, total = work.problem.evaluator, len(candidates)

    def add(i: int, outcome: Outcome) -> None:
        results[i] = outcome
        # a candidate that lacked memory is evaluated again if the run is interrupted
        if journal is not None and not _lacked_memory(outcome):
            journal.save_partial(rows[i], _encode_outcome(outcome))
        on_progress(evaluator.phase, len(results), total, "candidates")

    on_progress(evaluator.phase, len(results), total, "candidates")
    failed: dict[int, Failure] = {}
    outcomes = work.outcomes([candidates[i : i + 1] for i in missing])
    for i, outcome in zip(missing, outcomes, strict=True):
        if isinstance(outcome, Failure):
            failed[i] = outcome
        else:
            add(i, outcome)
    for i, failure in failed.items():
        add(i, work.outcome_alone(candidates[i : i + 1], failure))
    return [results[i] for i in range(total)]


def _encode_outcome(outcome: Outcome) -> dict[str, Any]:
    return {FAILURE_KEY: outcome.reason} if isinstance(outcome, Failure) else outcome


def _decode_outcome(result: dict[str, Any]) -> Outcome:
    return Failure(result[FAILURE_KEY]) if FAILURE_KEY in result else result


def _distribute(work: _Work, parts: list[Candidates]) -> Iterator[Outcome]:
    """Evaluate parts on several workers, and yield the outcome of each part in order."""
    problem = work.problem
    state: dict[str, Any] | None = None
    weights_hash = None
    if problem.evaluator.trains:
        from ..files.tensors import fingerprint

        state = {name: t.detach().cpu() for name, t in problem.evaluator.state().items()}
        weights_hash = fingerprint(state)
        # joblib memory-maps large arrays once for all worker processes
        state = {name: t.numpy() for name, t in state.items()}
    try:
        pool = joblib.Parallel(work.jobs, return_as="generator")
    except ValueError:  # the backend does not support generators
        pool = joblib.Parallel(work.jobs)
    problem_hash = joblib.hash(problem)
    results = pool(
        joblib.delayed(_score_part)(
            problem,
            problem_hash,
            work.seed,
            state,
            weights_hash,
            part,
            work.catches,
            work.checkpoint_folder,
        )
        for part in parts
    )
    return iter(results)


def _score_part(
    problem: ArchitectureProblem,
    problem_hash: str,
    seed: int,
    state: dict[str, Any] | None,
    weights_hash: str | None,
    part: Candidates,
    catches: bool,
    checkpoint_folder: CheckpointFolder | None,
) -> Outcome:
    evaluator = problem.evaluator if problem.session.has_evaluator else None
    if evaluator is None:  # the problem is a copy in another process
        evaluator = _worker_evaluator(problem, problem_hash, seed, state, weights_hash)
    return _score_here(evaluator, part, catches, checkpoint_folder)


def _worker_evaluator(
    problem: ArchitectureProblem,
    problem_hash: str,
    seed: int,
    state: dict[str, Any] | None,
    weights_hash: str | None,
) -> Evaluator:
    """Return the evaluator of this worker, and load the weights first if they have changed.

    Args:
        problem: copy of the problem.
        problem_hash: hash of the problem; if it changes, the worker creates a new evaluator.
        seed: seed of the run.
        state: name -> array of each shared weight; None if there are no shared weights.
        weights_hash: fingerprint of ``state``.
    """
    if getattr(_worker, "problem_hash", None) != problem_hash:
        _worker.problem, _worker.problem_hash, _worker.seed = problem, problem_hash, None
    evaluator: Evaluator = _worker.problem.evaluator
    if _worker.seed != seed:
        evaluator.begin(seed)
        _worker.seed, _worker.weights_hash = seed, None
    if _worker.weights_hash != weights_hash:
        import torch

        assert state is not None
        evaluator.load_state({name: torch.tensor(a) for name, a in state.items()})
        _worker.weights_hash = weights_hash
    return evaluator
