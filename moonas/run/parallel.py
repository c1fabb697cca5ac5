"""Scoring in joblib's workers: processes here, or those of a Dask or a Ray cluster.

    with joblib.parallel_config(backend="loky", n_jobs=4):
        minimize(problem, ...)

Each process has an evaluator of its own and loads the weights when they have changed; threads share
that of the problem. A score does not depend on who else is scored, so it does not depend on how
candidates are split either.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

import joblib
import numpy as np

from .candidates import Candidates

if TYPE_CHECKING:
    from ..problem import ArchitectureProblem, Evaluator
    from .journal import Journal

_local = threading.local()  # in a worker: its problem, its hash, seed, and fingerprint of weights


def score(
    problem: ArchitectureProblem,
    candidates: Candidates,
    *,
    seed: int | None,
    journal: Journal | None = None,
    on_progress: Callable[[str, int, int, str], None],
) -> dict[str, np.ndarray]:
    """Columns of candidates as the problem's evaluator gives them, from several workers if asked.

    If the evaluator scores each candidate independently, a candidate is a task, and
    ``settings.workers`` processes take them on a CPU, unless joblib is configured otherwise or this
    is one of its workers. The journal keeps each result until all candidates are done.

    Args:
        problem: whose evaluator to use.
        candidates: to be scored.
        seed: of the run.
        journal: keeps partial results; None outside a run.
        on_progress: called with phase, candidates done, total and "candidates".
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
        return _joined(_distribute(problem, seed, parts, jobs))
    return _joined(_score_each(problem, candidates, jobs, seed, journal, on_progress))


def _joined(parts: Iterable[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    parts = list(parts)
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _score_each(problem, candidates, jobs, seed, journal, on_progress):
    """The columns of each candidate; those of an interrupted call are read, not computed again."""
    partial = {} if journal is None else journal.partial_results()
    plain = [problem.genes.to_json(x) for x in candidates.X]
    results = [partial.get(tuple(row)) for row in plain]
    missing = [i for i, result in enumerate(results) if result is None]
    parts = [candidates[i : i + 1] for i in missing]
    evaluator, total = problem.evaluator, len(candidates)
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
            journal.save_partial(plain[i], result)
        on_progress(evaluator.phase, done, total, "candidates")
    return results


def _distribute(
    problem: ArchitectureProblem, seed: int | None, parts: list[Candidates], jobs: int
) -> Iterator[dict[str, np.ndarray]]:
    """The columns of each part, in order, as they come in from ``jobs`` workers."""
    state: dict[str, Any] | None = None
    weights_hash = None
    if problem.evaluator.trains:
        from ..files.tensors import fingerprint

        state = {name: t.detach().cpu() for name, t in problem.evaluator.state().items()}
        weights_hash = fingerprint(state)
        # joblib hands large arrays to all tasks of its processes as one file
        state = {name: t.numpy() for name, t in state.items()}
    try:
        pool = joblib.Parallel(jobs, return_as="generator")
    except ValueError:  # a backend that returns all results together
        pool = joblib.Parallel(jobs)
    identity = joblib.hash(problem)
    return pool(
        joblib.delayed(_score_part)(problem, identity, seed, state, weights_hash, part)
        for part in parts
    )


def _score_part(problem, identity, seed, state, weights_hash, part):
    evaluator = problem.evaluator if problem.session.has_evaluator else None
    if evaluator is None:  # in another process: a copy without weights and images
        evaluator = _local_evaluator(problem, identity, seed, state, weights_hash)
    return evaluator.score(part)


def _local_evaluator(problem, identity, seed, state, weights_hash) -> Evaluator:
    """The evaluator that this worker keeps, with the weights asked for."""
    if getattr(_local, "identity", None) != identity:
        _local.problem, _local.identity, _local.seed = problem, identity, None
    evaluator = _local.problem.evaluator
    if _local.seed != seed:
        evaluator.begin(seed)
        _local.seed, _local.weights_hash = seed, None
    if _local.weights_hash != weights_hash:
        import torch

        evaluator.load_state({name: torch.tensor(a) for name, a in state.items()})
        _local.weights_hash = weights_hash
    return evaluator
