"""Many runs of several algorithms on several problems, paired by seed, and what they say.

Every run has a file of its own, so that an interrupted comparison goes on where it stopped. Of a
run counts the front of its population and, where scores do not move, that of all it evaluated; both
within a number of evaluations that is the same for all algorithms.
"""

import csv
import io
import json
import math
from dataclasses import dataclass
from pathlib import Path

import joblib
import numpy as np
from pymoo.core.callback import Callback
from pymoo.optimize import minimize

from . import statistics
from .algorithms import algorithm as named
from .files import write_atomically
from .pareto import hypervolume, nondominated
from .registry import load_problem
from .tabular import TabularProblem

TABULAR_SEEDS, TRAINING_SEEDS = 31, 5
NEAR = 0.99  # of the true hypervolume


@dataclass(frozen=True)
class Run:
    """One run.

    Args:
        problem: its label.
        algorithm: its label.
        seed: of it.
        failed: what went wrong, in words; "" for nothing. Then there are no numbers.
        evaluations: (n,) made after each generation, as far as the budget goes, and at its end.
        population: (n,) hypervolume of the population's front after each generation.
        archive: (n,) the same of all that was evaluated so far; empty where scores move.
        front: (k, n_obj) the last population's front.
        best: (m, n_obj) the front of all that was evaluated; empty where scores move.
        evaluations_to_99: after which the archive had 99 % of the true hypervolume; NaN if it never
            had, or if that is unknown.
    """

    problem: str
    algorithm: str
    seed: int
    failed: str
    evaluations: np.ndarray
    population: np.ndarray
    archive: np.ndarray
    front: np.ndarray
    best: np.ndarray
    evaluations_to_99: float = math.nan

    @property
    def hypervolume(self):
        """The number that algorithms are compared by: the archive's, or the population's."""
        series = self.archive if len(self.archive) else self.population
        return float(series[-1]) if len(series) else math.nan


class _Recorder(Callback):
    """Takes note of every population, and of everything that is evaluated."""

    def __init__(self, problem):
        super().__init__()
        self.problem, self.generations, self.evaluated = problem, [], []
        problem.watch = self._seen

    def _seen(self, columns):
        F = np.column_stack([columns[name] for name in self.problem.objectives])
        self.evaluated.append(np.asarray(F, float))

    def update(self, algorithm):
        pop = algorithm.pop
        F = pop[pop.get("feas")].get("F")
        self.generations.append((algorithm.evaluator.n_eval, F[nondominated(F)].copy()))


def play(problem, algorithm, seed, evaluations):
    """Run an algorithm on a problem whose scores do not move.

    Args:
        problem: an :class:`~moonas.problem.ArchitectureProblem`.
        algorithm: name, or problem -> pymoo algorithm.
        seed: of the run.
        evaluations: the budget; what the last generation evaluates beyond it does not count.

    Returns:
        A dict of the arrays of :class:`Run`.

    Raises:
        ValueError: scores of the problem move.
    """
    if problem.moves:
        raise ValueError(f"Scores of {type(problem).__name__} move while a run trains.")
    search = named(algorithm, problem) if isinstance(algorithm, str) else algorithm(problem)
    recorder = _Recorder(problem)
    try:
        minimize(problem, search, ("n_eval", evaluations), seed=seed, callback=recorder)
    finally:
        problem.watch = None
    every = np.concatenate(recorder.evaluated)[:evaluations]
    within = [g for g in recorder.generations if g[0] <= evaluations] or recorder.generations[:1]
    counts = [min(n, evaluations) for n, _ in within]
    if counts[-1] < len(every):  # the budget ends within a generation
        counts, within = [*counts, len(every)], [*within, within[-1]]
    bounds = problem.objective_bounds()
    best = np.unique(every[nondominated(every)], axis=0)
    found = {
        "evaluations": np.array(counts),
        "population": np.array([hypervolume(F, bounds) for _, F in within]),
        "archive": np.array([hypervolume(every[:n], bounds) for n in counts]),
        "front": np.unique(within[-1][1], axis=0),
        "best": best,
        "evaluations_to_99": math.nan,
    }
    if isinstance(problem, TabularProblem):
        wanted = NEAR * problem.true_hypervolume()
        if found["archive"][-1] >= wanted:
            found["evaluations_to_99"] = float(_first(every, bounds, wanted))
    return found


def _first(every, bounds, wanted):
    """After how many evaluations the hypervolume of all of them reaches a number, by bisection."""
    low, high = 1, len(every)
    while low < high:
        middle = (low + high) // 2
        if hypervolume(every[:middle], bounds) >= wanted:
            high = middle
        else:
            low = middle + 1
    return low


