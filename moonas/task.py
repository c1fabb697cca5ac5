"""A whole task: its stages in order, each into a run folder, and what follows a search.

    import moonas

    found = moonas.search("cars", seed=2, generations=20)   # what ``moonas search cars`` runs
    print(found.rows[found.picked].architecture)
    (trained,) = moonas.train(found.folder, pick="knee")    # what ``moonas train RUN`` runs
    print(trained.folder, trained.scores)

Both are a plan and its execution: :func:`plan_search` and :func:`plan_training` check everything
that can be checked before any work, and return a list of :class:`PlannedStage`, to be run in order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import registry
from .run.callbacks import Callbacks, RunCallback
from .run.folders import folder_names, last_run
from .run.stage import Stage, TrainingStage
from .settings import names_of

if TYPE_CHECKING:
    from pymoo.core.algorithm import Algorithm

    from .pareto import Row
    from .problem import ArchitectureProblem

DEFAULT_SEED = 1


@dataclass(frozen=True)
class StageResult:
    """What one stage ended with.

    Args:
        name: of the stage.
        folder: its run folder.
        stage: the problem, or the :class:`~moonas.run.stage.TrainingStage`; its journal is closed.
        result: a :class:`.run.search.SearchResult`, or what ``run`` of the preparation returned.
        lines: what there is to say about the result.
        computed: False if every call was answered from the record of an earlier run.
    """

    name: str
    folder: Path
    stage: Stage | ArchitectureProblem
    result: Any
    lines: tuple[str, ...]
    computed: bool

    @property
    def scores(self) -> dict[str, float]:
        """Of a training from scratch, the scores of the final test: column -> value; else empty."""
        return dict(getattr(self.result, "columns", {}))


@dataclass(frozen=True)
class TaskResult:
    """What :func:`search` ended with.

    Args:
        rows: of the last search's front, feasible, unique and non-dominated.
        picked: index of the row that the problem picks, or None.
        folder: run folder of the last search, where ``front.csv`` is.
        problem: what was searched; None if the chosen stage is no search. Then there are no rows.
        stages: one :class:`StageResult` for each stage, in order.
    """

    rows: tuple[Row, ...]
    picked: int | None
    folder: Path
    problem: ArchitectureProblem | None
    stages: tuple[StageResult, ...]


@dataclass
class PlannedStage:
    """A stage that is ready to run; options, folder and seed have been checked.

    Attributes:
        name: of the stage.
        recorded_as: its name in ``run.json``.
        folder: run folder; running the stage again resumes it there.
        seed: of the run.
        build: makes the stage.
        stage: the stage, where it could be made before the stages ahead of it have run.
        algorithm: name, or problem -> pymoo algorithm; None for the problem's own.
        doing: what the first line of the log calls the work.
    """

    name: str
    recorded_as: str
    folder: Path
    seed: int
    build: Callable[[], Stage | ArchitectureProblem]
    stage: Stage | ArchitectureProblem | None = None
    algorithm: str | Callable[[ArchitectureProblem], Algorithm] | None = None
    doing: str = "Searching"

    def check_folder(self) -> None:
        """Raise unless the run can begin, or be resumed, in its folder, which is made.

        Raises:
            RunMismatch: the folder holds another run.
            DamagedRun: a file in it is damaged.
            RunInUse: another process is writing it.
        """
        if self.stage is None:
            self.stage = self.build()
        registry.attach_journal(self.stage, self.recorded_as, self.folder)
        self.stage.journal.close()
        self.stage.session.journal = None

    def run(self, *, callbacks: Sequence[RunCallback] = (), verbose: bool = False) -> StageResult:
        """Run the stage, or resume it; its journal is closed whatever happens.

        Args:
            callbacks: called while the stage runs.
            verbose: whether a search prints a line for each generation.

        Raises:
            RunMismatch: the folder holds another run.
            SearchFailed: all candidates, or all steps of a training, failed.
        """
        stage = self.build() if self.stage is None else self.stage
        registry.attach_journal(stage, self.recorded_as, self.folder)
        try:
            stage.callbacks.extend(callbacks)
            before = stage.journal.n_calls
            recorded = f", {before} calls of it are recorded" if before else ""
            stage.log(
                f"{self.doing} on {stage.settings.data}, seed {self.seed}, on {stage.device}, into "
                f"{self.folder}{recorded}."
            )
            if isinstance(stage, TrainingStage):
                result = stage.run(self.seed)
                lines = stage.report(result, self.folder)
            else:
                result = self._search(stage, verbose)
                lines = result.afterwards
            computed = stage.journal.n_calls > before
            return StageResult(self.name, self.folder, stage, result, tuple(lines), computed)
        finally:
            stage.journal.close()
            for callback in callbacks:
                if callback in stage.callbacks:
                    stage.callbacks.remove(callback)

    def _search(self, problem, verbose):
        from .problem import describe_algorithm
        from .run.search import search
        from .views.front import save_front

        algorithm = make_algorithm(self.algorithm, problem)
        problem.log(describe_algorithm(algorithm))
        generations = problem.settings.generations
        found = search(problem, algorithm, seed=self.seed, generations=generations, verbose=verbose)
        save_front(problem, found, found.folder)
        return found


def search(
    task: str,
    *,
    out: str | Path | None = None,
    seed: int | None = None,
    algorithm: str | Callable[[ArchitectureProblem], Algorithm] | None = None,
    stage: str | None = None,
    preset: str | None = None,
    callbacks: Sequence[RunCallback] = (),
    stages: Mapping[str, Mapping[str, Any]] | None = None,
    verbose: bool = False,
    **options: Any,
) -> TaskResult:
    """Search for a Pareto front of architectures: run all stages of a task, or resume them.

    The run folder is the one that ``moonas search TASK`` makes: either resumes what the other has
    begun. Calling it again with the same arguments resumes a search that stopped, and returns the
    result of one that ended::

        found = moonas.search("eg-darts", seed=3, stages={"eg-darts-cells": {"epochs": 20}})
        for row in found.rows:
            print(row.objectives, row.architecture)

    Args:
        task: one that ``moonas list`` shows.
        out: run folder; ``runs/TASK-DATA-seedN`` by default. A task of several stages has a folder
            for each in it.
        seed: of the run, 0 or more; by default that of the run in ``out``, else 1.
        algorithm: name (see :func:`moonas.algorithm`), or a function that takes the problem and
            returns a new pymoo algorithm, and may be called more than once; by default the paper's.
        stage: runs one stage alone.
        preset: a named set of options, such as "paper"; other options come on top.
        callbacks: :class:`~moonas.run.callbacks.RunCallback` objects, called while stages run.
        stages: options of one stage each, by its name.
        verbose: print a line for each generation.
        options: fields of Settings, for every stage that has them (``moonas search TASK --help``).

    Returns:
        A :class:`TaskResult`; ``front.csv`` and ``front.png`` are in its folder.

    Raises:
        ValueError: a name, an option or its value is wrong, before any work; or the folder holds
            another run, is damaged, or is being written by another process.
        SearchFailed: all candidates of a population failed.
    """
    _check_callbacks(callbacks)
    plan = plan_search(
        task,
        out=out,
        seed=seed,
        algorithm=algorithm,
        stage=stage,
        preset=preset,
        stages=stages,
        **options,
    )
    results = _run(plan, callbacks, verbose)
    searches = [one for one in results if not isinstance(one.stage, TrainingStage)]
    if not searches:
        return TaskResult((), None, results[-1].folder, None, tuple(results))
    last = searches[-1]
    found = last.result
    return TaskResult(tuple(found.rows), found.picked, last.folder, last.stage, tuple(results))


def train(
    run: str | Path | None = None,
    *,
    architecture: str | None = None,
    pick: str | int | Iterable[str | int] | None = None,
    out: str | Path | None = None,
    seed: int | None = None,
    preset: str | None = None,
    callbacks: Sequence[RunCallback] = (),
    **options: Any,
) -> list[StageResult]:
    """Train what a search has picked, or a published architecture, from scratch, and test it.

    Calling it again with the same arguments resumes a training that stopped, and returns the
    result of one that ended::

        for trained in moonas.train("runs/cars-digits-seed1", pick=["knee", "smallest"], epochs=60):
            print(trained.folder, trained.scores["error"])
        moonas.train(architecture="CARS_A", data="cifar10", root="data", preset="paper")

    Args:
        run: run folder of a search, or of its last stage.
        architecture: a published one by name (``moonas.zoo()``), in place of a run.
        pick: rows of the front: "knee", "best-error", "smallest", or numbers from 0 on; one, or
            several. By default the knee.
        out: folder of the training; by default RUN/training, and ``runs/NAME-DATA-seedN`` for a
            published architecture. With several rows each has a folder of its own, OUT-ROW.
        seed: of the training, 0 or more; by default that of the one in its folder, else 1.
        preset: a named set of options, such as "paper"; other options come on top.
        callbacks: :class:`~moonas.run.callbacks.RunCallback` objects, called during a training.
        options: fields of the training's Settings (``moonas train RUN --help``); what it shares
            with those of the search has the value it had there by default.

    Returns:
        One :class:`StageResult` for each row, with ``folder`` (where ``model.pt`` is) and
        ``scores``.

    Raises:
        ValueError: a name, an option or its value is wrong, before any work; or the search has not
            ended; or a folder holds another training, is damaged, or is being written by another
            process.
        SearchFailed: all steps of an epoch failed.
    """
    _check_callbacks(callbacks)
    plan = plan_training(
        run, architecture=architecture, pick=pick, out=out, seed=seed, preset=preset, **options
    )
    return _run(plan, callbacks, verbose=False)


def _run(plan, callbacks, verbose):
    results, callbacks = [], list(callbacks)
    for planned in plan:
        result = planned.run(callbacks=callbacks, verbose=verbose)
        for line in result.lines:
            Callbacks(callbacks).on_log(line)
        results.append(result)
    return results


def plan_search(
    task: str,
    *,
    out: str | Path | None = None,
    seed: int | None = None,
    algorithm: str | Callable[[ArchitectureProblem], Algorithm] | None = None,
    stage: str | None = None,
    preset: str | None = None,
    stages: Mapping[str, Mapping[str, Any]] | None = None,
    **options: Any,
) -> list[PlannedStage]:
    """The stages that :func:`search` runs with these arguments, in order.

    Raises:
        ValueError: a name, an option or its value is wrong, or a folder holds another run.
    """
    from .run.journal import check_run

    seed = _whole_seed(seed)
    every = registry.stages(task)
    names = stage_names(task, stage)
    classes = {name: registry.settings_class(name) for name in names}
    presets = {name: registry.preset_options(c, preset) for name, c in classes.items()}
    chosen = _merged(classes, presets, options, stages or {})
    if stage is None:
        names = pipeline(names, chosen)
    folders = folder_names(names)
    out = None if out is None else Path(out)
    seed = _seed_of(task, seed, out, folders)
    if out is None:
        data = classes[names[0]](**chosen[names[0]]).data
        out = Path("runs") / f"{task}-{Path(data).name}-seed{seed}"
    plan, before, searches = [], None, False
    for name, label in zip(names, folders, strict=True):
        stage_options, has_source = chosen[name], "from_run" in names_of(classes[name])
        if before is not None and stage_options.get("from_run") is not None:
            raise ValueError(
                f"from_run={stage_options['from_run']!r} is invalid: the stage before {name} runs, "
                f"too, and {name} starts from that. Run it alone (stage={name!r}, --stage {name})."
            )
        if stage is not None:
            stage_options = _starting_from_before(every, name, out, stage_options)
        folder = _folder_of(task, out, label)
        planned = PlannedStage(name, name, folder, seed, _builder(name, stage_options))
        planned.stage = planned.build()  # so that wrong options are found before any work
        if isinstance(planned.stage, TrainingStage):
            planned.doing = "Preparing"
        else:
            make_algorithm(algorithm, planned.stage)
            planned.algorithm, searches = algorithm, True
        if before is not None and has_source:
            stage_options = stage_options | {"from_run": str(before)}
            classes[name](**stage_options)
            check_run(folder, name, planned.stage.settings, seed)
            planned.build = _builder(name, stage_options)
            planned.stage = None  # what it starts from does not exist yet
        plan.append(planned)
        before = folder
    if algorithm is not None and not searches:
        raise ValueError(f"algorithm={algorithm!r} is invalid: {', '.join(names)} takes none.")
    plan[0].check_folder()
    return plan


def plan_training(
    run: str | Path | None = None,
    *,
    architecture: str | None = None,
    pick: str | int | Iterable[str | int] | None = None,
    out: str | Path | None = None,
    seed: int | None = None,
    preset: str | None = None,
    **options: Any,
) -> list[PlannedStage]:
    """The trainings that :func:`train` runs with these arguments, in order.

    Raises:
        ValueError: a name, an option or its value is wrong, the search has not ended, or a folder
            holds another training.
    """
    seed = _whole_seed(seed)
    name = trained_problem(run, architecture)
    fields = names_of(registry.training_settings_class(name))
    one_row = isinstance(pick, str) or hasattr(pick, "__index__")
    picks = [str(row) for row in ([pick] if one_row else pick or ())]
    if architecture is not None:
        if picks:
            raise ValueError(
                f"pick={pick!r} is invalid with architecture={architecture!r}: it picks from the "
                "front of a run."
            )
        if "architecture" not in fields:
            raise ValueError(f"architecture={architecture!r} is invalid: it is no classifier.")
        options = options | {"architecture": architecture}
    elif picks and "pick" not in fields:
        raise ValueError(
            f"pick={pick!r} is invalid: of a search of {name}, only what the search picked can be "
            "trained."
        )
    for option in options:
        stages_with(option, {name: registry.training_settings_class(name)})
    if architecture is not None:
        return [_planned_published(name, architecture, out, seed, preset, options)]
    choices = [{"pick": one} for one in dict.fromkeys(picks)] or [{}]
    base = Path(out) if out is not None else Path(run) / "training"
    plan = []
    for choice in choices:
        folder = base if len(choices) == 1 else Path(f"{base}-{choice['pick']}")
        training = load_training(run, preset=preset, **options | choice)
        plan.append(_planned_training(name, training, folder, seed))
    for planned in plan:
        planned.check_folder()
    return plan


def _planned_published(name, architecture, out, seed, preset, options):
    options = registry.preset_options(registry.training_settings_class(name), preset) | options
    training = registry.training_module(name).build(**options)
    if out is None:
        data = Path(training.settings.data).name
        out = f"runs/{architecture}-{data}-seed{DEFAULT_SEED if seed is None else seed}"
    planned = _planned_training(name, training, Path(out), seed)
    planned.check_folder()
    return planned


def _planned_training(name, training, folder, seed):
    seed = _recorded_seed(folder) if seed is None else seed
    return PlannedStage(
        name,
        f"{name} training",
        folder,
        DEFAULT_SEED if seed is None else seed,
        build=lambda: training,
        stage=training,
        doing="Training",
    )


def trained_problem(run: str | Path | None, architecture: str | None) -> str:
    """Name of the problem whose full training trains what a run, or a paper, has found.

    Raises:
        ValueError: not exactly one of both is given, or it does not exist.
    """
    if (run is None) == (architecture is None):
        got = "neither" if run is None else "both"
        raise ValueError(
            "A training needs a run folder, or the name of a published architecture "
            f"(architecture=NAME, --architecture NAME); got {got}."
        )
    if architecture is None:
        return last_run(run)[1]
    from .models.zoo import zoo

    return zoo(architecture).problem


def make_algorithm(
    algorithm: str | Callable[[ArchitectureProblem], Algorithm] | None,
    problem: ArchitectureProblem,
) -> Algorithm:
    """A new pymoo algorithm.

    Args:
        algorithm: name, or problem -> pymoo algorithm; None for the problem's own.
        problem: what it is to search.

    Raises:
        ValueError: the name is unknown, or the function returns something else.
    """
    if algorithm is None:
        return problem.algorithm()
    if isinstance(algorithm, str):
        from .algorithms import algorithm as named

        return named(algorithm, problem)
    from pymoo.core.algorithm import Algorithm

    made = algorithm(problem) if callable(algorithm) else None
    if not isinstance(made, Algorithm):
        raise ValueError(
            "algorithm is invalid: expected a name, or a function that takes a problem and returns "
            f"a pymoo algorithm; got {algorithm!r}."
        )
    return made


def stage_names(task: str, stage: str | None = None) -> list[str]:
    """Names of the stages of a task, in order, or the one chosen.

    Raises:
        ValueError: the task, or its stage, is unknown.
    """
    every = registry.stages(task)
    if stage is None:
        return every
    if stage not in every:
        raise ValueError(f"Unknown stage {stage!r} of {task}; choose from {every}.")
    return [stage]


def stages_with(option: str, classes: Mapping[str, type]) -> list[str]:
    """Names of the stages whose Settings have an option.

    Args:
        option: name of a field.
        classes: the Settings of each stage, by its name.

    Raises:
        ValueError: none has it.
    """
    having = [name for name, settings in classes.items() if option in names_of(settings)]
    if not having:
        known = set().union(*map(names_of, classes.values()))
        raise ValueError(f"Unknown setting {option!r}; choose from {sorted(known)}.")
    return having


def _merged(classes, presets, options, own):
    """Stage -> option -> value: the preset's, those for every stage that has them, its own."""
    found = {name: dict(presets[name]) for name in classes}
    for option in options:
        for name in stages_with(option, classes):
            found[name][option] = options[option]
    for name, values in own.items():
        if name not in classes:
            raise ValueError(f"Unknown stage {name!r} in stages; choose from {list(classes)}.")
        for option in values:
            stages_with(option, {name: classes[name]})
        found[name] |= values
    return found


