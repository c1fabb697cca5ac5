"""Problems and other stages by name, found through the entry-point group ``moonas.problems``.

An entry point leads to a dict of name -> :class:`ProblemEntry` or :class:`StageEntry`. moonas's own
is ``moonas.problems:PROBLEMS``, and any installed package can add its own. A plug-in that cannot be
used is named in a warning and left out; all others keep working.
"""

from __future__ import annotations

import importlib
import sys
import warnings
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import KW_ONLY, dataclass, replace
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from typing import Any

from .settings import RunSettings

GROUP = "moonas.problems"
OWN = "moonas.problems:PROBLEMS"


@dataclass(frozen=True)
class StageEntry:
    """What is known of a stage before its module is imported.

    The stages of a task run in the order of their entries.

    Args:
        module: its module, with ``build(**options)``, which returns a
            :class:`moonas.run.stage.TrainingStage`.
        summary: one line.
        settings: its Settings class as ``package.module:Class``; ``module:Settings`` by default. If
            that module imports neither torch nor pymoo, the help of the command line is fast.
        task: the task it is a stage of; the entry's own name by default.
        cost: time of a search of the whole task with default settings, on two CPU cores.
    """

    module: str
    summary: str
    _: KW_ONLY
    settings: str | None = None
    task: str | None = None
    cost: str = ""

    def __post_init__(self) -> None:
        if self.settings is None:
            object.__setattr__(self, "settings", f"{self.module}:Settings")


@dataclass(frozen=True)
class ProblemEntry(StageEntry):
    """The same of a problem, whose module's ``build`` returns an ``ArchitectureProblem``.

    Args:
        training: module of the training from scratch of what a search has found, whose
            ``build(from_run=FOLDER, **options)`` returns a
            :class:`moonas.run.stage.TrainingStage`; None if there is no such training.
        training_settings: its Settings class; ``training:Settings`` by default.
    """

    _: KW_ONLY
    training: str | None = None
    training_settings: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.training is not None and self.training_settings is None:
            object.__setattr__(self, "training_settings", f"{self.training}:Settings")


def entries() -> Mapping[str, StageEntry]:
    """All stages by name, those of plug-ins after moonas's own.

    Warns:
        UserWarning: a plug-in cannot be used, and why.
    """
    return _found()[0]


@cache
def _found(only: str | None = None) -> tuple[dict[str, StageEntry], dict[str, str]]:
    """The stages by name, and the reason by plug-in why one cannot be used.

    Args:
        only: load plug-ins whose entry point has this name; None loads all.
    """
    found, faults = dict(_own()), {}
    try:
        points = sorted(set(entry_points(group=GROUP)), key=lambda point: (point.name, point.value))
    except Exception as error:  # one damaged package is enough
        points, faults["(any)"] = [], f"damaged metadata of a package: {reason(error)}"
    for point in points:
        if point.value == OWN or only not in (None, point.name):
            continue
        name = f"{point.name} = {point.value}"
        try:
            refused = _add(found, _checked(point.load()))
        except (Exception, SystemExit) as error:  # it is not our code: anything can happen
            faults[name] = reason(error)
        else:
            if refused:
                faults[name] = "; ".join(refused)
    for name, fault in faults.items():
        if name not in _warned:
            _warned.add(name)
            warn_of_plugin(name, fault)
    return found, faults


_warned: set[str] = set()  # plug-ins that a warning has named


@cache
def _own() -> dict[str, StageEntry]:
    """The stages that moonas brings."""
    found: dict[str, StageEntry] = {}
    _add(found, _checked(importlib.import_module("moonas.problems").PROBLEMS))
    return found


def _entries_for(name: str) -> Mapping[str, StageEntry]:
    """Entries among which a stage or task is; plug-ins are loaded only if it is not our own."""
    own = _own()
    if name in own or name in {entry.task for entry in own.values()}:
        return own
    named = _found(name)[0]
    if name in named or name in {entry.task for entry in named.values()}:
        return named
    return entries()


def each_entry() -> Iterator[tuple[str, StageEntry]]:
    """Names and entries of all stages; plug-ins are loaded once those of moonas are through."""
    yield from _own().items()
    yield from ((name, entry) for name, entry in entries().items() if name not in _own())


def _checked(bunch: Any) -> dict[str, StageEntry]:
    """The dict that an entry point leads to; a ``ValueError`` if it is none of entries."""
    good = isinstance(bunch, dict) and all(
        isinstance(name, str) and isinstance(entry, StageEntry) for name, entry in bunch.items()
    )
    if not good:
        raise ValueError("expected a dict of name -> ProblemEntry or StageEntry")
    return bunch


def _add(found: dict[str, StageEntry], bunch: dict[str, StageEntry]) -> list[str]:
    """Add the entries of one package; what is refused since another package has it already."""
    tasks, refused = {entry.task for entry in found.values()}, []
    for name, entry in bunch.items():
        entry = replace(entry, task=entry.task or name)
        if name in found:
            refused.append(f"the name {name!r} is taken")
        elif entry.task in tasks:
            refused.append(f"the task {entry.task!r} of {name!r} belongs to another package")
        else:
            found[name] = entry
    return refused


def reason(error: BaseException) -> str:
    """An exception in one line: its type and the first line of its message."""
    text = (str(error) or repr(error)).splitlines()[0]
    return f"{type(error).__name__}: {text}"


