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

_kept = threading.local()  # in a worker: its problem, as asked for, and the weights it has


def score(problem, X):
    """Columns of the rows of X as ``problem.evaluator`` gives them, from several workers if asked.

    Columns read from a clock are not measured side by side: a problem with one is scored here.
    """
    pool = joblib.Parallel()
    jobs = min(joblib.effective_n_jobs(pool.n_jobs), len(X))
    if jobs <= 1 or any(column.measured for column in problem.columns):
        return problem.evaluator.score([problem.decode(x) for x in X])
    state, mark = None, None
    if problem.evaluator.trains:
        from .journal import fingerprint

        state = {name: t.detach().cpu() for name, t in problem.evaluator.state().items()}
        mark = fingerprint(state)
    asked = pickle.dumps(problem)
    parts = pool(
        joblib.delayed(_score_part)(asked, state, mark, part) for part in np.array_split(X, jobs)
    )
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _score_part(asked, state, mark, X):
    if getattr(_kept, "asked", None) != asked:
        _kept.problem, _kept.loaded = pickle.loads(asked), None
        if state is not None:
            _kept.problem.evaluator.begin(0)
        _kept.asked = asked
    problem = _kept.problem
    if _kept.loaded != mark:
        problem.evaluator.load_state(state)
        _kept.loaded = mark
    return problem.evaluator.score([problem.decode(x) for x in X])
