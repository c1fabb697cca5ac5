"""Run one algorithm on one problem, and compute the results that a comparison needs.

If the objectives are fixed, a run has a budget of evaluations, and the front of all evaluated
candidates is compared. If the objectives change while shared weights train, a run has a budget of
generations; the weights then train for the same number of steps with every algorithm. Scores of a
front under the shared weights of one run are not comparable with scores of another run. Some
networks of each front are therefore trained from scratch, and their new scores are compared.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

import moocore
import numpy as np
from pymoo.algorithms.moo.rvea import RVEA
from pymoo.optimize import minimize

from ..pareto import front_indices
from ..planning import load_training, make_algorithm
from ..registry import training_settings_class
from ..run.callbacks import RunCallback
from ..run.folders import last_run
from ..run.front_file import evenly_spaced_rows
from ..run.journal import read_run
from ..run.search import search
from ..settings import names_of
from ..tabular import TabularProblem
from ..views.front import save_front

if TYPE_CHECKING:
    from numpy.typing import ArrayLike
    from pymoo.core.algorithm import Algorithm

    from ..problem import ArchitectureProblem
    from ..run.candidates import Candidates
    from .plan import AlgorithmLike

TARGET_SHARE = 0.99  # of the true hypervolume


def _empty() -> np.ndarray:
    return np.empty(0)


@dataclass(frozen=True)
class Run:
    """Results of one run of a comparison; a failed run has only an error message.

    Args:
        problem: label of the problem.
        algorithm: label of the algorithm.
        seed: seed of the run.
        failed: error message of a failed run, else "".
        evaluations: (n,) numbers of evaluations so far, after each generation within the budget
            and at the end of the budget. Evaluations of parents under new weights are included.
        population: (n,) hypervolumes of the population's front after each generation.
        archive: (n,) hypervolumes of all candidates evaluated so far; empty if objectives change.
        front: (k, n_obj) front of the last population.
        best: (m, n_obj) front of all evaluated candidates; empty if objectives change.
        picks: (p, n_obj) objectives of the picked networks as evaluated in the search; empty if
            objectives are fixed.
        retrained: (p, n_obj) objectives of the picked networks after training from scratch.
        hypervolume: hypervolume of ``best`` or ``retrained``; algorithms are compared by it. Where
            the true front is known, it and all other hypervolumes are shares of the true one.
        igd_plus: IGD+ of ``best`` with respect to the true front, with objectives scaled by the
            box of hypervolumes; NaN if the true front is unknown.
        evaluations_to_99: number of evaluations until the archive reaches 99 % of the true
            hypervolume; NaN if the archive never reaches it, or if the true front is unknown.
        training_steps: number of training steps of the shared weights; 0 without shared weights.
    """

    problem: str
    algorithm: str
    seed: int
    failed: str = ""
    evaluations: np.ndarray = field(default_factory=_empty)
    population: np.ndarray = field(default_factory=_empty)
    archive: np.ndarray = field(default_factory=_empty)
    front: np.ndarray = field(default_factory=_empty)
    best: np.ndarray = field(default_factory=_empty)
    picks: np.ndarray = field(default_factory=_empty)
    retrained: np.ndarray = field(default_factory=_empty)
    hypervolume: float = math.nan
    igd_plus: float = math.nan
    evaluations_to_99: float = math.nan
    training_steps: int = 0

    @property
    def hypervolume_curve(self) -> np.ndarray:
        """(n,) hypervolumes over evaluations: ``archive``, or ``population`` if it is empty."""
        return self.archive if len(self.archive) else self.population

    @property
    def compared_front(self) -> np.ndarray:
        """(k, n_obj) front that is compared: ``retrained``, or ``best`` if it is empty."""
        return self.retrained if len(self.retrained) else self.best


RESULT_NAMES = [f.name for f in fields(Run)][4:]


class _Recorder(RunCallback):
    """Record the front of every population and the objectives of all evaluated candidates.

    Args:
        problem: problem whose objectives are recorded.
    """

    def __init__(self, problem: ArchitectureProblem) -> None:
        self.problem = problem
        self.generations: list[tuple[int, np.ndarray]] = []  # (evaluations, front)
        self.evaluated: list[np.ndarray] = []

    def on_scores(self, candidates: Candidates, columns: dict[str, np.ndarray]) -> None:
        """Record the objectives of candidates."""
        self.evaluated.append(self.problem.feasible_values(columns))

    def on_generation(self, algorithm: Algorithm) -> None:
        """Record the front of the population."""
        pop = algorithm.pop
        F = pop[pop.get("feas")].get("F").reshape(-1, self.problem.n_obj)
        self.generations.append((algorithm.evaluator.n_eval, F[front_indices(F)]))


def run_algorithm(
    problem: ArchitectureProblem, algorithm: AlgorithmLike, seed: int, evaluations: int
) -> dict[str, Any]:
    """Run an algorithm on a problem with fixed objectives.

    Args:
        problem: problem to search.
        algorithm: name, or a function that receives the problem and returns a pymoo algorithm.
        seed: seed of the run.
        evaluations: budget; evaluations of the last generation beyond the budget are discarded.

    Returns:
        Results of the run, by field name of :class:`Run`.

    Raises:
        ValueError: the objectives of the problem change while shared weights train.
    """
    if problem.nonstationary:
        raise ValueError(
            f"Objectives of {type(problem).__name__} change while its shared weights train: "
            "expected a problem with fixed objectives."
        )
    pymoo_algorithm, recorder = make_algorithm(algorithm, problem), _Recorder(problem)
    problem.callbacks.append(recorder)
    termination = _termination(pymoo_algorithm, evaluations)
    on_generation = problem.callbacks.on_generation
    try:
        minimize(problem, pymoo_algorithm, termination, seed=seed, callback=on_generation)
    finally:
        problem.callbacks.remove(recorder)
    evaluated = np.concatenate(recorder.evaluated)[:evaluations]
    within = [g for g in recorder.generations if g[0] <= evaluations] or recorder.generations[:1]
    counts = [min(n, evaluations) for n, _ in within]
    if counts[-1] < len(evaluated):  # the budget ends within a generation
        counts, within = [*counts, len(evaluated)], [*within, within[-1]]
    archive = np.array([problem.hypervolume(evaluated[:n]) for n in counts])
    feasible = evaluated[np.isfinite(evaluated).all(axis=1)]
    results: dict[str, Any] = {
        "evaluations": np.array(counts),
        "population": np.array([problem.hypervolume(F) for _, F in within]),
        "archive": archive,
        "front": within[-1][1],
        "best": feasible[front_indices(feasible)],
        "hypervolume": float(archive[-1]),
    }
    if isinstance(problem, TabularProblem):
        true, box = problem.true_front()[1], problem.hypervolume_box()
        if len(feasible):
            results["igd_plus"] = igd_plus(results["best"], true, box)
        if archive[-1] >= TARGET_SHARE:
            reached = evaluations_to_reach(evaluated, problem.hypervolume, TARGET_SHARE)
            results["evaluations_to_99"] = float(reached)
    return results


def _termination(algorithm: Algorithm, evaluations: int) -> tuple[str, int]:
    """Return pymoo's termination criterion for a budget of evaluations.

    RVEA gets a number of generations, because pymoo ends it one generation too early otherwise.
    """
    if isinstance(algorithm, RVEA):
        offspring = max(0, evaluations - algorithm.pop_size)
        return "n_gen", 1 + math.ceil(offspring / algorithm.n_offsprings)
    return "n_eval", evaluations


def evaluations_to_reach(
    F: np.ndarray, hypervolume: Callable[[np.ndarray], float], target: float
) -> int:
    """Find, by bisection, the smallest number of evaluations that reaches a hypervolume.

    Args:
        F: (n, n_obj) objectives in the order of evaluation; all n together reach the target.
        hypervolume: function from objectives to their hypervolume, such as
            ``problem.hypervolume``.
        target: hypervolume to reach.
    """
    low, high = 1, len(F)
    while low < high:
        middle = (low + high) // 2
        if hypervolume(F[:middle]) >= target:
            high = middle
        else:
            low = middle + 1
    return low


def igd_plus(F: np.ndarray, true_front: np.ndarray, bounds: ArrayLike) -> float:
    """Return IGD+ of a front with respect to the true front (Ishibuchi et al., 2015).

    Args:
        F: (k, n_obj) front.
        true_front: (m, n_obj) true front.
        bounds: (2, n_obj) lower and upper bounds, which are scaled to 0 and 1.

    Returns:
        The mean distance by which the front falls short of a point of the true front; 0 is best.
    """
    low, high = np.asarray(bounds, float)
    reference = (true_front - low) / (high - low)
    return float(moocore.igd_plus((F - low) / (high - low), ref=reference))


def run_nonstationary(
    problem: ArchitectureProblem,
    algorithm: AlgorithmLike,
    seed: int,
    generations: int,
    n_picks: int,
    training: Mapping[str, Any],
) -> dict[str, Any]:
    """Search while shared weights train, then train networks of the front from scratch.

    Args:
        problem: a :class:`~moonas.weight_sharing.WeightSharingProblem` with a journal.
        algorithm: name, or a function that receives the problem and returns a pymoo algorithm.
        seed: seed of the search and of the training from scratch.
        generations: number of generations.
        n_picks: number of networks to train, evenly spaced along the front.
        training: settings of the training from scratch.

    Returns:
        Results of the run, by field name of :class:`Run`.
    """
    recorder = _Recorder(problem)
    problem.callbacks.append(recorder)
    journal = problem.journal
    assert journal is not None
    folder, worst = journal.folder, problem.objective_bounds()[1]
    try:
        result = search(
            problem,
            make_algorithm(algorithm, problem),
            seed=seed,
            generations=generations,
            verbose=False,
        )
        save_front(problem, result, folder)
    finally:
        problem.callbacks.remove(recorder)
        journal.close()
    if "pick" in names_of(training_settings_class(last_run(folder)[1])):
        trainings = [(i, {"pick": str(i)}) for i in evenly_spaced_rows(len(result.rows), n_picks)]
    else:  # only the network that the search picked can be trained
        trainings = [] if result.picked is None else [(result.picked, {})]
    picks, scores, feasible = [], [], []
    for i, options in trainings:
        row = result.rows[i]
        stage = load_training(folder, journal=folder / f"training-{i}", **options, **training)
        try:
            columns = row.columns | stage.run(seed).columns
        finally:
            if stage.journal is not None:
                stage.journal.close()
        picks.append([row.objectives[name] for name in problem.objectives])
        scores.append([columns[name] for name in problem.objectives])
        known = {name: np.array([value], float) for name, value in columns.items()}
        feasible.append(not (problem.constraint_values(known) > 0).any())
    retrained = np.array(scores, float)
    retrained = np.where(np.isfinite(retrained), retrained, worst)  # if the training diverged
    records = read_run(folder)[1]
    return {
        "evaluations": np.array([n for n, _ in recorder.generations]),
        "population": np.array([problem.hypervolume(F) for _, F in recorder.generations]),
        "front": recorder.generations[-1][1],
        "picks": np.array(picks, float),
        "retrained": retrained,
        "hypervolume": problem.hypervolume(retrained[np.array(feasible, bool)]),
        "training_steps": sum(r["result"].get("steps", 0) for r in records if r["kind"] == "train"),
    }
