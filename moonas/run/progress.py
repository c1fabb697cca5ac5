"""Progress display of a search: one line per generation, with the estimated remaining time."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING

import numpy as np
from pymoo.util.display.column import Column
from pymoo.util.display.output import Output

from ..archive import population_columns
from ..pareto import archive_of, front_indices
from .numbers import format_duration, short_number

if TYPE_CHECKING:
    from pymoo.core.algorithm import Algorithm


def _format_value(value: float, unit: str) -> str:
    return f"{value:.2f} %" if unit == "%" else short_number(value)


class SearchOutput(Output):
    """Output for pymoo: best objective value, range of sizes, hypervolume and remaining time.

    The column "best" shows the lowest value of the first objective in the population, "hypervolume"
    that of all evaluated candidates or, if objectives change, of the population. The column "range"
    shows the lowest and highest value of the second plotted column. Three columns appear for some
    algorithms only: "2nd sort" shows the criterion of the second sort of pNSGA-III (growth or
    size); "by model" shows the share of offspring that a surrogate model proposed, and "neighbors"
    the share that are neighbors of the best candidates. The training measures of the problem
    follow, such as losses. The remaining time is estimated from the generations that were computed;
    replayed generations are ignored.
    """

    def __init__(self) -> None:
        super().__init__()
        self.n_gen.name, self.n_eval.name = "gen", "evals"
        self.n_gen.width = 4
        self.best = Column("best", width=14)
        self.range = Column("range", width=19)
        self.hypervolume = Column("hypervolume", width=11)
        self.second_sort = Column("2nd sort", width=8)
        self.by_source = Column("by model", width=9)
        self.measures: dict[str, Column] = {}
        self.failed = Column("failed", width=6)
        self.time_left = Column("time left", width=9)
        # non-dominated objectives of the first n_seen rows of the archive
        self.best_objectives, self.n_seen = np.empty((0, 1)), 0
        # (progress, time in seconds) after the first generation that was computed, not replayed
        self.first_computed: tuple[float, float] | None = None

    def initialize(self, algorithm: Algorithm) -> None:
        """Name the columns after the objectives of the problem, and add them to the output."""
        problem = algorithm.problem
        self.best.name = f"best {problem.objectives[0]}"
        self.range.name = f"range of {problem.plotted_columns[1]}"
        self.range.width = max(self.range.width, len(self.range.name))
        self.best.width = max(self.best.width, len(self.best.name))
        self.columns += [self.best, self.range, self.hypervolume]
        if hasattr(getattr(algorithm, "survival", None), "rule"):
            self.columns.append(self.second_sort)
        if hasattr(getattr(algorithm, "mating", None), "shares"):
            self.by_source.name = algorithm.mating.shown_as
            self.columns.append(self.by_source)
        for measure in problem.training_measures:
            column = Column(measure.title, width=max(7, len(measure.title)))
            self.measures[measure.name] = column
        self.columns += [*self.measures.values(), self.failed, self.time_left]

    def update(self, algorithm: Algorithm) -> None:
        """Set the columns to the values of the current population."""
        super().update(algorithm)
        problem, F = algorithm.problem, algorithm.pop.get("F")
        first, second = (problem.column(name) for name in problem.plotted_columns)
        sizes = algorithm.pop.get(second.name).astype(float)
        smallest = _format_value(sizes.min(), second.unit)
        largest = _format_value(sizes.max(), second.unit)
        self.best.set(_format_value(F[:, 0].min(), first.unit))
        self.range.set(f"{smallest} - {largest}")
        self.hypervolume.set(f"{problem.hypervolume(self._best_objectives(algorithm)):.4f}")
        if self.second_sort in self.columns:
            self.second_sort.set(algorithm.survival.rule)
        if self.by_source in self.columns:
            self.by_source.set(f"{100 * algorithm.mating.shares[1]:.0f} %")
        values = problem.session.monitor.values
        for measure in problem.training_measures:
            value = values.get(measure.name, math.nan)  # earlier versions did not record each one
            self.measures[measure.name].set(measure.text(value))
        self.failed.set(int(np.sum(algorithm.pop.get("failed").astype(bool))))
        self.time_left.set(self._time_left(algorithm))

    def _best_objectives(self, algorithm: Algorithm) -> np.ndarray:
        """Return objectives (n, n_obj) that dominate as much as everything evaluated so far.

        Of what was evaluated up to the last generation, only the front is compared with the rest,
        so that a generation of a long run takes no longer than one of a short run.
        """
        problem, archive = algorithm.problem, archive_of(algorithm)
        if archive is None:
            F: np.ndarray = problem.feasible_values(population_columns(problem, algorithm.pop))
            return F
        if len(archive) > self.n_seen:
            new = problem.feasible_values(archive.columns_after(self.n_seen))
            F = np.concatenate([self.best_objectives.reshape(-1, new.shape[1]), new])
            F = F[np.isfinite(F).all(axis=1)]
            self.best_objectives, self.n_seen = F[front_indices(F)], len(archive)
        return self.best_objectives

    def _time_left(self, algorithm: Algorithm) -> str:
        journal, progress = algorithm.problem.journal, algorithm.termination.perc
        if journal is not None and journal.replaying:
            return "replayed"
        now = time.perf_counter()
        if progress >= 1:
            return "done"
        if self.first_computed is None:
            self.first_computed = (progress, now)
            return "-"
        first_progress, begun = self.first_computed
        seconds_per_progress = (now - begun) / max(progress - first_progress, 1e-9)
        return format_duration(seconds_per_progress * (1 - progress))
