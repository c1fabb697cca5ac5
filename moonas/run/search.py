"""One search: a problem with a journal, an algorithm, and the front as a file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pymoo.optimize import minimize

from ..pareto import Row, front
from . import front_file

if TYPE_CHECKING:
    from pymoo.core.algorithm import Algorithm
    from pymoo.core.result import Result

    from ..problem import ArchitectureProblem


@dataclass(frozen=True)
class SearchResult:
    """What a search ended with.

    Args:
        result: pymoo's.
        rows: of the front.
        picked: index of the row that ``problem.pick`` chooses; None for an empty front.
        afterwards: lines that report what ``problem.after_search`` did with that row.
        folder: of the run.
        computed: whether anything was computed; False if all came from the journal.
    """

    result: Result
    rows: list[Row]
    picked: int | None
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
    """Run a search to its end, or resume it, and write its front to front.csv.

    :func:`moonas.views.front.save_front` draws the front.

    Args:
        problem: made by ``load_problem(..., journal=FOLDER)``.
        algorithm: a pymoo algorithm.
        seed: of the run.
        generations: to stop after.
        verbose: print a line per generation.
    """
    folder, before = problem.journal.folder, problem.journal.n_calls

    def ended_generation(running):
        problem.after_generation(running)
        problem.callbacks.on_generation(running)

    result = minimize(
        problem,
        algorithm,
        ("n_gen", generations),
        seed=seed,
        verbose=verbose,
        callback=ended_generation,
    )
    rows = front(result)
    picked = problem.pick(rows)
    front_file.write_front_csv(problem, rows, folder / front_file.NAME, picked)
    afterwards = problem.after_search(rows[picked]) if rows else []
    computed = problem.journal.n_calls > before
    return SearchResult(result, rows, picked, afterwards, folder, computed)
