"""Plan the stages of a search or of a training from scratch, and run one planned stage.

:func:`plan_search` and :func:`plan_training` check all arguments before anything is trained, and
return the stages to run, in order, as a list of :class:`PlannedStage`. :func:`moonas.search` and
:func:`moonas.train` plan the stages and run them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import registry
from .run.callbacks import RunCallback
from .run.folders import folder_names, last_run
from .run.numbers import plural
from .run.stage import TrainingStage
from .settings import RunSettings, check_names, names_of, unknown_setting

if TYPE_CHECKING:
    from pymoo.core.algorithm import Algorithm

    from .problem import ArchitectureProblem
    from .run.search import SearchResult

DEFAULT_SEED = 1


@dataclass(frozen=True)
class StageResult:
    """Result of one stage.

    Args:
        name: name of the stage.
        folder: run folder of the stage.
        stage: the problem, or the :class:`~moonas.run.stage.TrainingStage`; its journal is closed.
        result: a :class:`.run.search.SearchResult`, or the return value of the training stage's
            ``run``.
        lines: lines of text that report the result.
        computed: whether anything was computed; False if the journal already contained every call.
    """

    name: str
    folder: Path
    stage: TrainingStage | ArchitectureProblem
    result: Any
    lines: tuple[str, ...]
    computed: bool

    @property
    def scores(self) -> dict[str, float]:
        """Column -> score on the test set, of a training from scratch; empty for other stages."""
        return dict(getattr(self.result, "columns", {}))


@dataclass
class PlannedStage:
    """A stage that is ready to run: its options, folder and seed have been checked.

    Attributes:
        name: name of the stage.
        recorded_as: name of the stage in ``run.json``.
        folder: run folder; if it already contains a run of the stage, that run is resumed.
        seed: seed of the run.
        build: function that creates the stage.
        stage: the stage; None if it cannot be created before the previous stage has run.
        algorithm: name of an algorithm, or a function problem -> pymoo algorithm; None for the
            problem's default algorithm.
        activity: first word of the first log line, such as "Searching".
    """

    name: str
    recorded_as: str
    folder: Path
    seed: int
    build: Callable[[], TrainingStage | ArchitectureProblem]
    stage: TrainingStage | ArchitectureProblem | None = None
    algorithm: str | Callable[[ArchitectureProblem], Algorithm] | None = None
    activity: str = "Searching"

    def check_folder(self) -> None:
        """Check that the run can be started or resumed in its folder; create the folder if missing.

        Raises:
            RunMismatch: the folder contains a different run.
            DamagedRun: a file in the folder is damaged.
            RunInUse: another process is writing to the folder.
        """
        if self.stage is None:
            self.stage = self.build()
        registry.attach_journal(self.stage, self.recorded_as, self.folder).close()
        self.stage.session.journal = None

    def run(self, *, callbacks: Sequence[RunCallback] = (), verbose: bool = False) -> StageResult:
        """Run or resume the stage; the journal is closed even if the run raises an exception.

        Args:
            callbacks: callbacks that are called while the stage runs.
            verbose: whether a search prints a line after each generation.

        Raises:
            RunMismatch: the folder contains a different run.
            SearchFailed: the evaluation of every candidate or every step of an epoch failed.
        """
        stage = self.build() if self.stage is None else self.stage
        journal = registry.attach_journal(stage, self.recorded_as, self.folder)
        try:
            stage.callbacks.extend(callbacks)
            n_recorded = journal.n_calls
            recorded = f" ({plural(n_recorded, 'call')} recorded)" if n_recorded else ""
            stage.log(
                f"{self.activity} on {stage.settings.data}, seed {self.seed}, device "
                f"{stage.device}. Results will be in {self.folder}{recorded}."
            )
            images = _images_line(stage)
            if images:
                stage.log(images)
            result: Any
            if isinstance(stage, TrainingStage):
                result = stage.run(self.seed)
                from .run.journal import read_run
                from .views.losses import save_losses

                lines = stage.report(result, self.folder)
                save_losses(self.folder, read_run(self.folder)[1])
            else:
                result = self._search(stage, verbose)
                lines = result.afterwards
            computed = journal.n_calls > n_recorded
            return StageResult(self.name, self.folder, stage, result, tuple(lines), computed)
        finally:
            journal.close()
            for callback in callbacks:
                if callback in stage.callbacks:
                    stage.callbacks.remove(callback)

    def _search(self, problem: ArchitectureProblem, verbose: bool) -> SearchResult:
        from .problem import describe_algorithm
        from .run.journal import read_run
        from .run.search import search
        from .views.front import save_front
        from .views.losses import save_losses

        algorithm = make_algorithm(self.algorithm, problem)
        problem.log(f"Algorithm: {describe_algorithm(algorithm)}.")
        generations = problem.settings.generations
        result = search(
            problem, algorithm, seed=self.seed, generations=generations, verbose=verbose
        )
        records = read_run(result.folder)[1]  # once, since the journal may be long
        save_front(problem, result, result.folder, records)
        save_losses(result.folder, records)
        return result


def _images_line(stage: TrainingStage | ArchitectureProblem) -> str:
    """Return a line about the images of a stage and how they are fitted; empty without images."""
    from .data.described import describe_images
    from .tabular import TabularProblem

    info = getattr(stage, "info", None)
    if info is None or isinstance(stage, TabularProblem):
        return ""
    return describe_images(stage.settings.data, info.form)


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
    """Return the stages that :func:`moonas.search` runs with these arguments, in order.

    Raises:
        ValueError: a name, an option or a value is invalid, or a folder contains a
            different run.
    """
    from .run.journal import check_run, options_of_earlier_version

    seed = _check_seed(seed)
    all_stages = registry.stages(task)
    names = stage_names(task, stage)
    classes = {name: registry.settings_class(name) for name in names}
    presets = {name: registry.preset_options(c, preset) for name, c in classes.items()}
    options_of = _options_by_stage(classes, presets, options, stages or {})
    if stage is None:
        names = pipeline(names, options_of)
    labels = folder_names(names)
    out = None if out is None else Path(out)
    seed = _seed_of(task, seed, out, labels)
    if out is None:
        data = classes[names[0]](**options_of[names[0]]).data
        out = Path("runs") / f"{task}-{Path(data).name}-seed{seed}"
    plan: list[PlannedStage] = []
    previous: Path | None = None
    has_search = False
    for name, label in zip(names, labels, strict=True):
        stage_options, has_source = options_of[name], "from_run" in names_of(classes[name])
        if previous is not None and stage_options.get("from_run") is not None:
            raise ValueError(
                f"from_run={stage_options['from_run']!r} is invalid: {name} starts from the stage "
                f"before it, which runs as well. Run {name} alone (stage={name!r}, --stage {name})."
            )
        if stage is not None:
            stage_options = _starting_from_previous(all_stages, name, out, stage_options)
        folder = _folder_of(task, out, label)
        chosen = {*options, *(stages or {}).get(name, ())}
        stage_options = stage_options | options_of_earlier_version(folder, classes[name], chosen)
        planned = PlannedStage(name, name, folder, seed, _builder(name, stage_options))
        first_build = planned.build()  # raises an error if an option is invalid
        planned.stage = first_build
        if isinstance(first_build, TrainingStage):
            planned.activity = "Preparing"
        else:
            make_algorithm(algorithm, first_build)
            planned.algorithm, has_search = algorithm, True
        if previous is not None and has_source:
            stage_options = stage_options | {"from_run": str(previous)}
            classes[name](**stage_options)
            images = registry.images_of(first_build.settings)
            check_run(folder, name, first_build.settings, seed, images)
            planned.build = _builder(name, stage_options)
            planned.stage = None  # cannot be created before the previous stage has run
        plan.append(planned)
        previous = folder
    if algorithm is not None and not has_search:
        raise ValueError(
            f"algorithm={algorithm!r} is invalid: {', '.join(names)} does not use an algorithm."
        )
    plan[0].check_folder()
    if not isinstance(first_build, TrainingStage):  # the last stage is a search
        training = first_build.final_training()
        if training is not None:
            plan.append(_plan_final_training(plan[-1], out / "training", preset, training))
    return plan


def _plan_final_training(
    search: PlannedStage, folder: Path, preset: str | None, options: dict[str, Any]
) -> PlannedStage:
    """Return the training of the architecture that a planned search will pick."""
    settings = registry.training_settings_class(search.name)
    if preset not in settings.PRESETS:
        preset = None
    return PlannedStage(
        search.name,
        f"{search.name} training",
        folder,
        search.seed,
        build=lambda: load_training(search.folder, preset=preset, **options),
        activity="Training",
    )


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
    """Return the trainings that :func:`moonas.train` runs with these arguments, in order.

    Raises:
        ValueError: a name, an option or a value is invalid, the search is not complete, or a folder
            contains a different training.
    """
    from .run.journal import options_of_earlier_version

    seed = _check_seed(seed)
    name = trained_problem(run, architecture)
    settings = registry.training_settings_class(name)
    fields, picks = names_of(settings), _picks(pick)
    if architecture is not None:
        if picks:
            raise ValueError(
                f"pick={pick!r} is invalid with architecture={architecture!r}: pick selects rows "
                "from the front of a run."
            )
        if "architecture" not in fields:
            raise ValueError(
                f"architecture={architecture!r} is invalid: expected the name of a classifier."
            )
        options = options | {"architecture": architecture}
    elif picks and "pick" not in fields:
        raise ValueError(
            f"pick={pick!r} is invalid: for {name}, only the architecture that the search picked "
            "can be trained."
        )
    for option in options:
        stages_with(option, {name: settings})
    if run is None:
        assert architecture is not None  # trained_problem() requires one of the two
        return [_plan_published(name, architecture, out, seed, preset, options)]
    picks = _row_numbers(run, picks)
    choices: list[dict[str, str]] = [{"pick": row} for row in dict.fromkeys(picks)] or [{}]
    plan = []
    for choice in choices:
        if out is None:
            folder = _training_folder(
                Path(run), choice.get("pick", getattr(settings, "pick", None))
            )
        else:
            folder = Path(out) if len(choices) == 1 else Path(f"{out}-{choice['pick']}")
        earlier = options_of_earlier_version(folder, settings, options)
        training = load_training(run, preset=preset, **earlier | options | choice)
        plan.append(_plan_of(name, training, folder, seed))
    for planned in plan:
        planned.check_folder()
    return plan


def _training_folder(run: Path, pick: str | None) -> Path:
    """Return the default folder of the training of a row: RUN/training-PICK.

    Earlier versions trained a single row in RUN/training, and the last stage of a search still
    does; a training of this row that is recorded there is resumed. Without rows to pick from, the
    folder is RUN/training.
    """
    from .run.journal import recorded_settings

    if pick is None:
        return run / "training"
    folder = run / f"training-{pick}"
    earlier = recorded_settings(run / "training")
    is_earlier = earlier is not None and earlier.get("pick") == pick
    if is_earlier and recorded_settings(folder) is None:
        return run / "training"
    return folder


def _row_numbers(run: str | Path, picks: Iterable[str]) -> list[str]:
    """Replace rules that may select several rows of a front by the numbers of these rows."""
    from .evaluators.settings import picking_column
    from .run.front_file import find_rows, read_front_csv
    from .run.journal import read_run

    numbers: list[str] = []
    for pick in picks:
        if ":" not in pick:
            numbers.append(pick)
            continue
        folder = last_run(run)[0]
        rows = read_front_csv(folder)
        objectives = read_run(folder)[0]["settings"]["objectives"]
        error = picking_column(objectives, rows[0].columns if rows else ())
        numbers += map(str, find_rows(rows, pick, error=error, size="params"))
    return numbers


def _picks(pick: str | int | Iterable[str | int] | None) -> list[str]:
    if pick is None:
        return []
    if isinstance(pick, str) or hasattr(pick, "__index__"):
        return [str(pick)]
    return [str(row) for row in pick]


def _plan_published(
    name: str,
    architecture: str,
    out: str | Path | None,
    seed: int | None,
    preset: str | None,
    options: dict[str, Any],
) -> PlannedStage:
    from .run.journal import options_of_earlier_version

    settings, build = registry.training_settings_class(name), registry.training_module(name).build
    presets = registry.preset_options(settings, preset)
    shape = getattr(settings, "NETWORK", ())  # a published architecture has its published shape
    all_options = {k: v for k, v in presets.items() if k not in shape} | options
    training = build(**all_options)
    if out is None:
        data = Path(training.settings.data).name
        out = f"runs/{architecture}-{data}-seed{DEFAULT_SEED if seed is None else seed}"
    earlier = options_of_earlier_version(out, settings, options)
    if earlier:
        training = build(**all_options | earlier)
    planned = _plan_of(name, training, Path(out), seed)
    planned.check_folder()
    return planned


def _plan_of(name: str, training: TrainingStage, folder: Path, seed: int | None) -> PlannedStage:
    from .run.journal import recorded_seed

    seed = recorded_seed(folder) if seed is None else seed
    return PlannedStage(
        name,
        f"{name} training",
        folder,
        DEFAULT_SEED if seed is None else seed,
        build=lambda: training,
        stage=training,
        activity="Training",
    )


def trained_problem(run: str | Path | None, architecture: str | None) -> str:
    """Return the name of the problem that an architecture to be trained belongs to.

    Args:
        run: run folder of a search, or None.
        architecture: name of a published architecture, or None.

    Raises:
        ValueError: both arguments are None, neither is None, or the run or the architecture does
            not exist.
    """
    if run is not None and architecture is None:
        return last_run(run)[1]
    if run is None and architecture is not None:
        from .models.zoo import zoo

        return zoo(architecture).problem
    got = "neither" if run is None else "both"
    raise ValueError(
        "Training requires either a run folder or the name of a published architecture "
        f"(architecture=NAME, --architecture NAME); got {got}."
    )


def make_algorithm(
    algorithm: str | Callable[[ArchitectureProblem], Algorithm] | None,
    problem: ArchitectureProblem,
) -> Algorithm:
    """Create a new pymoo algorithm.

    Args:
        algorithm: name of an algorithm, or a function problem -> pymoo algorithm; None for the
            problem's default algorithm.
        problem: problem that the algorithm will search.

    Raises:
        ValueError: the name is unknown, or the function does not return a pymoo algorithm.
    """
    if algorithm is None:
        return problem.algorithm()
    if isinstance(algorithm, str):
        from .algorithms import algorithm as algorithm_by_name

        return algorithm_by_name(algorithm, problem)
    from pymoo.core.algorithm import Algorithm

    created = algorithm(problem) if callable(algorithm) else None
    if not isinstance(created, Algorithm):
        raise ValueError(
            "algorithm is invalid: expected a name, or a function that takes a problem and returns "
            f"a pymoo algorithm; got {algorithm!r}."
        )
    return created


def stage_names(task: str, stage: str | None = None) -> list[str]:
    """Return the names of all stages of a task, in order, or only the given stage.

    Raises:
        ValueError: the task or the stage is unknown.
    """
    names = registry.stages(task)
    if stage is None:
        return names
    if stage not in names:
        raise ValueError(f"Unknown stage {stage!r} of {task}; choose from {names}.")
    return [stage]


def stages_with(option: str, classes: Mapping[str, type[RunSettings]]) -> list[str]:
    """Return the names of the stages whose Settings class has a given field.

    Args:
        option: name of the field.
        classes: name of a stage -> its Settings class.

    Raises:
        ValueError: no Settings class has the field.
    """
    names = [name for name, settings in classes.items() if option in names_of(settings)]
    if not names:
        raise unknown_setting(option, set().union(*map(names_of, classes.values())))
    return names


def _options_by_stage(
    classes: Mapping[str, type[RunSettings]],
    presets: Mapping[str, Mapping[str, Any]],
    options: Mapping[str, Any],
    stages: Mapping[str, Mapping[str, Any]],
) -> dict[str, dict[str, Any]]:
    """Return the merged options of each stage.

    Args:
        classes: name of a stage -> its Settings class.
        presets: name of a stage -> options from the preset.
        options: options for every stage that has them; they override ``presets``.
        stages: name of a stage -> options for this stage only; they override all other options.
    """
    merged = {name: dict(presets[name]) for name in classes}
    for option in options:
        for name in stages_with(option, classes):
            merged[name][option] = options[option]
    for name, values in stages.items():
        if name not in classes:
            raise ValueError(f"Unknown stage {name!r} in stages; choose from {list(classes)}.")
        for option in values:
            stages_with(option, {name: classes[name]})
        merged[name] |= values
    return merged


def _builder(name: str, options: dict[str, Any]) -> Callable[[], Any]:
    return lambda: registry.load_stage(name, **options)


def _folder_of(task: str, out: Path, label: str) -> Path:
    return out if len(registry.stages(task)) == 1 else out / label


def _seed_of(task: str, seed: int | None, out: Path | None, labels: Iterable[str]) -> int:
    """Return the given seed, else the seed of the run in ``out``, else the default seed."""
    from .run.journal import recorded_seed

    if seed is not None:
        return seed
    if out is not None:
        for label in labels:
            recorded = recorded_seed(_folder_of(task, out, label))
            if recorded is not None:
                return recorded
    return DEFAULT_SEED


def _starting_from_previous(
    stages: list[str], name: str, out: Path, options: dict[str, Any]
) -> dict[str, Any]:
    """Make a stage that is run alone start from the run of the previous stage, if it exists.

    Args:
        stages: names of all stages of the task, in order.
        name: name of the stage.
        out: folder of the task.
        options: options of the stage.

    Returns:
        The options; ``from_run`` is added if a run of the previous stage exists and can be used.
    """
    previous = out / stages[stages.index(name) - 1] if name != stages[0] else None
    if previous is None or "from_run" not in names_of(registry.settings_class(name)):
        return options
    if options.get("from_run") is not None or not (previous / "run.json").exists():
        return options
    try:
        registry.settings_class(name)(**options | {"from_run": str(previous)})
    except ValueError:  # another option excludes from_run
        return options
    return options | {"from_run": str(previous)}


def _check_seed(seed: Any) -> int | None:
    if seed is None:
        return None
    if isinstance(seed, bool) or not hasattr(seed, "__index__") or seed < 0:
        raise ValueError(f"seed={seed!r} is invalid: expected a whole number, 0 or more.")
    return int(seed)


def pipeline(names: list[str], options: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Return the stages that a search of a task runs, in order.

    Args:
        names: names of all stages of the task, in order.
        options: name of a stage -> its options.
    """
    first, last = (registry.settings_class(n)(**options[n]) for n in (names[0], names[-1]))
    return names[-1:] if last.needs_no_stage_before else first.pipeline(names)


