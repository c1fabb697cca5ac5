"""Plans of comparisons: problems with their budgets, algorithms and seeds."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ..algorithms.named import ALGORITHMS
from ..registry import load_problem, training_settings_class
from ..settings import former_values_to_json, free_names, names_of, to_json
from ..tabular import TabularProblem
from .suites import Instance

if TYPE_CHECKING:
    from typing import TypeAlias

    from pymoo.core.algorithm import Algorithm

    from ..problem import ArchitectureProblem

    ProblemLike: TypeAlias = str | tuple[str, Mapping[str, Any]] | Instance
    AlgorithmLike: TypeAlias = str | Callable[[ArchitectureProblem], Algorithm]
    RunKey: TypeAlias = tuple[str, str, int]  # labels of the problem and the algorithm, seed

TABULAR_SEEDS, TRAINING_SEEDS = 31, 5  # default numbers of seeds
PICKS = 3  # default number of networks per front to train from scratch


@dataclass(frozen=True)
class Task:
    """A problem of a comparison, with its options and its budget.

    Args:
        name: name of the problem, for ``load_problem``.
        options: options of the problem.
        budget: evaluations per run; generations per run if the objectives change.
        nonstationary: whether the objectives change while shared weights train.
        tabular: whether the objectives are looked up in a table.
        training: settings of the training from scratch, if the objectives change.
        picks: number of networks per front to train from scratch, if the objectives change.
        about: JSON-serializable dict of everything that the results of a run depend on. Every run
            is stored with this dict and reused only for an equal dict.
        former: values in ``about`` of settings that a run of an earlier version lacks.
    """

    name: str
    options: dict[str, Any]
    budget: int
    nonstationary: bool
    tabular: bool
    training: dict[str, Any]
    picks: int
    about: dict[str, Any]
    former: dict[str, Any]

    @property
    def unit(self) -> str:
        """Unit of the budget, in the plural."""
        return unit(self.nonstationary)


def unit(nonstationary: bool) -> str:
    """Return the unit of budgets, in the plural."""
    return "generations" if nonstationary else "evaluations"


@dataclass(frozen=True)
class Plan:
    """All runs of a comparison.

    Args:
        tasks: label -> :class:`Task`.
        algorithms: label -> name, or a function that receives the problem and returns a new pymoo
            algorithm.
        seeds: seeds of the runs, the same for all problems and algorithms.
    """

    tasks: dict[str, Task]
    algorithms: dict[str, AlgorithmLike]
    seeds: tuple[int, ...]

    def run_keys(self) -> list[RunKey]:
        """Return (problem, algorithm, seed) of every run.

        The seed varies slowest, so the completed runs of an interrupted comparison can be paired.
        """
        return [(p, a, s) for s in self.seeds for p in self.tasks for a in self.algorithms]


def make_plan(
    problems: Mapping[str, ProblemLike] | Iterable[str],
    algorithms: Mapping[str, AlgorithmLike] | Iterable[str],
    *,
    seeds: int | Sequence[int] | None = None,
    evaluations: int | None = None,
    generations: int | None = None,
    picks: int = PICKS,
    training: Mapping[str, Any] | None = None,
) -> Plan:
    """Check the arguments of :func:`~moonas.comparison.compare.compare` and plan its runs.

    Raises:
        ValueError: a name is unknown, or there is no problem, algorithm or seed.
    """
    problem_of: dict[str, ProblemLike] = _by_label(problems)
    algorithm_of: dict[str, AlgorithmLike] = _by_label(algorithms)
    for argument, given in (("problems", problem_of), ("algorithms", algorithm_of)):
        if not given:
            raise ValueError(f"{argument}={given} is invalid: expected at least one.")
    for algorithm in algorithm_of.values():
        if isinstance(algorithm, str) and algorithm not in ALGORITHMS:
            raise ValueError(f"Unknown algorithm {algorithm!r}; choose from {sorted(ALGORITHMS)}.")
    tasks = {}
    for label, problem in problem_of.items():
        instance = _as_instance(problem)
        tasks[label] = _make_task(
            instance.problem,
            dict(instance.options),
            evaluations or instance.budget,
            generations or instance.budget,
            picks,
            dict(training or {}),
        )
    if seeds is None:
        seeds = TABULAR_SEEDS if all(task.tabular for task in tasks.values()) else TRAINING_SEEDS
    seeds = tuple(range(1, seeds + 1)) if isinstance(seeds, int) else tuple(map(int, seeds))
    if not seeds or len(set(seeds)) < len(seeds):
        raise ValueError(f"seeds={seeds} is invalid: expected at least one seed and no duplicates.")
    return Plan(tasks, algorithm_of, seeds)


def _as_instance(problem: ProblemLike) -> Instance:
    if isinstance(problem, Instance):
        return problem
    return Instance(problem, {}) if isinstance(problem, str) else Instance(*problem)


def _by_label(items: Mapping[str, Any] | Iterable[str]) -> dict[str, Any]:
    """Return a dict from label to item; names without labels serve as labels."""
    return dict(items) if isinstance(items, Mapping) else {name: name for name in items}


def _make_task(
    name: str,
    options: dict[str, Any],
    evaluations: int | None,
    generations: int | None,
    picks: int,
    training: dict[str, Any],
) -> Task:
    problem = load_problem(name, **options)
    settings, tabular = problem.settings, isinstance(problem, TabularProblem)
    if tabular:
        problem.true_front()  # raises an error if the table is missing or incomplete
    if problem.nonstationary:
        budget = generations or settings.generations
        options = options | {"generations": budget}  # schedules depend on this number
        settings = replace(settings, generations=budget)
        if picks < 1:
            raise ValueError(f"picks={picks} is invalid: expected at least 1.")
        known = names_of(training_settings_class(name))
        unknown = sorted(set(training) - set(known))
        if unknown:
            raise ValueError(
                f"Unknown setting {unknown[0]!r} of the training of {name}; choose from "
                f"{sorted(known)}."
            )
    else:
        budget, training = evaluations or settings.population * settings.generations, {}
    budget_unit = unit(problem.nonstationary)
    if budget < 1:
        raise ValueError(f"{budget_unit}={budget} is invalid: expected at least 1.")
    recorded = {k: v for k, v in to_json(settings).items() if k not in free_names(settings)}
    about = {"problem": name, budget_unit: budget} | recorded | problem.inputs
    if tabular:  # earlier versions had another box
        about |= {"hypervolume box": problem.hypervolume_box().tolist()}
    if problem.nonstationary:
        about |= {"picks": picks} | {f"training {k}": v for k, v in training.items()}
    former = {k: v for k, v in former_values_to_json(settings).items() if k in recorded}
    kind = (problem.nonstationary, tabular)
    return Task(name, options, budget, *kind, training, picks, about, former)