@dataclass(frozen=True)
class Plan:
    """What a comparison is asked to do.

    Args:
        problems: label -> (name of the problem, its options).
        algorithms: label -> name, or problem -> pymoo algorithm, called afresh for every run.
        seeds: of the runs, the same for all.
        evaluations: budget of a run by label of the problem.
    """

    problems: dict
    algorithms: dict
    seeds: tuple
    evaluations: dict

    def asked(self):
        """All runs, (problem, algorithm, seed), seeds outermost, so that what is done is paired."""
        return [(p, a, s) for s in self.seeds for p in self.problems for a in self.algorithms]


def make_plan(problems, algorithms, seeds=None, evaluations=None):
    """A :class:`Plan`.

    Args:
        problems: names, or label -> name, or label -> (name, options).
        algorithms: names, or label -> name or callable.
        seeds: how many, or a sequence of them; by default 31 where all problems are tables, else 5.
        evaluations: of every run; by default those of the problem's own search.
    """
    if not isinstance(problems, dict):
        problems = {name: name for name in problems}
    problems = {
        k: (v, {}) if isinstance(v, str) else (v[0], dict(v[1])) for k, v in problems.items()
    }
    if not isinstance(algorithms, dict):
        algorithms = {name: name for name in algorithms}
    made = {label: load_problem(name, **options) for label, (name, options) in problems.items()}
    if seeds is None:
        tables = all(isinstance(problem, TabularProblem) for problem in made.values())
        seeds = TABULAR_SEEDS if tables else TRAINING_SEEDS
    seeds = tuple(range(1, seeds + 1)) if isinstance(seeds, int) else tuple(seeds)
    budgets = {
        label: evaluations or p.settings.population * p.settings.generations
        for label, p in made.items()
    }
    for what, found in (("problems", problems), ("algorithms", algorithms), ("seeds", seeds)):
        if not found:
            raise ValueError(f"A comparison wants {what}; none were given.")
    return Plan(problems, algorithms, seeds, budgets)


def compare(problems, algorithms, *, out, seeds=None, evaluations=None, jobs=-1, told=None):
    """Run what is missing of a comparison, and write what it says.

    Args:
        problems, algorithms, seeds, evaluations: see :func:`make_plan`.
        out: folder of the comparison.
        jobs: processes; -1 for as many as there are cores.
        told: (runs done, of how many) -> None.

    Returns:
        A :class:`Comparison`; ``results.csv``, ``pairs.csv`` and ``runs.csv`` are in the folder.

    Raises:
        ValueError: the folder holds a comparison with other problems' options or budgets.
    """
    plan, out = make_plan(problems, algorithms, seeds, evaluations), Path(out)
    out.mkdir(parents=True, exist_ok=True)
    missing = [asked for asked in plan.asked() if _read(plan, out, *asked) is None]
    done = len(plan.asked()) - len(missing)
    if told is not None:
        told(done, len(plan.asked()))
    pool = joblib.Parallel(jobs, return_as="generator_unordered")
    for _ in pool(joblib.delayed(_run)(plan, out, *asked) for asked in missing):
        done += 1
        if told is not None:
            told(done, len(plan.asked()))
    found = Comparison(
        plan, [_read(plan, out, *a) or _failure(plan, out, *a) for a in plan.asked()]
    )
    found.write(out)
    return found


def _path(out, problem, algorithm, seed):
    return out / "runs" / problem / algorithm / f"seed-{seed:03d}.npz"


def _about(plan, problem):
    name, options = plan.problems[problem]
    words = {k: str(v) for k, v in sorted(options.items())}
    return json.dumps({"problem": name, "options": words, "evaluations": plan.evaluations[problem]})


def _run(plan, out, problem, algorithm, seed):
    """Make one run and keep it; one that fails leaves what went wrong in a file of text."""
    path = _path(out, problem, algorithm, seed)
    path.parent.mkdir(parents=True, exist_ok=True)
    name, options = plan.problems[problem]
    try:
        arrays = play(
            load_problem(name, **options),
            plan.algorithms[algorithm],
            seed,
            plan.evaluations[problem],
        )
    except Exception as error:  # whatever an algorithm raises must not stop the others
        reason = f"{type(error).__name__}: {error}"
        write_atomically(path.with_suffix(".txt"), reason.encode())
        return
    buffer = io.BytesIO()
    np.savez_compressed(buffer, about=_about(plan, problem), **arrays)
    write_atomically(path, buffer.getvalue())
    path.with_suffix(".txt").unlink(missing_ok=True)


