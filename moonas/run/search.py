"""A search: minimize a problem, record the run in a journal, and write the front to a file."""

from __future__ import annotations

import time
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pymoo.optimize import minimize

from ..errors import TrainingWarning
from ..pareto import CLOSEST, Front, Row, front, pick_least_violation, population_front
from . import front_file
from .numbers import expected_duration

if TYPE_CHECKING:
    from pymoo.core.algorithm import Algorithm
    from pymoo.core.result import Result

    from ..problem import ArchitectureProblem


SHORTEST_EXPECTED = 20  # seconds; the time of a shorter search is not worth a line


@dataclass(frozen=True)
class SearchResult:
    """Result of a search.

    Args:
        result: result of pymoo's ``minimize``.
        rows: rows of the front.
        picked: index of the row of the front that ``problem.pick`` selects; None if the front is
            empty.
        rule: description of the picked row, such as "the knee of the front".
        afterwards: lines to print, which ``problem.after_search`` returned for the selected row.
        folder: run folder.
        computed: whether this search computed a call; False if the journal contained all results.
    """

    result: Result
    rows: list[Row]
    picked: int | None
    rule: str
    afterwards: list[str]
    folder: Path
    computed: bool


def search(
    problem: ArchitectureProblem,
    algorithm: Algorithm,
    *,
    seed: int,
    generations: int,
    verbose: bool = True,
) -> SearchResult:
    """Run or resume a search, and write its front to ``front.csv`` in the run folder.

    :func:`moonas.views.front.save_front` plots the front.

    Args:
        problem: problem with a journal, as returned by ``load_problem(..., journal=FOLDER)``.
        algorithm: pymoo algorithm.
        seed: seed of the run.
        generations: number of generations.
        verbose: whether to print a line per generation.
    """
    journal = problem.journal
    assert journal is not None, "search() requires a problem with a journal"
    n_calls_before = journal.n_calls
    expected = _ExpectedTime(problem, generations)

    def after_generation(running: Algorithm) -> None:
        problem.after_generation(running)
        expected.after_generation(running)
        problem.callbacks.on_generation(running)

    result = minimize(
        problem,
        algorithm,
        ("n_gen", generations),
        seed=seed,
        verbose=verbose,
        callback=after_generation,
    )
    if result.algorithm.termination.force_termination:
        problem.log(
            f"The search ends in generation {result.algorithm.n_gen - 1} of {generations}, because "
            "it found no further architecture that has not been evaluated."
        )
    computed = journal.n_calls > n_calls_before
    recorded = None if computed else _recorded_front(problem, result, journal.folder)
    rows, picked, rule = recorded or _new_front(problem, result)
    warning = None if picked is None else problem.pick_warning(rows[picked])
    if warning is not None:
        warnings.warn(warning, TrainingWarning, stacklevel=2)
    front_file.write_front_csv(problem, rows, journal.folder / front_file.FRONT_FILE, picked)
    afterwards = [] if picked is None else problem.after_search(rows[picked])
    return SearchResult(result, rows, picked, rule, afterwards, journal.folder, computed)


class _ExpectedTime:
    """Logs the expected time of a search once, after the first generation that can be timed.

    The first generation includes the warm-up of shared weights, so that the second one is the first
    whose time is that of the others. An evaluator may have measured and logged the time earlier.

    Args:
        problem: problem that is searched.
        generations: number of generations of the search.
    """

    def __init__(self, problem: ArchitectureProblem, generations: int) -> None:
        self._problem, self._generations = problem, generations
        self._begun: float | None = None  # time after the first generation that was computed
        self._logged = False

    def after_generation(self, running: Algorithm) -> None:
        """Log the expected time if it is known for the first time."""
        journal = self._problem.journal
        is_known = self._logged or self._problem.session.has_logged_time
        if is_known or journal is None or journal.replaying:
            return
        now = time.perf_counter()
        if self._begun is None:
            self._begun = now
            return
        self._logged = True
        left = (self._generations - running.n_gen) * (now - self._begun)
        total = journal.elapsed_seconds + left
        if total >= SHORTEST_EXPECTED and left > 0:
            self._problem.log(f"The whole search will take about {expected_duration(total)}.")


def _new_front(problem: ArchitectureProblem, result: Result) -> tuple[Front, int | None, str]:
    """Return the front of a result, the index of its picked row, and a description of it."""
    rows = front(result)
    return rows, *pick_from(problem, rows)


def _recorded_front(
    problem: ArchitectureProblem, result: Result, folder: Path
) -> tuple[Front, int | None, str] | None:
    """Return the front and the pick that ``front.csv`` of a complete run contains.

    An earlier version may have had another front, that of the last population, or another pick;
    trainings of its rows must find them again. The result is None without such a file.
    """
    if not (folder / front_file.FRONT_FILE).exists():
        return None
    file_rows = front_file.read_front_csv(folder)
    for rows in (front(result), population_front(problem, result.pop)):
        if [problem.genes.text(row.x) for row in rows] == [row.x for row in file_rows]:
            picked = next((i for i, row in enumerate(file_rows) if row.picked), None)
            new, rule = pick_from(problem, rows)
            return rows, picked, rule if picked == new else "the pick of an earlier version"
    return None


def pick_from(problem: ArchitectureProblem, rows: Front) -> tuple[int | None, str]:
    """Return the index of the row that a search picks from its front, and a description of it.

    If no candidate is feasible, the row that exceeds the limits least is picked.
    """
    if rows.feasible:
        return problem.pick(rows), problem.pick_rule(rows)
    return pick_least_violation(rows), CLOSEST
