"""Execute the missing runs of a comparison, store each run in a file, and read all runs.

The module :mod:`.plan` determines the problems, algorithms and seeds. The folder of a comparison
contains for each run

    runs/PROBLEM/ALGORITHM/seed-001.npz    its results, see :mod:`.runs`
    runs/PROBLEM/ALGORITHM/seed-001.txt    its error message, if the run failed
    runs/PROBLEM/ALGORITHM/seed-001/       its journal, if candidates are trained

An interrupted comparison resumes with the first missing run; a run with a journal resumes where it
stopped.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zipfile import BadZipFile

import joblib
import numpy as np

from ..files import write_atomically
from ..registry import attach_journal, load_problem
from ..run.callbacks import Progress, progress_function
from .plan import PICKS, Plan, Task, make_plan
from .results import Comparison
from .runs import RESULT_NAMES, Run, run_algorithm, run_nonstationary

if TYPE_CHECKING:
    from .plan import AlgorithmLike, ProblemLike, RunKey


def compare(
    problems: Mapping[str, ProblemLike] | Iterable[str],
    algorithms: Mapping[str, AlgorithmLike] | Iterable[str],
    *,
    out: str | Path,
    seeds: int | Sequence[int] | None = None,
    evaluations: int | None = None,
    generations: int | None = None,
    picks: int = PICKS,
    training: Mapping[str, Any] | None = None,
    jobs: int = -1,
    on_progress: Progress | None = None,
    told: Callable[[int, int], None] | None = None,
) -> Comparison:
    """Compare algorithms: execute all missing runs, and write tables and figures.

    Runs are paired: the i-th run of every algorithm has the same seed. All algorithms have the
    same budget, and algorithms given by name use the operators of the problem.

    Args:
        problems: names of problems; or a mapping from labels to names, to (name, options) pairs or
            to instances of a suite (:func:`moonas.suite`).
        algorithms: names of algorithms, or a mapping from labels to names or to functions; a
            function receives the problem and returns a new pymoo algorithm, once per run.
        out: folder of the comparison.
        seeds: number of seeds, or a sequence of seeds; by default 31 if all problems are tabular,
            otherwise 5.
        evaluations: evaluations per run, for problems with fixed objectives; by default the
            population size times the number of generations in the settings of the problem, or the
            budget of the instance.
        generations: generations per run, for problems whose objectives change while shared weights
            train; by default the number in the settings of the problem.
        picks: number of networks per front to train from scratch, for problems whose objectives
            change.
        training: settings of this training from scratch.
        jobs: number of processes; -1 for one per CPU core.
        on_progress: called with (phase, completed runs, total runs, unit) at the start and after
            each run, such as :meth:`moonas.run.callbacks.RunCallback.on_progress`.
        told: deprecated; called with (completed runs, total runs).

    Returns:
        A :class:`~moonas.comparison.results.Comparison`. Tables, figures and report.html are
        written to the folder.

    Raises:
        ValueError: a name is unknown, or the folder contains a comparison with different options or
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
    runs = {key: _read(plan, out, *key) for key in plan.run_keys()}
    missing = [key for key, run in runs.items() if run is None]
    done = len(runs) - len(missing)
    report_progress("comparing", done, len(runs), "runs")
    pool = joblib.Parallel(jobs, return_as="generator_unordered")
    for key in pool(joblib.delayed(_execute)(plan, out, *key) for key in missing):
        runs[key] = _read(plan, out, *key) or _read_failure(out, *key)
        done += 1
        report_progress("comparing", done, len(runs), "runs")
    comparison = Comparison(plan, [run for run in runs.values() if run is not None])
    write_report(comparison, out)
    return comparison


def _path(out: Path, problem: str, algorithm: str, seed: int) -> Path:
    return out / "runs" / problem / algorithm / f"seed-{seed:03d}.npz"


def _execute(plan: Plan, out: Path, problem: str, algorithm: str, seed: int) -> RunKey:
    """Execute one run and write its results, or its error message if it fails."""
    path, task = _path(out, problem, algorithm, seed), plan.tasks[problem]
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        results = _run_task(task, plan.algorithms[algorithm], seed, path.with_suffix(""))
    except Exception as error:  # a failing algorithm must not stop the other algorithms
        reason = f"{type(error).__name__}: {error}"
        write_atomically(path.with_suffix(".txt"), reason.encode())
        return problem, algorithm, seed
    buffer = io.BytesIO()
    np.savez_compressed(buffer, about=json.dumps(task.about), **results)
    write_atomically(path, buffer.getvalue())
    path.with_suffix(".txt").unlink(missing_ok=True)
    return problem, algorithm, seed


def _run_task(task: Task, algorithm: AlgorithmLike, seed: int, folder: Path) -> dict[str, Any]:
    problem = load_problem(task.name, **task.options)
    if task.tabular:
        return run_algorithm(problem, algorithm, seed, task.budget)
    attach_journal(problem, task.name, folder)
    try:
        if task.nonstationary:
            return run_nonstationary(
                problem, algorithm, seed, task.budget, task.picks, task.training
            )
        return run_algorithm(problem, algorithm, seed, task.budget)
    finally:
        problem.journal.close()


def _read(plan: Plan, out: Path, problem: str, algorithm: str, seed: int) -> Run | None:
    """Read a completed run; return None if the run is missing or has failed."""
    path = _path(out, problem, algorithm, seed)
    if not path.exists():
        return None
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        about = json.loads(str(arrays.pop("about")))
        if set(arrays) - set(RESULT_NAMES):
            raise KeyError(f"unknown {sorted(set(arrays) - set(RESULT_NAMES))}")
        results = {name: value if value.ndim else value.item() for name, value in arrays.items()}
        run = Run(problem, algorithm, seed, **results)
    except (ValueError, OSError, KeyError, TypeError, EOFError, BadZipFile) as error:
        raise ValueError(f"{path} is damaged: {error} Delete it to repeat the run.") from None
    expected = json.loads(json.dumps(plan.tasks[problem].about))
    about = plan.tasks[problem].former | about
    if about != expected:
        name = next(k for k in [*expected, *about] if about.get(k) != expected.get(k))
        raise ValueError(
            f"{path} belongs to another comparison, with {name}={about.get(name)!r}; this one has "
            f"{name}={expected.get(name)!r}. Choose another folder for this comparison."
        )
    return run


def _read_failure(out: Path, problem: str, algorithm: str, seed: int) -> Run:
    reason = _path(out, problem, algorithm, seed).with_suffix(".txt").read_text()
    return Run(problem, algorithm, seed, reason)
