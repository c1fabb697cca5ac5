"""What the runs of a comparison say, as numbers."""

import csv
import io
import math
from functools import cached_property

import numpy as np

from ..files import write_atomically
from ..registry import load_problem
from . import statistics

LEVEL = 0.05  # of significance


class Comparison:
    """The runs of a comparison.

    Args:
        plan: a :class:`~moonas.comparison.plan.Plan`.
        runs: list of :class:`~moonas.comparison.runs.Run`, one for each that was asked.

    Attributes:
        problems: label -> the problem.
    """

    def __init__(self, plan, runs):
        self.plan, self.runs = plan, runs

    @cached_property
    def problems(self):
        return {k: load_problem(task.name, **task.options) for k, task in self.plan.tasks.items()}

    def of(self, problem, algorithm):
        """The runs of an algorithm on a problem, by seed."""
        return [r for r in self.runs if (r.problem, r.algorithm) == (problem, algorithm)]

    def succeeded(self, problem):
        """Algorithm -> its runs by seed; only algorithms of which no run failed."""
        found = {a: self.of(problem, a) for a in self.plan.algorithms}
        return {a: runs for a, runs in found.items() if not any(run.failed for run in runs)}

    def hypervolumes(self, problem):
        """Algorithm -> (n_seeds,) hypervolumes; only algorithms of which no run failed."""
        runs = self.succeeded(problem)
        return {a: np.array([run.hypervolume for run in of_a]) for a, of_a in runs.items()}

    def true_hypervolume(self, problem):
        """That of the problem's true front; NaN where it is not known."""
        known = self.plan.tasks[problem].table
        return self.problems[problem].true_hypervolume() if known else math.nan

    @cached_property
    def results(self):
        """A row for each problem and algorithm, a list of dicts; of a failed one, counts alone.

        Columns: hypervolume's quartiles q1, median, q3; mean_rank over seeds; log10_gap, of the
        median to the true hypervolume; igd_plus, evaluations_to_99 (medians; infinite where half of
        the runs never had it) and reached_99 (runs); descriptive, the median hypervolume under a
        run's own weights where scores move.
        """
        return [row for problem in self.plan.tasks for row in self._results_of(problem)]

    def _results_of(self, problem):
        task, runs = self.plan.tasks[problem], self.succeeded(problem)
        values, true = self.hypervolumes(problem), self.true_hypervolume(problem)
        ranks = {}
        if values:
            mean = statistics.ranks(np.column_stack(list(values.values()))).mean(axis=0)
            ranks = dict(zip(values, mean.tolist(), strict=True))
        for algorithm in self.plan.algorithms:
            every = self.of(problem, algorithm)
            row = {
                "problem": problem,
                "algorithm": algorithm,
                "runs": len(every),
                "failed": sum(bool(run.failed) for run in every),
                task.unit: task.budget,
            }
            if algorithm in runs:
                quartiles = np.percentile(values[algorithm], [25, 50, 75]).tolist()
                row |= dict(zip(("q1", "median", "q3"), quartiles, strict=True))
                row["mean_rank"] = ranks[algorithm]
                if task.table:
                    needed = np.array([run.evaluations_to_99 for run in every], float)
                    row |= {
                        "log10_gap": _log_gap(quartiles[1], true),
                        "igd_plus": float(np.median([run.igd_plus for run in every])),
                        "reached_99": int(np.isfinite(needed).sum()),
                        "evaluations_to_99": float(np.median(np.nan_to_num(needed, nan=np.inf))),
                    }
                if task.nonstationary:
                    ends = [run.population[-1] for run in every]
                    row |= {
                        "descriptive": float(np.median(ends)),
                        "training_steps": int(np.median([run.training_steps for run in every])),
                    }
            yield row

    def pairs(self, problem):
        """A list of :class:`~moonas.comparison.statistics.Pair`, of all that did not fail."""
        return statistics.pairwise(self.hypervolumes(problem))

    def friedman(self, problem):
        """p that all algorithms are alike on a problem, over seeds; None for too few of either."""
        values = self.hypervolumes(problem)
        if len(values) < 3 or len(self.plan.seeds) < 2:
            return None
        return statistics.friedman(np.column_stack(list(values.values())))

    def too_few_seeds(self, problem):
        """Whether no pair could differ significantly, however clear the difference."""
        return len(self.plan.seeds) < self.enough_seeds(problem)

    def enough_seeds(self, problem):
        """How many seeds a pair could differ significantly with."""
        k = len(self.hypervolumes(problem))
        n = 1
        while statistics.least_p(n, max(1, k * (k - 1) // 2)) > LEVEL:
            n += 1
        return n

    def write(self, out):
        """Write results.csv, pairs.csv, runs.csv and fronts.csv.

        With too few seeds, pairs have effect sizes alone.
        """
        write_csv(out / "results.csv", self.results)
        pairs = []
        for problem in self.plan.tasks:
            left = {"p": "", "p_holm": ""} if self.too_few_seeds(problem) else {}
            pairs += [{"problem": problem} | vars(p) | left for p in self.pairs(problem)]
        write_csv(out / "pairs.csv", pairs)
        runs = [
            {
                "problem": run.problem,
                "algorithm": run.algorithm,
                "seed": run.seed,
                "hypervolume": run.hypervolume,
                "igd_plus": run.igd_plus,
                "evaluations": int(run.evaluations[-1]) if len(run.evaluations) else "",
                "evaluations_to_99": run.evaluations_to_99,
                "training_steps": run.training_steps,
                "failed": run.failed,
            }
            for run in self.runs
        ]
        write_csv(out / "runs.csv", runs)
        write_csv(out / "fronts.csv", [row for run in self.runs for row in self._fronts_of(run)])

    def _fronts_of(self, run):
        """Rows of fronts.csv: the fronts of a run, by what they are the front of."""
        names = self.problems[run.problem].objectives
        for of, F in (
            ("population", run.front),
            ("all evaluated", run.best),
            ("picks as searched", run.picks),
            ("picks retrained", run.retrained),
        ):
            who = {"problem": run.problem, "algorithm": run.algorithm, "seed": run.seed, "of": of}
            for point in F.tolist():
                yield who | dict(zip(names, point, strict=True))


def _log_gap(value, true):
    """log10 of what a hypervolume lacks of the true one; -inf where it lacks nothing."""
    gap = max(true - value, 0.0)
    return math.log10(gap) if gap > 0 else -math.inf


def write_csv(path, rows):
    """Write dicts as CSV, a column a key; NaN is left empty."""
    text = io.StringIO()
    names = list(dict.fromkeys(name for row in rows for name in row))
    writer = csv.DictWriter(text, names, lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({k: "" if _is_nan(v) else v for k, v in row.items()})
    write_atomically(path, text.getvalue().encode())


def _is_nan(value):
    return isinstance(value, float) and math.isnan(value)