def _builder(name, options):
    return lambda: registry.load_stage(name, **options)


def _folder_of(task, out, label):
    return out if len(registry.stages(task)) == 1 else out / label


def _seed_of(task, seed, out, folders):
    """The seed asked for, else that of the run in ``out``, else the default."""
    if seed is not None:
        return seed
    if out is not None:
        for label in folders:
            recorded = _recorded_seed(_folder_of(task, out, label))
            if recorded is not None:
                return recorded
    return DEFAULT_SEED


def _recorded_seed(folder):
    from .run.journal import read_run

    return read_run(folder)[0]["seed"] if (folder / "run.json").exists() else None


def _starting_from_before(every, name, out, options):
    """The options of a stage that runs alone: it starts from the one before, if that has run."""
    before = out / every[every.index(name) - 1] if name != every[0] else None
    if before is None or "from_run" not in names_of(registry.settings_class(name)):
        return options
    if options.get("from_run") is not None or not (before / "run.json").exists():
        return options
    try:
        registry.settings_class(name)(**options | {"from_run": str(before)})
    except ValueError:  # other options say what it starts from
        return options
    return options | {"from_run": str(before)}


def _whole_seed(seed):
    if seed is None:
        return None
    if isinstance(seed, bool) or not hasattr(seed, "__index__") or seed < 0:
        raise ValueError(f"seed={seed!r} is invalid: expected a whole number, 0 or more.")
    return int(seed)


