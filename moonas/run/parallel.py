"""Parallel evaluation with joblib: in local processes, or on a Dask or Ray cluster.

    with joblib.parallel_config(backend="loky", n_jobs=4):
        minimize(problem, ...)

Each worker process creates an evaluator, and loads the shared weights whenever they have changed.
Threads share the evaluator of the problem. The score of a candidate does not depend on the other
candidates, nor on the distribution of the candidates over the workers.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import joblib
import numpy as np

from .candidates import Candidates

if TYPE_CHECKING:
    from ..problem import ArchitectureProblem, Evaluator
    from .callbacks import Progress
    from .journal import Journal

# State of a worker: problem, hash of the problem, seed, and fingerprint of the loaded weights.
_worker = threading.local()


def score(
    problem: ArchitectureProblem,
    candidates: Candidates,
    *,
    seed: int,
    journal: Journal | None = None,
    on_progress: Progress,
) -> dict[str, np.ndarray]:
    """Evaluate candidates, in parallel if joblib or the settings configure several workers.

    If the evaluator scores candidates independently, each candidate is a task. On a CPU these tasks
    run in ``settings.workers`` processes by default; a joblib configuration takes precedence, and a
    joblib worker starts no further processes. The journal stores the result of each candidate until
    all candidates have been evaluated, so an interrupted evaluation can be resumed.

    If the evaluator does not score candidates independently, the candidates are split into one part
    per joblib worker.

    Args:
        problem: problem whose evaluator is used.
        candidates: n candidates.
        seed: seed of the run, which workers pass to ``begin`` of their evaluators.
        journal: journal that stores partial results; None outside a run.
        on_progress: function that is called with (phase, number of evaluated candidates, n,
            "candidates").

    Returns:
        Name -> (n,) values of each column.
    """
    evaluator = problem.evaluator
    jobs = joblib.effective_n_jobs(joblib.Parallel().n_jobs)
    nested = joblib.parallel.get_active_backend()[0].nesting_level
    on_cpu = str(evaluator.device).startswith("cpu")
    if jobs == 1 and not nested and evaluator.independent and on_cpu:
        jobs = problem.settings.workers
    jobs = min(jobs, len(candidates))
    if not evaluator.independent:
        if jobs == 1:
            return evaluator.score(candidates)
        parts = [candidates[i] for i in np.array_split(np.arange(len(candidates)), jobs)]
        return _concatenate(_distribute(problem, seed, parts, jobs))
    return _concatenate(_score_each(problem, candidates, jobs, seed, journal, on_progress))


def _concatenate(parts: Iterable[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    parts = list(parts)
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _score_each(
    problem: ArchitectureProblem,
    candidates: Candidates,
    jobs: int,
    seed: int,
    journal: Journal | None,
    on_progress: Progress,
) -> list[dict[str, np.ndarray]]:
    """Evaluate one candidate per task; partial results of an interrupted call are reused."""
    partial = {} if journal is None else journal.partial_results()
    rows = [problem.genes.to_json(x) for x in candidates.X]
    results = {i: partial[tuple(row)] for i, row in enumerate(rows) if tuple(row) in partial}
    missing = [i for i in range(len(rows)) if i not in results]
    parts = [candidates[i : i + 1] for i in missing]
    evaluator, total = problem.evaluator, len(candidates)
    scored: Iterable[dict[str, np.ndarray]]
    if jobs == 1:
        scored = (evaluator.score(part) for part in parts)
    else:
        scored = _distribute(problem, seed, parts, jobs)
    done = total - len(missing)
    on_progress(evaluator.phase, done, total, "candidates")
    for i, result in zip(missing, scored, strict=True):
        results[i] = result
        done += 1
        if journal is not None:
            journal.save_partial(rows[i], result)
        on_progress(evaluator.phase, done, total, "candidates")
    return [results[i] for i in range(total)]


def _distribute(
    problem: ArchitectureProblem, seed: int, parts: list[Candidates], jobs: int
) -> Iterator[dict[str, np.ndarray]]:
    """Evaluate parts on ``jobs`` workers, and yield the columns of each part in order."""
    state: dict[str, Any] | None = None
    weights_hash = None
    if problem.evaluator.trains:
        from ..files.tensors import fingerprint

        state = {name: t.detach().cpu() for name, t in problem.evaluator.state().items()}
        weights_hash = fingerprint(state)
        # joblib memory-maps large arrays once for all worker processes
        state = {name: t.numpy() for name, t in state.items()}
    try:
        pool = joblib.Parallel(jobs, return_as="generator")
    except ValueError:  # the backend does not support generators
        pool = joblib.Parallel(jobs)
    problem_hash = joblib.hash(problem)
    results = pool(
        joblib.delayed(_score_part)(problem, problem_hash, seed, state, weights_hash, part)
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
) -> dict[str, np.ndarray]:
    evaluator = problem.evaluator if problem.session.has_evaluator else None
    if evaluator is None:  # the problem is a copy in another process
        evaluator = _worker_evaluator(problem, problem_hash, seed, state, weights_hash)
    return evaluator.score(part)


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
