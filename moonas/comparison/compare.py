"""A comparison: run what is missing of it, a file a run, and read what is there.

    plan              problems, algorithms and seeds, see :mod:`.plan`
    runs/PROBLEM/ALGORITHM/seed-001.npz    one run, see :mod:`.runs`; seed-001.txt why it failed
    runs/PROBLEM/ALGORITHM/seed-001/       its journal, where candidates train

An interrupted comparison goes on where it stopped, and a run that had begun, too.
"""

import io
import json
from pathlib import Path
from zipfile import BadZipFile

import joblib
import numpy as np

from ..files import write_atomically
from ..registry import attach_journal, load_problem
from ..run.callbacks import Progress, progress_function
from .plan import PICKS, make_plan
from .results import Comparison
from .runs import NUMBERS, Run, play, play_nonstationary


def compare(
    problems,
    algorithms,
    *,
    out,
    seeds=None,
    evaluations=None,
    generations=None,
    picks=PICKS,
    training=None,
    jobs=-1,
    on_progress: Progress | None = None,
    told=None,
):
    """Run what is missing of a comparison of algorithms, and write what it says.

    Seeds are paired: run i of every algorithm has the same seed. Every algorithm has a problem's
    own operators, if it is called by name, and the same budget.

    Args:
        problems: names, or label -> name, or label -> (name, options).
        algorithms: names, or label -> name, or label -> function of the problem that makes a pymoo
            algorithm, called afresh for every run.
        out: folder of the comparison.
        seeds: how many, or a sequence of them; by default 31 where all problems are tables, else 5.
        evaluations: of a run, where scores do not move; by default those of the problem's own
            search.
        generations: of a run, where they do; the same.
        picks: networks of every front to train from scratch, where scores move.
        training: options of these trainings, a dict.
        jobs: processes; -1 for as many as there are cores.
        on_progress: called with (phase, runs done, total, unit), at the start and after each run;
            such as :meth:`moonas.run.callbacks.RunCallback.on_progress`.
        told: deprecated; (runs done, total) -> None.

    Returns:
        A :class:`~moonas.comparison.results.Comparison`; tables, pictures and report.html are in
        the folder.

    Raises:
        ValueError: a name is unknown, or the folder holds a comparison with other options or
            budgets.
    """
    from .report import write_report

    report_progress = progress_function(on_progress, told)
    plan = make_plan(
        problems,
        algorithms,
        seeds=seeds,
        evaluations=evaluations,
        generations=generations,
        picks=picks,
        training=training,
    )
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    runs = {asked: _read(plan, out, *asked) for asked in plan.asked()}
    missing = [asked for asked, run in runs.items() if run is None]
    done = len(runs) - len(missing)
    report_progress("comparing", done, len(runs), "runs")
    pool = joblib.Parallel(jobs, return_as="generator_unordered")
    for asked in pool(joblib.delayed(_run)(plan, out, *asked) for asked in missing):
        runs[asked] = _read(plan, out, *asked) or _failure(out, *asked)
        done += 1
        report_progress("comparing", done, len(runs), "runs")
    found = Comparison(plan, list(runs.values()))
    write_report(found, out)
    return found


def _path(out, problem, algorithm, seed):
    return out / "runs" / problem / algorithm / f"seed-{seed:03d}.npz"


def _run(plan, out, problem, algorithm, seed):
    """Make one run and keep it; one that fails leaves what went wrong in a file of text."""
    path, task = _path(out, problem, algorithm, seed), plan.tasks[problem]
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        numbers = _play(task, plan.algorithms[algorithm], seed, path.with_suffix(""))
    except Exception as error:  # whatever an algorithm raises must not stop the others
        reason = f"{type(error).__name__}: {error}"
        write_atomically(path.with_suffix(".txt"), reason.encode())
        return problem, algorithm, seed
    buffer = io.BytesIO()
    np.savez_compressed(buffer, about=json.dumps(task.about), **numbers)
    write_atomically(path, buffer.getvalue())
    path.with_suffix(".txt").unlink(missing_ok=True)
    return problem, algorithm, seed


def _play(task, algorithm, seed, folder):
    problem = load_problem(task.name, **task.options)
    if task.table:
        return play(problem, algorithm, seed, task.budget)
    attach_journal(problem, task.name, folder)
    try:
        if task.nonstationary:
            return play_nonstationary(
                problem, algorithm, seed, task.budget, task.picks, task.training
            )
        return play(problem, algorithm, seed, task.budget)
    finally:
        problem.journal.close()


def _read(plan, out, problem, algorithm, seed):
    """A run that was made; None if it was not, or failed."""
    path, wanted = (
        _path(out, problem, algorithm, seed),
        json.loads(json.dumps(plan.tasks[problem].about)),
    )
    if not path.exists():
        return None
    try:
        with np.load(path, allow_pickle=False) as file:
            held = {name: file[name] for name in file.files}
        about = json.loads(str(held.pop("about")))
        if set(held) - set(NUMBERS):
            raise KeyError(f"unknown {sorted(set(held) - set(NUMBERS))}")
        numbers = {name: value if value.ndim else value.item() for name, value in held.items()}
        run = Run(problem, algorithm, seed, **numbers)
    except (ValueError, OSError, KeyError, TypeError, EOFError, BadZipFile) as error:
        raise ValueError(f"{path} is damaged: {error} Remove it, and it is made again.") from None
    if about != wanted:
        name = next(k for k in [*wanted, *about] if about.get(k) != wanted.get(k))
        raise ValueError(
            f"{path} is a run with {name}={about.get(name)!r}, and this one has "
            f"{wanted.get(name)!r}; give this comparison a folder of its own."
        )
    return run


def _failure(out, problem, algorithm, seed):
    reason = _path(out, problem, algorithm, seed).with_suffix(".txt").read_text()
    return Run(problem, algorithm, seed, reason)
