"""What a comparison is asked to do."""

from dataclasses import dataclass, replace

from ..algorithms.named import ALGORITHMS
from ..registry import load_problem, training_settings_class
from ..settings import free_names, names_of, to_json
from ..tabular import TabularProblem

TABULAR_SEEDS, TRAINING_SEEDS = 31, 5
PICKS = 3


@dataclass(frozen=True)
class Task:
    """A problem of a comparison.

    Args:
        name: that ``load_problem`` knows.
        options: of it.
        budget: evaluations of a run; where scores move, generations.
        nonstationary: whether scores move.
        table: whether scores are looked up.
        training: options of the trainings from scratch, where scores move.
        picks: networks of a front that are trained from scratch, where scores move.
        about: what tells its runs from others, by name; JSON can hold it.
    """

    name: str
    options: dict
    budget: int
    nonstationary: bool
    table: bool
    training: dict
    picks: int
    about: dict

    @property
    def unit(self):
        """What the budget counts."""
        return unit(self.nonstationary)


def unit(nonstationary):
    """What budgets count."""
    return "generations" if nonstationary else "evaluations"


@dataclass(frozen=True)
class Plan:
    """All that is asked.

    Args:
        tasks: label -> :class:`Task`.
        algorithms: label -> name, or problem -> pymoo algorithm, called afresh for every run.
        seeds: of the runs, the same for all.
    """

    tasks: dict
    algorithms: dict
    seeds: tuple

    def asked(self):
        """All runs, (problem, algorithm, seed), seeds outermost, so that what is done is paired."""
        return [(p, a, s) for s in self.seeds for p in self.tasks for a in self.algorithms]


def make_plan(
    problems,
    algorithms,
    *,
    seeds=None,
    evaluations=None,
    generations=None,
    picks=PICKS,
    training=None,
):
    """A :class:`Plan`; see :func:`~moonas.comparison.compare.compare` for the arguments.

    Raises:
        ValueError: a name is unknown, or nothing is asked for.
    """
    problems, algorithms = _by_label(problems), _by_label(algorithms)
    for what, found in (("problems", problems), ("algorithms", algorithms)):
        if not found:
            raise ValueError(f"A comparison wants {what}; none were given.")
    for name in algorithms.values():
        if isinstance(name, str) and name not in ALGORITHMS:
            raise ValueError(f"Unknown algorithm {name!r}; choose from {sorted(ALGORITHMS)}.")
    tasks = {}
    for label, named in problems.items():
        name, options = (named, {}) if isinstance(named, str) else (named[0], dict(named[1]))
        tasks[label] = _task(name, options, evaluations, generations, picks, training or {})
    if seeds is None:
        seeds = TABULAR_SEEDS if all(task.table for task in tasks.values()) else TRAINING_SEEDS
    seeds = tuple(range(1, seeds + 1)) if isinstance(seeds, int) else tuple(map(int, seeds))
    if not seeds or len(set(seeds)) < len(seeds):
        raise ValueError(f"seeds={seeds} will not do: one or more, all different.")
    return Plan(tasks, algorithms, seeds)


def _by_label(named):
    return dict(named) if isinstance(named, dict) else {name: name for name in named}


def _task(name, options, evaluations, generations, picks, training):
    problem = load_problem(name, **options)
    settings, table = problem.settings, isinstance(problem, TabularProblem)
    if table:
        problem.true_front()  # the table is there, and whole
    if problem.nonstationary:
        budget = generations or settings.generations
        options = options | {"generations": budget}  # the horizon of the schedules
        settings = replace(settings, generations=budget)
        if picks < 1:
            raise ValueError(f"picks={picks} will not do: at least 1.")
        known = names_of(training_settings_class(name))
        unknown = sorted(set(training) - set(known))
        if unknown:
            raise ValueError(f"Unknown setting {unknown[0]!r} of a training of {name}.")
    else:
        budget, training = evaluations or settings.population * settings.generations, {}
    if budget < 1:
        raise ValueError(f"A budget of {budget} will not do: at least 1.")
    asked = {k: v for k, v in to_json(settings).items() if k not in free_names(settings)}
    about = {"problem": name, unit(problem.nonstationary): budget} | asked | problem.inputs
    if problem.nonstationary:
        about |= {"picks": picks} | {f"training {k}": v for k, v in training.items()}
    return Task(name, options, budget, problem.nonstationary, table, training, picks, about)
