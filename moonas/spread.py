"""Scoring spread over joblib's workers: processes here, or those of a Dask or a Ray cluster.

    with joblib.parallel_config(backend="loky", n_jobs=4):
        minimize(problem, ...)

Each worker keeps an evaluator of its own and takes over the weights when they have changed. A score
does not depend on who else is scored, so it does not depend on the split either.
"""

import pickle
import threading

import joblib
import numpy as np

_kept = threading.local()  # in a worker: its problem, as asked for, its seed and its weights


def score(problem, X):
    """Columns of the rows of X as ``problem.evaluator`` gives them, from several workers if asked.

    Where an evaluator trains each candidate ``alone``, a row is a task, and ``settings.workers``
    processes take them on a CPU unless joblib was told otherwise.
    """
    evaluator = problem.evaluator
    alone = getattr(evaluator, "alone", False)
    jobs = joblib.effective_n_jobs(joblib.Parallel().n_jobs)
    if jobs == 1 and alone and evaluator.device.type == "cpu":
        jobs = problem.settings.workers
    jobs = min(jobs, len(X))
    if jobs == 1 and not alone:
        return evaluator.score([problem.decode(x) for x in X])
    parts = np.array_split(X, len(X) if alone else jobs)
    if jobs == 1:
        done = (evaluator.score([problem.decode(x)]) for (x,) in parts)
    else:
        done = _spread(problem, parts, jobs)
    results = []
    for result in done:
        results.append(result)
        if alone:
            problem.tell("training candidates", len(results), len(parts), "candidates")
    return {name: np.concatenate([part[name] for part in results]) for name in results[0]}


def _spread(problem, parts, jobs):
    """The columns of each part, in order, as they come in from ``jobs`` workers."""
    state, mark = None, None
    if problem.evaluator.trains:
        from .journal import fingerprint

        state = {name: t.detach().cpu() for name, t in problem.evaluator.state().items()}
        mark = fingerprint(state)
    try:
        pool = joblib.Parallel(jobs, return_as="generator")
    except ValueError:  # a backend that hands over all results together
        pool = joblib.Parallel(jobs)
    asked = pickle.dumps(problem)
    return pool(
        joblib.delayed(_score_part)(asked, problem.seed, state, mark, part) for part in parts
    )


def _score_part(asked, seed, state, mark, X):
    if getattr(_kept, "asked", None) != asked:
        _kept.problem, _kept.seed = pickle.loads(asked), None
        _kept.asked = asked
    problem = _kept.problem
    if _kept.seed != seed:
        problem.evaluator.begin(seed)
        _kept.seed, _kept.loaded = seed, None
    if _kept.loaded != mark:
        problem.evaluator.load_state(state)
        _kept.loaded = mark
    return problem.evaluator.score([problem.decode(x) for x in X])
