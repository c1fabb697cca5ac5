"""What a running search shows: a line a generation, and the time left."""

import time

import numpy as np
from pymoo.util.display.column import Column
from pymoo.util.display.output import Output

from ..pareto import hypervolume
from .numbers import clock, short_number


def _shown(value, unit):
    return f"{value:.2f} %" if unit == "%" else short_number(value)


class SearchOutput(Output):
    """Columns of pymoo's display: best, range of sizes, hypervolume, time left.

    Best is that of the first objective, the range that of the second one, or of what else is shown
    where there is one objective. The second sort of pNSGA-III
    (growth or size) and the share of the offspring that come from a model have columns of their
    own, shown where there is such a thing. Time left is estimated from the generations that were
    computed, not replayed.
    """

    def __init__(self):
        super().__init__()
        self.n_gen.name, self.n_eval.name = "gen", "evals"
        self.n_gen.width = 4
        self.best = Column("best", width=14)
        self.range = Column("range", width=19)
        self.hv = Column("hypervolume", width=11)
        self.rule = Column("2nd sort", width=8)
        self.model = Column("by model", width=8)
        self.failed = Column("failed", width=6)
        self.left = Column("time left", width=9)
        self.since = None  # (share done, time) when the first computed generation ended

    def initialize(self, algorithm):
        """Name the columns after the problem's objectives."""
        problem = algorithm.problem
        self.best.name = f"best {problem.objectives[0]}"
        self.range.name = f"range of {problem.plotted_columns[1]}"
        self.range.width = max(self.range.width, len(self.range.name))
        self.best.width = max(self.best.width, len(self.best.name))
        self.columns += [self.best, self.range, self.hv]
        if hasattr(getattr(algorithm, "survival", None), "rule"):
            self.columns.append(self.rule)
        if hasattr(getattr(algorithm, "mating", None), "shares"):
            self.columns.append(self.model)
        self.columns += [self.failed, self.left]

    def update(self, algorithm):
        """Take the numbers of the generation that has just ended."""
        super().update(algorithm)
        problem, F = algorithm.problem, algorithm.pop.get("F")
        first, second = (problem.column(name) for name in problem.plotted_columns)
        sizes = algorithm.pop.get(second.name).astype(float)
        self.best.set(_shown(F[:, 0].min(), first.unit))
        self.range.set(f"{_shown(sizes.min(), second.unit)} - {_shown(sizes.max(), second.unit)}")
        self.hv.set(f"{hypervolume(F, problem.objective_bounds()):.4f}")
        if self.rule in self.columns:
            self.rule.set(algorithm.survival.rule)
        if self.model in self.columns:
            self.model.set(f"{100 * algorithm.mating.shares[1]:.0f} %")
        self.failed.set(int(np.sum(algorithm.pop.get("failed").astype(bool))))
        self.left.set(self._time_left(algorithm))

    def _time_left(self, algorithm):
        journal, share = algorithm.problem.journal, algorithm.termination.perc
        if journal is not None and journal.replaying:
            return "replayed"
        now = time.perf_counter()
        if share >= 1:
            return "done"
        if self.since is None:
            self.since = (share, now)
            return "-"
        done, begun = self.since
        return clock((now - begun) / max(share - done, 1e-9) * (1 - share))
