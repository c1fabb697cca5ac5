"""One run of an algorithm on a problem, and what a comparison keeps of it.

Where scores do not move, a run has a number of evaluations, and the front of all that it evaluated
counts. Where they move, it has a number of generations, so that weights train as many steps for
every algorithm; its own weights judge its front, which says little, so some networks of that front
are trained from scratch, and these count.
"""

import math
from dataclasses import dataclass, field, fields

import moocore
import numpy as np
from pymoo.algorithms.moo.rvea import RVEA
from pymoo.optimize import minimize

from ..pareto import front_indices, hypervolume
from ..registry import training_settings_class
from ..run.callbacks import RunCallback
from ..run.folders import last_run
from ..run.front_file import evenly_spaced_rows
from ..run.journal import read_run
from ..run.search import search
from ..settings import names_of
from ..tabular import TabularProblem
from ..task import load_training, make_algorithm
from ..views.front import save_front

NEAR = 0.99  # of the true hypervolume


def _nothing():
    return np.empty(0)


@dataclass(frozen=True)
class Run:
    """One run.

    Args:
        problem: its label.
        algorithm: its label.
        seed: of it.
        failed: what went wrong, in words; "" for nothing. Then there are no numbers.
        evaluations: (n,) made after each generation, as far as the budget goes, and at its end;
            parents that are scored again under new weights count.
        population: (n,) hypervolume of the population's front after each generation.
        archive: (n,) the same of all that was evaluated so far; empty where scores move.
        front: (k, n_obj) the last population's front.
        best: (m, n_obj) the front of all that was evaluated; empty where scores move.
        picks: (p, n_obj) networks of the last front as the search scored them, where they move.
        retrained: (p, n_obj) the same networks after a training from scratch.
        hypervolume: what algorithms are compared by: that of ``best``, or of ``retrained``.
        igd_plus: of ``best`` to the true front, in units of the bounds; NaN if that is unknown.
        evaluations_to_99: after which the archive had 99 % of the true hypervolume; NaN if it never
            had, or if that is unknown.
        training_steps: of weights that candidates share; 0 where there are none.
    """

    problem: str
    algorithm: str
    seed: int
    failed: str = ""
    evaluations: np.ndarray = field(default_factory=_nothing)
    population: np.ndarray = field(default_factory=_nothing)
    archive: np.ndarray = field(default_factory=_nothing)
    front: np.ndarray = field(default_factory=_nothing)
    best: np.ndarray = field(default_factory=_nothing)
    picks: np.ndarray = field(default_factory=_nothing)
    retrained: np.ndarray = field(default_factory=_nothing)
    hypervolume: float = math.nan
    igd_plus: float = math.nan
    evaluations_to_99: float = math.nan
    training_steps: int = 0

    @property
    def series(self):
        """(n,) hypervolumes over evaluations, the archive's where there is one."""
        return self.archive if len(self.archive) else self.population

    @property
    def points(self):
        """(k, n_obj) the front that counts."""
        return self.retrained if len(self.retrained) else self.best


NUMBERS = [f.name for f in fields(Run)][4:]


class _Recorder(RunCallback):
    """Keeps the front of every population, and the scores of everything that is evaluated."""

    def __init__(self, problem):
        self.problem, self.generations, self.evaluated = problem, [], []

    def on_scores(self, candidates, columns):
        F = np.column_stack([columns[name] for name in self.problem.objectives])
        self.evaluated.append(np.asarray(F, float))

    def on_generation(self, algorithm):
        pop = algorithm.pop
        F = pop[pop.get("feas")].get("F")
        self.generations.append((algorithm.evaluator.n_eval, F[front_indices(F)]))


