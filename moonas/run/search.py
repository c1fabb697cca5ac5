"""One search: a problem with a journal, an algorithm, and the files that come out."""

from dataclasses import dataclass
from pathlib import Path

from pymoo.optimize import minimize

from ..files import save_figure
from ..pareto import front
from ..views import front as report
from . import front_file


@dataclass(frozen=True)
class Found:
    """What a search ended with."""

    result: object  # pymoo's
    rows: list  # of the front, see moonas.pareto.Row
    picked: int | None  # index of the row that problem.pick chooses
    afterwards: list  # lines on what the problem did with the picked row, see after_search
    folder: Path
    computed: bool  # False when everything came from the record of an earlier run


def search(problem, algorithm, *, seed, generations, verbose=True):
    """Run a search to its end, or go on with it where it stopped, and write its front.

    Args:
        problem: made by ``load_problem(..., journal=FOLDER)``.
        algorithm: a pymoo algorithm.
        seed: of the run.
        generations: to stop after.
        verbose: show a line a generation.

    Returns:
        A :class:`Found`; ``front.csv`` and ``front.png`` are in the folder.
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
    everyone = {name: result.pop.get(name).astype(float) for name in problem.shown}
    figure, _ = report.front_picture(problem, everyone, rows, picked)
    save_figure(figure, folder / "front.png", dpi=150)
    afterwards = problem.after_search(rows[picked]) if rows else []
    computed = problem.journal.n_calls > before
    return Found(result, rows, picked, afterwards, folder, computed)