def warn_of_plugin(name: str, fault: str) -> None:
    """Warn that a plug-in, or a part of it, is left out; in the name of the code that asked."""
    frame, level = sys._getframe(1), 2
    while frame.f_back and frame.f_globals.get("__name__", "").partition(".")[0] == "moonas":
        frame, level = frame.f_back, level + 1
    warnings.warn(f"Plug-in {name} cannot be used: {fault}.", UserWarning, stacklevel=level)


def problem_names() -> list[str]:
    """Names for :func:`load_problem`, sorted."""
    return sorted(name for name, entry in entries().items() if isinstance(entry, ProblemEntry))


def entry(name: str) -> StageEntry:
    """The entry of a stage.

    Raises:
        ValueError: the name is unknown; the message lists the known ones.
    """
    known = _entries_for(name)
    if name not in known:
        raise ValueError(_unknown("problem", name, entries()))
    return known[name]


def stages(task: str) -> list[str]:
    """Names of the stages that a task runs, in order.

    Raises:
        ValueError: the task is unknown; the message lists the known ones.
    """
    names = [name for name, entry in _entries_for(task).items() if entry.task == task]
    if not names:
        raise ValueError(_unknown("task", task, {entry.task for entry in entries().values()}))
    return names


def _unknown(kind: str, name: str, known: Iterable[str]) -> str:
    """The message for an unknown name, with the plug-ins that it may come from."""
    text = f"Unknown {kind} {name!r}; choose from {sorted(known)}."
    faults = _found()[1]
    if faults:
        listed = "; ".join(f"{plugin} ({fault})" for plugin, fault in faults.items())
        text += f" Plug-ins that could not be used: {listed}."
    return text


def stage_module(name: str) -> ModuleType:
    """The module of a stage, imported."""
    return importlib.import_module(entry(name).module)


def settings_class(name: str) -> type[RunSettings]:
    """The Settings class of a stage, with its presets; the module of the stage is not imported."""
    return _object(entry(name).settings)


def training_module(name: str) -> ModuleType:
    """The module of a problem's training from scratch, imported.

    Raises:
        ValueError: it has none.
    """
    return importlib.import_module(_training_entry(name).training)


def training_settings_class(name: str) -> type[RunSettings]:
    """The Settings class of a problem's training from scratch; its module is not imported.

    Raises:
        ValueError: the problem has no such training.
    """
    return _object(_training_entry(name).training_settings)


def has_training(name: str) -> bool:
    """Whether ``moonas train`` can train what a search of this stage has found."""
    return getattr(entry(name), "training", None) is not None


def _training_entry(name: str) -> ProblemEntry:
    if not has_training(name):
        able = sorted(n for n in entries() if has_training(n))
        raise ValueError(f"{name} has no full training yet; these have: {', '.join(able)}.")
    return entry(name)


def _object(path: str) -> Any:
    """The object at ``package.module:name``."""
    module, _, name = path.partition(":")
    return getattr(importlib.import_module(module), name)


def load_problem(
    name: str, *, preset: str | None = None, journal: str | Path | None = None, **options: Any
) -> Any:
    """A pymoo problem, ready for ``minimize``; nothing is trained before its first evaluation.

    Args:
        name: one of :func:`problem_names`.
        preset: a named set of options; ``options`` override it.
        journal: folder that records the run, so that the same program run again resumes where it
            stopped; such a run needs a seed, and a callback may not call ``problem.evaluate``,
            which cannot be replayed. Without a journal nothing is written.
        options: fields of the problem's Settings, see ``moonas search TASK --help``.

    Raises:
        ValueError: an unknown problem or preset, or an invalid value of an option.
        TypeError: an unknown option.
    """
    if not isinstance(entry(name), ProblemEntry):
        raise ValueError(
            f"{name!r} is no problem, but a stage that prepares one. Run it with "
            f"moonas.load_stage({name!r}, ...).run(seed=1), or moonas search {entry(name).task}."
        )
    return load_stage(name, preset=preset, journal=journal, **options)


def load_stage(
    name: str, *, preset: str | None = None, journal: str | Path | None = None, **options: Any
) -> Any:
    """A stage of a task by name, a problem or a :class:`moonas.run.stage.TrainingStage`.

    The arguments are those of :func:`load_problem`.
    """
    stage = stage_module(name).build(**preset_options(settings_class(name), preset) | options)
    if journal is not None:
        attach_journal(stage, name, journal)
    return stage


def attach_journal(stage: Any, name: str, folder: str | Path) -> None:
    """Record the runs of a stage in a folder, see ``load_problem(..., journal=FOLDER)``."""
    from .run.journal import Journal

    stage.session.journal = Journal(
        folder, problem=name, settings=stage.settings, inputs=stage.inputs
    )


def preset_options(settings: type[RunSettings], preset: str | None) -> dict[str, Any]:
    """The options of a preset of a Settings class, none for None.

    Raises:
        ValueError: there is no such preset.
    """
    if preset is None:
        return {}
    if preset not in settings.PRESETS:
        raise ValueError(f"Unknown preset {preset!r}; choose from {sorted(settings.PRESETS)}.")
    return dict(settings.PRESETS[preset])
