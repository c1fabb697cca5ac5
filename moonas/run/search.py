"""A search: minimize a problem, record the run in a journal, and write the front to a file."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pymoo.optimize import minimize

from ..errors import TrainingWarning
from ..pareto import CLOSEST, Front, Row, front, pick_least_violation
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
    if result.algorithm.termination.force_termination:
        problem.log(
            f"The search ends in generation {result.algorithm.n_gen - 1} of {generations}, because "
            "it found no further architecture that has not been evaluated."
        )
    rows = front(result)
    picked, rule = pick_from(problem, rows)
    warning = None if picked is None else problem.pick_warning(rows[picked])
    if warning is not None:
        warnings.warn(warning, TrainingWarning, stacklevel=2)
    front_file.write_front_csv(problem, rows, journal.folder / front_file.FRONT_FILE, picked)
    afterwards = [] if picked is None else problem.after_search(rows[picked])
    computed = journal.n_calls > n_calls_before
    return SearchResult(result, rows, picked, rule, afterwards, journal.folder, computed)


def pick_from(problem: ArchitectureProblem, rows: Front) -> tuple[int | None, str]:
    """Return the index of the row that a search picks from its front, and a description of it.

    If no candidate is feasible, the row that exceeds the limits least is picked.
    """
    if rows.feasible:
        return problem.pick(rows), problem.pick_rule(rows)
    return pick_least_violation(rows), CLOSEST
