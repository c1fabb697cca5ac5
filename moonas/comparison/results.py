"""Numerical results of a comparison: quartiles, ranks, statistical tests and CSV files."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from ..deprecation import RenamedAttribute
from ..files import write_csv
from ..registry import load_problem
from . import statistics
from .plan import Plan
from .runs import Run

SIGNIFICANCE_LEVEL = 0.05


class Comparison:
    """Runs of a comparison, and the results computed from them.

    Args:
        plan: plan of the comparison.
        runs: one :class:`~moonas.comparison.runs.Run` per key of ``plan.run_keys()``.
    """

    of = RenamedAttribute("of", "runs_of")
    enough_seeds = RenamedAttribute("enough_seeds", "seeds_needed")

    def __init__(self, plan: Plan, runs: Sequence[Run]) -> None:
        self.plan, self.runs = plan, runs

    @cached_property
    def problems(self) -> dict[str, Any]:
        """Problems by label."""
        return {k: load_problem(task.name, **task.options) for k, task in self.plan.tasks.items()}

    def runs_of(self, problem: str, algorithm: str) -> list[Run]:
        """Return the runs of an algorithm on a problem, ordered by seed."""
        return [r for r in self.runs if (r.problem, r.algorithm) == (problem, algorithm)]

    def successful_runs(self, problem: str) -> dict[str, list[Run]]:
        """Return the runs of each algorithm without a failed run, ordered by seed."""
        runs_of = {a: self.runs_of(problem, a) for a in self.plan.algorithms}
        return {a: runs for a, runs in runs_of.items() if not any(run.failed for run in runs)}

    def hypervolumes(self, problem: str) -> dict[str, np.ndarray]:
        """Return (n_seeds,) hypervolumes of each algorithm without a failed run."""
        return {
            a: np.array([run.hypervolume for run in runs])
            for a, runs in self.successful_runs(problem).items()
        }

    @cached_property
    def results(self) -> list[dict[str, Any]]:
        """One row per problem and algorithm; if a run failed, the row contains only counts.

        The columns are

        - q1, median and q3: quartiles of the hypervolume over seeds;
        - mean_rank: mean rank of the hypervolume over seeds, 1 is best;
        - log10_gap: log10 of the share of the true hypervolume that the median lacks;
        - igd_plus and evaluations_to_99: medians over seeds; evaluations_to_99 is infinite if at
          least half of the runs never reach 99 % of the true hypervolume;
        - reached_99: number of runs that reach 99 % of the true hypervolume;
        - descriptive: median hypervolume under the runs' shared weights, if objectives change;
        - training_steps: median number of training steps of the shared weights.
        """
        return [row for problem in self.plan.tasks for row in self._results_of(problem)]

    def _results_of(self, problem: str) -> Iterator[dict[str, Any]]:
        task, succeeded = self.plan.tasks[problem], self.successful_runs(problem)
        values = self.hypervolumes(problem)
        ranks = {}
        if values:
            mean = statistics.ranks(np.column_stack(list(values.values()))).mean(axis=0)
            ranks = dict(zip(values, mean.tolist(), strict=True))
        for algorithm in self.plan.algorithms:
            runs = self.runs_of(problem, algorithm)
            row: dict[str, Any] = {
                "problem": problem,
                "algorithm": algorithm,
                "runs": len(runs),
                "failed": sum(bool(run.failed) for run in runs),
                task.unit: task.budget,
            }
            if algorithm in succeeded:
                quartiles = np.percentile(values[algorithm], [25, 50, 75]).tolist()
                row |= dict(zip(("q1", "median", "q3"), quartiles, strict=True))
                row["mean_rank"] = ranks[algorithm]
                if task.tabular:
                    needed = np.array([run.evaluations_to_99 for run in runs], float)
                    row |= {
                        "log10_gap": _log_gap(quartiles[1]),
                        "igd_plus": float(np.median([run.igd_plus for run in runs])),
                        "reached_99": int(np.isfinite(needed).sum()),
                        "evaluations_to_99": float(np.median(np.nan_to_num(needed, nan=np.inf))),
                    }
                if task.nonstationary:
                    last = [run.population[-1] for run in runs]
                    row |= {
                        "descriptive": float(np.median(last)),
                        "training_steps": int(np.median([run.training_steps for run in runs])),
                    }
            yield row

    def pairs(self, problem: str) -> list[statistics.Pair]:
        """Compare every pair of algorithms without a failed run."""
        return statistics.pairwise(self.hypervolumes(problem))

    def not_worse_than_best(self, problem: str) -> list[str]:
        """Return the algorithm with the lowest mean rank, and those not significantly worse.

        An algorithm is significantly worse if Wilcoxon's signed-rank test of its hypervolumes and
        those of the best algorithm has p < 0.05 after Holm's correction for all pairs, and the best
        algorithm has the larger values more often (A12 above 0.5).

        Returns:
            The best algorithm first; empty with fewer than two algorithms without a failed run, or
            with too few seeds for any pair to differ significantly.
        """
        values = self.hypervolumes(problem)
        if len(values) < 2 or self.too_few_seeds(problem):
            return []
        mean = statistics.ranks(np.column_stack(list(values.values()))).mean(axis=0)
        best = list(values)[int(mean.argmin())]
        worse = set()
        for pair in self.pairs(problem):
            if best in (pair.first, pair.second) and pair.p_holm < SIGNIFICANCE_LEVEL:
                a12 = pair.a12 if pair.first == best else 1 - pair.a12
                if a12 > 0.5:
                    worse.add(pair.second if pair.first == best else pair.first)
        return [best, *(name for name in values if name != best and name not in worse)]

    def friedman(self, problem: str) -> float | None:
        """Return the p-value of Friedman's test over seeds.

        The result is None for fewer than three algorithms without a failed run and for fewer than
        two seeds.
        """
        values = self.hypervolumes(problem)
        if len(values) < 3 or len(self.plan.seeds) < 2:
            return None
        return statistics.friedman(np.column_stack(list(values.values())))

    def too_few_seeds(self, problem: str) -> bool:
        """Return whether the seeds are too few for any pair to differ significantly."""
        return len(self.plan.seeds) < self.seeds_needed(problem)

    def seeds_needed(self, problem: str) -> int:
        """Return the smallest number of seeds with which a pair could differ significantly."""
        k = len(self.hypervolumes(problem))
        n = 1
        while statistics.smallest_p(n, max(1, k * (k - 1) // 2)) > SIGNIFICANCE_LEVEL:
            n += 1
        return n

    def write(self, out: Path) -> None:
        """Write results.csv, pairs.csv, runs.csv and fronts.csv.

        With too few seeds, pairs.csv contains effect sizes but no p-values.

        Args:
            out: existing folder.
        """
        write_csv(out / "results.csv", self.results)
        pairs = []
        for problem in self.plan.tasks:
            blank = {"p": "", "p_holm": ""} if self.too_few_seeds(problem) else {}
            pairs += [{"problem": problem} | vars(p) | blank for p in self.pairs(problem)]
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
        write_csv(out / "fronts.csv", [row for run in self.runs for row in self._front_rows(run)])

    def _front_rows(self, run: Run) -> Iterator[dict[str, Any]]:
        """Yield the rows of fronts.csv for a run; the column "of" names the front."""
        names = self.problems[run.problem].objectives
        for front, F in (
            ("population", run.front),
            ("all evaluated", run.best),
            ("picks as searched", run.picks),
            ("picks retrained", run.retrained),
        ):
            row = {
                "problem": run.problem,
                "algorithm": run.algorithm,
                "seed": run.seed,
                "of": front,
            }
            for point in F.tolist():
                yield row | dict(zip(names, point, strict=True))


def _log_gap(share: float) -> float:
    """Return log10 of the share of the true hypervolume that is missing; -inf for none."""
    gap = max(1 - share, 0.0)
    return math.log10(gap) if gap > 0 else -math.inf
