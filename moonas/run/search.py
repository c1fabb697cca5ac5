"""A search: minimize a problem, record the run in a journal, and write the front to a file."""

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
    """Result of a search.

    Args:
        result: result of pymoo's ``minimize``.
        rows: rows of the front.
        picked: index of the row of the front that ``problem.pick`` selects; None if the front is
            empty.
        afterwards: lines to print, which ``problem.after_search`` returned for the selected row.
        folder: run folder.
        computed: whether this search computed a call; False if the journal contained all results.
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

    def after_generation(running: Algorithm) -> None:
        problem.after_generation(running)
        problem.callbacks.on_generation(running)

    result = minimize(
        problem,
        algorithm,
        ("n_gen", generations),
        seed=seed,
        verbose=verbose,
        callback=after_generation,
    )
    rows = front(result)
    picked = problem.pick(rows)
    front_file.write_front_csv(problem, rows, journal.folder / front_file.FRONT_FILE, picked)
    afterwards = [] if picked is None else problem.after_search(rows[picked])
    computed = journal.n_calls > n_calls_before
    return SearchResult(result, rows, picked, afterwards, journal.folder, computed)
