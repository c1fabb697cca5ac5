"""Scoring spread over joblib's workers: processes here, or those of a Dask or a Ray cluster.

    with joblib.parallel_config(backend="loky", n_jobs=4):
        minimize(problem, ...)

Each process keeps an evaluator of its own and takes over the weights when they have changed;
threads share that of the problem. A score does not depend on who else is scored, so it does not
depend on the split either.
"""

import threading

import joblib
import numpy as np

_kept = threading.local()  # in a worker: its problem, as asked for, its seed, its weights' mark


def score(problem, X):
    """Columns of the rows of X as ``problem.evaluator`` gives them, from several workers if asked.

    Where an evaluator trains each candidate ``alone``, a row is a task, and ``settings.workers``
    processes take them on a CPU unless joblib was told of more, or this is one of its workers. In a
    run with a journal, each that is done is kept there until all are.
    """
    evaluator = problem.evaluator
    alone = getattr(evaluator, "alone", False)
    jobs = joblib.effective_n_jobs(joblib.Parallel().n_jobs)
    nested = joblib.parallel.get_active_backend()[0].nesting_level
    if jobs == 1 and not nested and alone and evaluator.device.type == "cpu":
        jobs = problem.settings.workers
    jobs = min(jobs, len(X))
    if jobs == 1 and not alone:
        return evaluator.score([problem.decode(x) for x in X])
    if alone:
        return _joined(_score_each(problem, X, jobs))
    return _joined(_spread(problem, np.array_split(X, jobs), jobs))


def _joined(parts):
    parts = list(parts)
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _score_each(problem, X, jobs):
    """The columns of each row, trained on its own unless an interrupted call has done that."""
    journal = problem.journal if problem.in_a_run else None
    kept = {} if journal is None else journal.partial_results()
    rows = [problem.genes.plain(x) for x in X]
    results = [kept.get(tuple(row)) for row in rows]
    missing = [i for i, result in enumerate(results) if result is None]
    parts = [X[i : i + 1] for i in missing]
    if jobs == 1:
        done = (problem.evaluator.score([problem.decode(x)]) for (x,) in parts)
    else:
        done = _spread(problem, parts, jobs)
    ready = len(X) - len(missing)
    doing = getattr(problem.evaluator, "doing", "training from scratch")
    problem.report_progress(doing, ready, len(X), "candidates")
    for i, result in zip(missing, done, strict=True):
        results[i] = result
        ready += 1
        if journal is not None:
            journal.save_partial(rows[i], result)
        problem.report_progress(doing, ready, len(X), "candidates")
    return results


def _spread(problem, parts, jobs):
    """The columns of each part, in order, as they come in from ``jobs`` workers."""
    state, mark = None, None
    if problem.evaluator.trains:
        from ..files.tensors import fingerprint

        state = {name: t.detach().cpu() for name, t in problem.evaluator.state().items()}
        mark = fingerprint(state)
        # joblib hands large arrays to all tasks of its processes as one file
        state = {name: t.numpy() for name, t in state.items()}
    try:
        pool = joblib.Parallel(jobs, return_as="generator")
    except ValueError:  # a backend that hands over all results together
        pool = joblib.Parallel(jobs)
    asked = joblib.hash(problem)
    return pool(
        joblib.delayed(_score_part)(problem, asked, problem.seed, state, mark, part)
        for part in parts
    )


def _score_part(problem, asked, seed, state, mark, X):
    if not problem.has_evaluator:  # in another process: a copy without weights and images
        problem = _prepared(problem, asked, seed, state, mark)
    return problem.evaluator.score([problem.decode(x) for x in X])


def _prepared(problem, asked, seed, state, mark):
    """The problem that this worker keeps, with the weights asked for."""
    if getattr(_kept, "asked", None) != asked:
        _kept.problem, _kept.asked, _kept.seed = problem, asked, None
    evaluator = _kept.problem.evaluator
    if _kept.seed != seed:
        evaluator.begin(seed)
        _kept.seed, _kept.mark = seed, None
    if _kept.mark != mark:
        import torch

        evaluator.load_state({name: torch.tensor(a) for name, a in state.items()})
        _kept.mark = mark
    return _kept.problem