def play(problem, algorithm, seed, evaluations):
    """Run an algorithm on a problem whose scores do not move.

    Args:
        problem: an :class:`~moonas.problem.ArchitectureProblem`.
        algorithm: name, or problem -> pymoo algorithm.
        seed: of the run.
        evaluations: the budget; what the last generation evaluates beyond it does not count.

    Returns:
        A dict of the numbers of :class:`Run`.

    Raises:
        ValueError: scores of the problem move.
    """
    if problem.nonstationary:
        raise ValueError(f"Scores of {type(problem).__name__} move while a run trains.")
    searching, recorder = make_algorithm(algorithm, problem), _Recorder(problem)
    problem.callbacks.append(recorder)
    budget, after = _until(searching, evaluations), problem.callbacks.on_generation
    try:
        minimize(problem, searching, budget, seed=seed, callback=after)
    finally:
        problem.callbacks.remove(recorder)
    every = np.concatenate(recorder.evaluated)[:evaluations]
    within = [g for g in recorder.generations if g[0] <= evaluations] or recorder.generations[:1]
    counts = [min(n, evaluations) for n, _ in within]
    if counts[-1] < len(every):  # the budget ends within a generation
        counts, within = [*counts, len(every)], [*within, within[-1]]
    bounds = problem.objective_bounds()
    archive = np.array([hypervolume(every[:n], bounds) for n in counts])
    found = {
        "evaluations": np.array(counts),
        "population": np.array([hypervolume(F, bounds) for _, F in within]),
        "archive": archive,
        "front": within[-1][1],
        "best": every[front_indices(every)],
        "hypervolume": float(archive[-1]),
    }
    if isinstance(problem, TabularProblem):
        wanted = NEAR * problem.true_hypervolume()
        found["igd_plus"] = igd_plus(found["best"], problem.true_front()[1], bounds)
        if archive[-1] >= wanted:
            found["evaluations_to_99"] = float(_first(every, bounds, wanted))
    return found


def _until(searching, evaluations):
    """The termination of a budget; of RVEA pymoo makes one generation too few of evaluations."""
    if isinstance(searching, RVEA):
        more = max(0, evaluations - searching.pop_size)
        return "n_gen", 1 + math.ceil(more / searching.n_offsprings)
    return "n_eval", evaluations


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


def igd_plus(F, true, bounds):
    """Mean distance by which a front falls short of the true one (IGD+, Ishibuchi et al., 2015).

    Args:
        F: (k, n_obj).
        true: (m, n_obj).
        bounds: (2, n_obj), the rectangle whose sides are one.

    Returns:
        A number, 0 for the true front itself.
    """
    low, high = np.asarray(bounds, float)
    return float(moocore.igd_plus((F - low) / (high - low), ref=(true - low) / (high - low)))


def play_nonstationary(problem, algorithm, seed, generations, n_picks, training):
    """Search with weights that train, then train networks of the front from scratch.

    Args:
        problem: a :class:`~moonas.weight_sharing.WeightSharingProblem` with a journal.
        algorithm: name, or problem -> pymoo algorithm.
        seed: of the search and of the trainings.
        generations: the budget.
        n_picks: networks to train, evenly spread over the front.
        training: options of the trainings.

    Returns:
        A dict of the numbers of :class:`Run`.
    """
    recorder = _Recorder(problem)
    problem.callbacks.append(recorder)
    folder, bounds = problem.journal.folder, problem.objective_bounds()
    try:
        ended = search(
            problem,
            make_algorithm(algorithm, problem),
            seed=seed,
            generations=generations,
            verbose=False,
        )
        save_front(problem, ended, folder)
    finally:
        problem.callbacks.remove(recorder)
        problem.journal.close()
    if "pick" in names_of(training_settings_class(last_run(folder)[1])):
        chosen = evenly_spaced_rows(len(ended.rows), n_picks)
        trainings = [(i, {"pick": str(i)}) for i in chosen]
    else:
        trainings = [(ended.picked, {})]
    picks, retrained = [], []
    for i, pick in trainings:
        stage = load_training(folder, journal=folder / f"training-{i}", **pick, **training)
        try:
            columns = ended.rows[i].columns | stage.run(seed).columns
        finally:
            stage.journal.close()
        picks.append([ended.rows[i].objectives[name] for name in problem.objectives])
        retrained.append([columns[name] for name in problem.objectives])
    retrained = np.array(retrained, float)
    known = np.where(np.isfinite(retrained), retrained, bounds[1])  # diverged: the worst
    records = read_run(folder)[1]
    return {
        "evaluations": np.array([n for n, _ in recorder.generations]),
        "population": np.array([hypervolume(F, bounds) for _, F in recorder.generations]),
        "front": recorder.generations[-1][1],
        "picks": np.array(picks, float),
        "retrained": known,
        "hypervolume": hypervolume(known, bounds),
        "training_steps": sum(r["result"].get("steps", 0) for r in records if r["kind"] == "train"),
    }
