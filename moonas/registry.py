"""Registry of problems and other stages, from the entry-point group ``moonas.problems``.

An entry point refers to a dict of name -> :class:`ProblemEntry` or :class:`StageEntry`. The entry
point of moonas is ``moonas.problems:PROBLEMS``; any installed package can add another. If a plug-in
cannot be used, a warning names the plug-in, and the other plug-ins still work.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import KW_ONLY, dataclass, replace
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from .deprecation import warn
from .settings import RunSettings, check_names

if TYPE_CHECKING:
    from .files.image_folders import ImageFolder
    from .run.journal import Journal

GROUP = "moonas.problems"  # group of the entry points
OWN = "moonas.problems:PROBLEMS"  # entry point of moonas itself


@dataclass(frozen=True)
class StageEntry:
    """Description of a stage that can be read without importing the stage's module.

    The stages of a task run in the order of their entries.

    Args:
        module: module of the stage; its ``build(**options)`` returns a
            :class:`moonas.run.stage.TrainingStage`.
        summary: one-line description.
        settings: Settings class as ``package.module:Class``; by default, ``module:Settings``. If
            its module imports neither torch nor pymoo, ``--help`` is fast.
        task: task that the stage belongs to; by default, the name of the entry.
        cost: how long a search with all stages of the task takes with default settings on two CPU
            cores.
    """

    module: str
    summary: str
    _: KW_ONLY
    settings: str = ""
    task: str | None = None
    cost: str = ""

    def __post_init__(self) -> None:
        if not self.settings:
            object.__setattr__(self, "settings", f"{self.module}:Settings")


@dataclass(frozen=True)
class ProblemEntry(StageEntry):
    """Description of a problem: a stage whose ``build`` returns an ``ArchitectureProblem``.

    Args:
        training: module that trains an architecture found by a search from scratch; its
            ``build(from_run=FOLDER, **options)`` returns a
            :class:`moonas.run.stage.TrainingStage`. None if the problem has no training from
            scratch.
        training_settings: Settings class of the training; by default, ``training:Settings``.
    """

    _: KW_ONLY
    training: str | None = None
    training_settings: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.training is not None and self.training_settings is None:
            object.__setattr__(self, "training_settings", f"{self.training}:Settings")


def entries() -> Mapping[str, StageEntry]:
    """Return name -> entry of every stage, first of moonas, then of plug-ins.

    Warns:
        UserWarning: a plug-in cannot be used; the warning states the reason.
    """
    return _load_plugins()[0]


@cache
def _load_plugins(only: str | None = None) -> tuple[dict[str, StageEntry], dict[str, str]]:
    """Load plug-ins, and issue a warning for each plug-in that cannot be used.

    Args:
        only: name of the entry points to load; None loads all plug-ins.

    Returns:
        (name of a stage -> its entry, name of a plug-in -> reason why it cannot be used).
    """
    known, faults = dict(_builtin_entries()), {}
    try:
        points = sorted(set(entry_points(group=GROUP)), key=lambda point: (point.name, point.value))
    except Exception as error:  # one damaged package makes the whole query fail
        points, faults["(any)"] = [], f"damaged metadata of a package: {reason(error)}"
    for point in points:
        if point.value == OWN or only not in (None, point.name):
            continue
        name = f"{point.name} = {point.value}"
        try:
            conflicts = _add(known, _checked(point.load()))
        except (Exception, SystemExit) as error:  # code of a plug-in can raise any exception
            faults[name] = reason(error)
        else:
            if conflicts:
                faults[name] = "; ".join(conflicts)
    for name, fault in faults.items():
        if name not in _warned:
            _warned.add(name)
            warn_of_plugin(name, fault)
    return known, faults


_warned: set[str] = set()  # names of plug-ins that a warning was issued for


@cache
def _builtin_entries() -> dict[str, StageEntry]:
    """Return name -> entry of the stages that are part of moonas."""
    known: dict[str, StageEntry] = {}
    _add(known, _checked(importlib.import_module("moonas.problems").PROBLEMS))
    return known


def _entries_for(name: str) -> Mapping[str, StageEntry]:
    """Return entries that include a stage or task, if it exists.

    To load few plug-ins, search the entries of moonas first, then plug-ins whose entry point
    has this name, then all plug-ins.
    """
    builtin = _builtin_entries()
    if name in builtin or name in {entry.task for entry in builtin.values()}:
        return builtin
    named = _load_plugins(name)[0]
    if name in named or name in {entry.task for entry in named.values()}:
        return named
    return entries()


def each_entry() -> Iterator[tuple[str, StageEntry]]:
    """Iterate over (name, entry) of all stages; plug-ins are loaded after the stages of moonas."""
    builtin = _builtin_entries()
    yield from builtin.items()
    yield from ((name, entry) for name, entry in entries().items() if name not in builtin)


def _checked(problems: Any) -> dict[str, StageEntry]:
    """Return the object of an entry point; raise a ``ValueError`` if it is no dict of entries."""
    if not isinstance(problems, dict) or not all(
        isinstance(name, str) and isinstance(entry, StageEntry) for name, entry in problems.items()
    ):
        raise ValueError("expected a dict of name -> ProblemEntry or StageEntry")
    return problems


def _add(known: dict[str, StageEntry], problems: dict[str, StageEntry]) -> list[str]:
    """Add a package's entries to ``known``; return the conflicts with other packages' entries."""
    tasks, conflicts = {entry.task for entry in known.values()}, []
    for name, entry in problems.items():
        entry = replace(entry, task=entry.task or name)
        if name in known:
            conflicts.append(f"the name {name!r} is taken")
        elif entry.task in tasks:
            conflicts.append(f"the task {entry.task!r} of {name!r} belongs to another package")
        else:
            known[name] = entry
    return conflicts


def reason(error: BaseException) -> str:
    """Summarize an exception in one line: its type and the first line of its message."""
    text = (str(error) or repr(error)).splitlines()[0]
    return f"{type(error).__name__}: {text}"


def warn_of_plugin(name: str, fault: str) -> None:
    """Warn that a plug-in, or a part of a plug-in, cannot be used.

    The location of the warning is the code outside moonas that called moonas.

    Args:
        name: name of the plug-in.
        fault: reason why the plug-in cannot be used.
    """
    warn(f"Plug-in {name} cannot be used: {fault}.", UserWarning)


def problem_names() -> list[str]:
    """Return the names of all problems that :func:`load_problem` can create, sorted."""
    return sorted(name for name, entry in entries().items() if isinstance(entry, ProblemEntry))


def entry(name: str) -> StageEntry:
    """Return the entry of a stage.

    Raises:
        ValueError: the name is unknown; the message lists the known names.
    """
    known = _entries_for(name)
    if name not in known:
        raise ValueError(_unknown("problem", name, entries()))
    return known[name]


def stages(task: str) -> list[str]:
    """Return the names of a task's stages, in order.

    Raises:
        ValueError: the task is unknown; the message lists the known tasks.
    """
    names = [name for name, entry in _entries_for(task).items() if entry.task == task]
    if not names:
        raise ValueError(_unknown("task", task, {entry.task or "" for entry in entries().values()}))
    return names


def _unknown(kind: str, name: str, known: Iterable[str]) -> str:
    """Return an error message for an unknown name; it lists the plug-ins that cannot be used."""
    text = f"Unknown {kind} {name!r}; choose from {sorted(known)}."
    faults = _load_plugins()[1]
    if faults:
        listed = "; ".join(f"{plugin} ({fault})" for plugin, fault in faults.items())
        text += f" Plug-ins that could not be used: {listed}."
    return text


def stage_module(name: str) -> ModuleType:
    """Import and return the module of a stage."""
    return importlib.import_module(entry(name).module)


def settings_class(name: str) -> type[RunSettings]:
    """Return the Settings class of a stage; the module of the stage is not imported."""
    return _import_settings(entry(name).settings)


def training_module(name: str) -> ModuleType:
    """Import and return the module that trains a problem's architectures from scratch.

    Raises:
        ValueError: the problem has no training from scratch.
    """
    training = _training_entry(name).training
    assert training is not None
    return importlib.import_module(training)


def training_settings_class(name: str) -> type[RunSettings]:
    """Return the Settings class of a problem's training; the training's module is not imported.

    Raises:
        ValueError: the problem has no training from scratch.
    """
    settings = _training_entry(name).training_settings
    assert settings is not None  # set by ProblemEntry
    return _import_settings(settings)


def has_training(name: str) -> bool:
    """Return whether ``moonas train`` can train architectures found by a search of this stage."""
    return getattr(entry(name), "training", None) is not None


def _training_entry(name: str) -> ProblemEntry:
    problem = entry(name)
    if not isinstance(problem, ProblemEntry) or problem.training is None:
        trainable = sorted(n for n in entries() if has_training(n))
        raise ValueError(
            f"{name} has no training from scratch; choose from {', '.join(trainable)}."
        )
    return problem


def _import_settings(path: str) -> type[RunSettings]:
    """Import a Settings class by its path ``package.module:Class``."""
    module, _, name = path.partition(":")
    settings: type[RunSettings] = getattr(importlib.import_module(module), name)
    return settings


def load_problem(
    name: str, *, preset: str | None = None, journal: str | Path | None = None, **options: Any
) -> Any:
    """Create a pymoo problem by name, ready for ``minimize``.

    The problem trains nothing before the first evaluation.

    Args:
        name: one of the names that :func:`problem_names` returns.
        preset: name of a preset, that is, a named set of options; ``options`` override it.
        journal: folder to record the run in; running the same program again resumes the run. The
            run requires a seed, and callbacks must not call ``problem.evaluate``, because such
            evaluations cannot be replayed. By default, the run is not recorded.
        options: fields of the problem's Settings; ``moonas search TASK --help`` lists them.

    Raises:
        ValueError: the problem or preset is unknown, or the value of an option is invalid.
        UnknownSetting: an option is unknown.
    """
    if not isinstance(entry(name), ProblemEntry):
        raise ValueError(
            f"{name!r} is not a problem but a stage that runs before a problem. Run it with "
            f"moonas.load_stage({name!r}, ...).run(seed=1), or moonas search {entry(name).task}."
        )
    return load_stage(name, preset=preset, journal=journal, **options)


def load_stage(
    name: str, *, preset: str | None = None, journal: str | Path | None = None, **options: Any
) -> Any:
    """Create a stage by name: a problem or a :class:`moonas.run.stage.TrainingStage`.

    Args:
        name: name of the stage.
        preset: see :func:`load_problem`.
        journal: see :func:`load_problem`.
        options: fields of the stage's Settings; ``moonas search TASK --help`` lists them.

    Raises:
        ValueError: the stage or preset is unknown, or the value of an option is invalid.
        UnknownSetting: an option is unknown.
    """
    settings = settings_class(name)
    check_names(settings, options)
    all_options = preset_options(settings, preset) | options
    if journal is not None:
        from .run.journal import options_of_earlier_version

        all_options |= options_of_earlier_version(journal, settings, options)
    stage = stage_module(name).build(**all_options)
    if hasattr(stage, "registered_name"):  # a problem
        stage.registered_name = name
    if journal is not None:
        attach_journal(stage, name, journal)
    return stage


def attach_journal(stage: Any, name: str, folder: str | Path) -> Journal:
    """Make a stage record its runs in a folder, as ``load_problem(..., journal=FOLDER)`` does.

    Args:
        stage: a problem or a :class:`moonas.run.stage.TrainingStage`.
        name: name of the stage in ``run.json``.
        folder: run folder.

    Returns:
        The new journal, which the session of the stage uses from now on.
    """
    from .run.journal import Journal

    settings = stage.settings
    images = images_of(settings)
    journal = Journal(folder, problem=name, settings=settings, inputs=stage.inputs, images=images)
    stage.session.journal = journal
    return journal


def images_of(settings: RunSettings) -> ImageFolder | None:
    """Return the folder of images that settings name; None for other data."""
    if not Path(settings.data).is_dir():
        return None
    from .data import DATA_SETS
    from .files.image_folders import image_folder

    return None if settings.data in DATA_SETS else image_folder(settings.data)


def preset_options(settings: type[RunSettings], preset: str | None) -> dict[str, Any]:
    """Return the options of a preset of a Settings class; empty if ``preset`` is None.

    Raises:
        ValueError: the preset is unknown.
    """
    if preset is None:
        return {}
    if preset not in settings.PRESETS:
        raise ValueError(f"Unknown preset {preset!r}; choose from {sorted(settings.PRESETS)}.")
    return dict(settings.PRESETS[preset])