def _read(plan, out, problem, algorithm, seed):
    """A run that was made; None if it was not, or failed."""
    path = _path(out, problem, algorithm, seed)
    if not path.exists():
        return None
    try:
        with np.load(path, allow_pickle=False) as file:
            held = {name: file[name] for name in file.files}
        about = str(held.pop("about"))
        run = Run(problem, algorithm, seed, "", **held)
    except (ValueError, OSError, KeyError, TypeError, EOFError) as error:
        raise ValueError(f"{path} is damaged: {error} Remove it, and it is made again.") from None
    if about != _about(plan, problem):
        raise ValueError(
            f"{path} is a run of {about}, and {_about(plan, problem)} is asked for; give this "
            "comparison a folder of its own."
        )
    return run


def _failure(plan, out, problem, algorithm, seed):
    reason = _path(out, problem, algorithm, seed).with_suffix(".txt").read_text()
    empty = np.empty(0)
    return Run(problem, algorithm, seed, reason, *[empty] * 5)


class Comparison:
    """What all runs say.

    Args:
        plan: a :class:`Plan`.
        runs: list of :class:`Run`, one for each that was asked.
    """

    def __init__(self, plan, runs):
        self.plan, self.runs = plan, runs
        self.problems = {
            label: load_problem(name, **options) for label, (name, options) in plan.problems.items()
        }

    def of(self, problem, algorithm):
        """The runs of an algorithm on a problem, by seed."""
        return [r for r in self.runs if (r.problem, r.algorithm) == (problem, algorithm)]

    def hypervolumes(self, problem):
        """Algorithm -> (n_seeds,) hypervolumes; only those of which no run failed."""
        found = {a: self.of(problem, a) for a in self.plan.algorithms}
        return {
            a: np.array([run.hypervolume for run in runs])
            for a, runs in found.items()
            if not any(run.failed for run in runs)
        }

    def true_hypervolume(self, problem):
        """That of the problem's true front; NaN where it is not known."""
        made = self.problems[problem]
        return made.true_hypervolume() if isinstance(made, TabularProblem) else math.nan

    def results(self):
        """A row for each problem and algorithm, a list of dicts."""
        rows = []
        for problem in self.plan.problems:
            values, true = self.hypervolumes(problem), self.true_hypervolume(problem)
            ranks = {}
            if values:
                mean = statistics.ranks(np.column_stack(list(values.values()))).mean(axis=0)
                ranks = dict(zip(values, mean.tolist(), strict=True))
            for algorithm in self.plan.algorithms:
                runs = self.of(problem, algorithm)
                row = {
                    "problem": problem,
                    "algorithm": algorithm,
                    "runs": len(runs),
                    "failed": sum(bool(run.failed) for run in runs),
                    "evaluations": self.plan.evaluations[problem],
                }
                if algorithm in values:
                    quartiles = np.percentile(values[algorithm], [25, 50, 75])
                    needed = [run.evaluations_to_99 for run in runs]
                    row |= dict(zip(("q1", "median", "q3"), quartiles.tolist(), strict=True))
                    row |= {
                        "mean_rank": ranks[algorithm],
                        "log10_gap": _log_gap(quartiles[1], true),
                        "reached_99": int(np.isfinite(needed).sum()),
                        "evaluations_to_99": float(np.median(np.nan_to_num(needed, nan=np.inf))),
                    }
                rows.append(row)
        return rows

    def pairs(self):
        """Problem -> list of :class:`~moonas.statistics.Pair`."""
        return {p: statistics.pairwise(self.hypervolumes(p)) for p in self.plan.problems}

    def too_few_seeds(self, alpha=0.05):
        """Whether no pair could differ significantly, however clear the difference."""
        k = len(self.plan.algorithms)
        return statistics.least_p(len(self.plan.seeds), k * (k - 1) // 2) > alpha

    def write(self, out):
        """Write results.csv, pairs.csv and runs.csv."""
        _write_csv(out / "results.csv", self.results())
        pairs = [{"problem": p} | vars(pair) for p, found in self.pairs().items() for pair in found]
        _write_csv(out / "pairs.csv", pairs)
        runs = [
            {
                "problem": run.problem,
                "algorithm": run.algorithm,
                "seed": run.seed,
                "hypervolume": run.hypervolume,
                "evaluations_to_99": run.evaluations_to_99,
                "front": len(run.front),
                "failed": run.failed,
            }
            for run in self.runs
        ]
        _write_csv(out / "runs.csv", runs)


def _log_gap(value, true):
    """log10 of what a hypervolume lacks of the true one; -inf where it lacks nothing."""
    if math.isnan(true):
        return math.nan
    gap = max(true - value, 0.0)
    return math.log10(gap) if gap > 0 else -math.inf


def _write_csv(path, rows):
    text = io.StringIO()
    names = list(dict.fromkeys(name for row in rows for name in row))
    writer = csv.DictWriter(text, names, lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({k: "" if _is_nan(v) else v for k, v in row.items()})
    write_atomically(path, text.getvalue().encode())


def _is_nan(value):
    return isinstance(value, float) and math.isnan(value)