def _check_callbacks(callbacks):
    if isinstance(callbacks, RunCallback) or not all(isinstance(c, RunCallback) for c in callbacks):
        raise ValueError(
            f"callbacks is invalid: expected a list of RunCallback; got {callbacks!r}."
        )


def pipeline(names: list[str], options: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """The stages that a search of a task runs, in order.

    Args:
        names: of the task's stages.
        options: of each by its name.
    """
    first, last = (registry.settings_class(n)(**options[n]) for n in (names[0], names[-1]))
    return names[-1:] if last.needs_no_stage_before else first.pipeline(names)


def load_training(
    run: str | Path,
    *,
    preset: str | None = None,
    journal: str | Path | None = None,
    **options: Any,
) -> TrainingStage:
    """The full training of what a search has picked, a :class:`moonas.run.stage.TrainingStage`.

    Args:
        run: folder of a search, or of its last stage.
        preset: a named set of options; ``options`` come on top.
        journal: folder that records the training, as in :func:`moonas.load_problem`.
        options: fields of the training's Settings; what it shares with those of the search has the
            value it had there by default.

    Raises:
        ValueError: the folder holds no run, or one of a problem that has no such training.
    """
    folder, name = last_run(run)
    options = registry.preset_options(registry.training_settings_class(name), preset) | options
    training = registry.training_module(name).build(from_run=str(folder), **options)
    if journal is not None:
        registry.attach_journal(training, f"{name} training", journal)
    return training