def training_settings(run: str | Path, *, preset: str | None = None) -> RunSettings:
    """Return the settings that :func:`load_training` gives a training by default.

    The images of the search are not read: they may have changed, or be missing.

    Args:
        run: see :func:`load_training`, as the next one.
        preset: see there.

    Raises:
        ValueError: the settings depend on a file of the run that is missing or damaged, or the
            preset is unknown.
    """
    folder, name = last_run(run)
    module, options = registry.training_module(name), _training_options(folder, name, preset, {})
    if hasattr(module, "settings_for"):
        settings: RunSettings = module.settings_for(folder, **options)
        return settings
    stage: TrainingStage = module.build(from_run=str(folder), **options)  # of a plug-in
    return stage.settings


def _training_options(
    folder: Path, name: str, preset: str | None, options: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the options of the training of an architecture that a search of ``name`` found."""
    presets = registry.preset_options(registry.training_settings_class(name), preset)
    # the images are those of the search, whatever the preset was made for; their size as well,
    # unless the preset says how they are resized and cropped
    replaced = {"data"} if "stored_size" in presets else {"data", "image_size"}
    presets = {k: v for k, v in presets.items() if k not in replaced}
    return {**presets, **_images_of_search(folder), **options}


def _images_of_search(run: Path) -> dict[str, str]:
    """Return the option ``data`` if the images of a search are not where its settings say.

    Settings may contain a path that is relative to another working directory.
    """
    from .run.journal import read_identity, recorded_images

    identity = read_identity(run)
    images = recorded_images(identity)
    if images is None or Path(identity["settings"]["data"]).is_dir():
        return {}
    return {"data": images.path}


def load_training(
    run: str | Path,
    *,
    preset: str | None = None,
    journal: str | Path | None = None,
    **options: Any,
) -> TrainingStage:
    """Create the stage that trains an architecture found by a search from scratch.

    Args:
        run: run folder of a search, or of its last stage.
        preset: name of a preset; ``options`` override it.
        journal: folder to record the training in, see :func:`moonas.load_problem`.
        options: fields of the training's Settings. Fields that the search's Settings also have
            default to the search's values.

    Returns:
        A :class:`moonas.run.stage.TrainingStage`.

    Raises:
        ValueError: the folder contains no run, or the problem has no training from scratch.
    """
    from .run.journal import changed_images, read_identity

    folder, name = last_run(run)
    check_names(registry.training_settings_class(name), options)
    all_options = _training_options(folder, name, preset, options)
    images = _images_of_search(folder).get("data")
    if "data" not in options and images is not None and not Path(images).is_dir():
        raise ValueError(
            f"The search in {folder} used the images in {images}, but this folder does not exist. "
            "Name the folder that contains them now: --data FOLDER, data=FOLDER."
        )
    build = registry.training_module(name).build
    training: TrainingStage = build(from_run=str(folder), **all_options)
    identity = read_identity(folder)
    changed = changed_images(folder, identity, registry.images_of(training.settings))
    if changed is not None and "data" not in options:
        raise ValueError(
            f"{changed} Restore them, or name the images to train on (--data FOLDER, "
            "data=FOLDER); the search may then have seen some of the images of the final test."
        )
    if journal is not None:
        registry.attach_journal(training, f"{name} training", journal)
    return training
