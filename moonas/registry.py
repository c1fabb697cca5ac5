"""Problems and other stages by name, found through the entry-point group ``moonas.problems``.

An entry point leads to a dict of name -> :class:`ProblemEntry` or :class:`PreparationEntry`;
moonas's own is ``moonas.problems:PROBLEMS``, and any installed package can add its own.
"""

import importlib
from dataclasses import dataclass
from functools import cache
from importlib.metadata import entry_points

GROUP = "moonas.problems"


@dataclass(frozen=True)
class ProblemEntry:
    """What is known of a problem before it is imported.

    Args:
        task: the task it is a stage of; stages run in the order of their entries.
        module: its module, with ``Settings``, ``PRESETS`` (name -> options), ``build(**options)``.
        summary: one line.
        variables: one line, how many of what.
        objectives: one line, with units.
        moves: whether scores change while a run trains, in words.
        data: one line.
        cost: of a search as the defaults have it, on two CPU cores.
        training: module of the full training of what a search has picked, a
            :class:`moonas.run.stage.Preparation` with the same three names; None for none.
    """

    task: str
    module: str
    summary: str
    variables: str
    objectives: str
    moves: str
    data: str
    cost: str
    training: str | None = None


@dataclass(frozen=True)
class PreparationEntry:
    """The same of a stage that is no problem, a :class:`moonas.run.stage.Preparation`.

    Args:
        task: the task it is a stage of; stages run in the order of their entries.
        module: its module, with ``Settings``, ``PRESETS`` (name -> options), ``build(**options)``.
        summary: one line.
        result: one line, what it leaves for the next stage.
        data: one line.
    """

    task: str
    module: str
    summary: str
    result: str
    data: str


@cache
def entries():
    """All stages by name, those of other packages included."""
    found = {}
    for point in sorted(entry_points(group=GROUP), key=lambda point: point.name):
        for name, entry in _load(point).items():
            if name in found:
                raise ValueError(
                    f"Two installed packages bring a problem named {name!r}; one is {point.value}."
                )
            found[name] = entry
    if not found:
        raise ValueError(
            f"No package offers problems (entry-point group {GROUP!r}); install moonas with pip."
        )
    return found


def _load(point):
    try:
        return point.load()
    except (ImportError, AttributeError) as error:
        try:
            module = importlib.import_module(point.module)
            where = getattr(module, "__file__", None) or list(module.__path__)
        except ImportError:
            raise error from None
        raise ValueError(
            f"The package {point.module!r} that was found at {where} has no {point.attr!r}, so it "
            f"is not the one that the entry point {point.name!r} means. It hides the installed "
            "one: rename it, or run from another folder."
        ) from None


def problem_names():
    """Names for :func:`load_problem`, sorted."""
    return sorted(name for name, entry in entries().items() if isinstance(entry, ProblemEntry))


def entry(name):
    """The entry of a stage; a ``ValueError`` lists the names there are."""
    if name not in entries():
        raise ValueError(f"Unknown problem {name!r}; choose from {sorted(entries())}.")
    return entries()[name]


def stages(task):
    """Names of the stages that a task runs, in order; a ``ValueError`` lists the tasks."""
    names = [name for name, entry in entries().items() if entry.task == task]
    if not names:
        tasks = sorted({entry.task for entry in entries().values()})
        raise ValueError(f"Unknown task {task!r}; choose from {tasks}.")
    return names


def stage_module(name):
    """The module of a stage, imported."""
    return importlib.import_module(entry(name).module)


def load_problem(name, *, preset=None, journal=None, **options):
    """A pymoo problem, ready for ``minimize``; nothing is trained before its first evaluation.

    Args:
        name: one of :func:`problem_names`.
        preset: a named set of options; ``options`` come on top.
        journal: folder that records the run, so that the same program run again goes on where it
            stopped; such a run needs a seed, and a callback may not call ``problem.evaluate``,
            which cannot be replayed. Without a journal nothing is written.
        options: fields of the problem's Settings, see ``moonas search TASK --help``.

    Raises:
        ValueError: an unknown problem or preset, or an option's value that will not do.
        TypeError: an unknown option.
    """
    if isinstance(entry(name), PreparationEntry):
        raise ValueError(
            f"{name!r} is no problem, but a stage that prepares one. Run it with "
            f"moonas.load_stage({name!r}, ...).run(seed=1), or moonas search {entry(name).task}."
        )
    return load_stage(name, preset=preset, journal=journal, **options)


def load_stage(name, *, preset=None, journal=None, **options):
    """A stage of a task by name, a problem or a :class:`moonas.run.stage.Preparation`.

    The arguments are those of :func:`load_problem`.
    """
    module = stage_module(name)
    stage = module.build(**preset_options(module, preset) | options)
    if journal is not None:
        attach_journal(stage, name, journal)
    return stage


def training_module(name):
    """The module of a problem's full training, imported; a ``ValueError`` if it has none."""
    path = getattr(entry(name), "training", None)
    if path is None:
        able = sorted(n for n, e in entries().items() if getattr(e, "training", None))
        raise ValueError(f"{name} has no full training yet; these have: {', '.join(able)}.")
    return importlib.import_module(path)


def attach_journal(stage, name, folder):
    """Record the runs of a stage in a folder, see ``load_problem(..., journal=FOLDER)``."""
    from .run.journal import Journal

    stage.journal = Journal(folder, problem=name, settings=stage.settings, inputs=stage.inputs)


def preset_options(module, preset):
    """The options that a preset stands for; None is no preset."""
    if preset is not None and preset not in module.PRESETS:
        raise ValueError(f"Unknown preset {preset!r}; choose from {sorted(module.PRESETS)}.")
    return module.PRESETS[preset] if preset else {}
