"""The command lines that made a run, rebuilt from what its folder records."""

from __future__ import annotations

import dataclasses
import json
import shlex
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import registry
from ..evaluators.settings import picking_column
from ..files import sha256
from ..run.folders import last_run
from ..run.front_file import FRONT_FILE, find_row, read_front_csv
from ..run.journal import read_identity
from ..settings import names_of, to_text

if TYPE_CHECKING:
    from ..problem import ArchitectureProblem
    from ..settings import RunSettings

FLAGS = ("data", "root", "device", "population", "generations")  # settings that are options
LIST_FLAGS = ("objectives", "limits", "start")
MODEL, CLASSES = "model.pt", "classes.json"  # of a training; only classifiers have the second
DEFAULT = "default"  # algorithm of a run without --algorithm


def changed_settings(name: str, recorded: Mapping[str, Any]) -> dict[str, Any]:
    """Return the recorded settings of a stage that are not the defaults.

    Args:
        name: name of the stage.
        recorded: settings of a run, as read from ``run.json``; settings of other versions that no
            longer exist are left out.
    """
    return _changed(registry.settings_class(name), recorded)


def _changed(settings: type[RunSettings], recorded: Mapping[str, Any]) -> dict[str, Any]:
    defaults: dict[str, Any] = {f.name: f.default for f in dataclasses.fields(settings)}
    texts = {key: to_text(value) for key, value in defaults.items()}
    return {k: v for k, v in recorded.items() if k in texts and to_text(v) != texts[k]}


def algorithm_name(problem: ArchitectureProblem, description: str) -> str | None:
    """Return the name of the algorithm with a description.

    Args:
        problem: problem that was searched.
        description: description of the algorithm, which ``run.json`` records.

    Returns:
        ``DEFAULT``, a name for ``--algorithm``, or None for an algorithm of the user's own.
    """
    from ..algorithms import algorithm
    from ..algorithms.named import algorithms_for
    from ..run.session import describe_algorithm

    if describe_algorithm(problem.algorithm()) == description:
        return DEFAULT
    # the class comes first in a description; agemoea, whose import is slow, is tried last
    for name in sorted(algorithms_for(problem), key=lambda name: name == "agemoea"):
        try:
            made = algorithm(name, problem)
        except (ImportError, ValueError):  # an optional package is missing, or it does not fit
            continue
        if describe_algorithm(made) == description:
            return name
    return None


def search_command(
    name: str, folder: Path, head: Mapping[str, Any], algorithm: str = DEFAULT
) -> str:
    """Return the ``moonas search`` command that made or resumes a run.

    Args:
        name: name of the stage.
        folder: run folder, as the command names it.
        head: content of ``run.json``.
        algorithm: name of the algorithm, see :func:`algorithm_name`.
    """
    task = registry.entry(name).task or name
    words = ["moonas", "search", task]
    options = changed_settings(name, head["settings"])
    if len(registry.stages(task)) > 1:
        words += ["--stage", name]
        options = _without_results(name, folder, options)
        folder = folder.parent
    if algorithm != DEFAULT:
        words += ["--algorithm", algorithm]
    words += _option_words(options)
    return shlex.join([*words, "--seed", str(head["seed"]), "--out", folder.as_posix()])


def _without_results(name: str, folder: Path, options: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out the options of a stage that it reads from the run of the stage before it.

    Args:
        name: name of the stage.
        folder: its run folder, next to that of the stage before it.
        options: recorded settings that are not the defaults.
    """
    kept = dict(options)
    stages = registry.stages(registry.entry(name).task or name)
    previous = folder.parent / stages[stages.index(name) - 1]
    has_source = "from_run" in names_of(registry.settings_class(name))
    if name == stages[0] or not has_source or not (previous / "run.json").exists():
        return kept
    for key, value in options.items():
        others = {k: v for k, v in kept.items() if k != key}
        try:
            stage = registry.load_stage(name, **others | {"from_run": str(previous)})
        except ValueError:  # the results of the stage before are among the other options
            continue
        if to_text(getattr(stage.settings, key)) == to_text(value):
            kept = others
    return kept


def _option_words(options: Mapping[str, Any]) -> Iterable[str]:
    words: list[str] = []
    for key in LIST_FLAGS:
        if options.get(key):
            words += [f"--{key}", *map(str, options[key])]
    for key in FLAGS:
        if key in options:
            words += [f"--{key}", to_text(options[key])]
    others = {k: v for k, v in options.items() if k not in (*FLAGS, *LIST_FLAGS)}
    if others:
        words += ["--set", *(f"{key}={to_text(value)}" for key, value in others.items())]
    return words


def train_command(folder: Path, pick: str | None = None) -> str:
    """Return the ``moonas train`` command for the picked row of a front, or for another row."""
    words = ["moonas", "train", folder.as_posix()]
    return shlex.join(words if pick is None else [*words, "--pick", pick])


def export_command(training: Path) -> str:
    """Return the ``moonas export`` command for a training."""
    return shlex.join(["moonas", "export", training.as_posix(), "--format", "onnx"])


def search_of(training: Path, head: Mapping[str, Any]) -> Path | None:
    """Return the folder of the search whose network was trained, as a command names it.

    The folder is recorded, contains the training, or lies beside it. A folder whose search found
    another network, or has picked another one since, does not count.

    Args:
        training: folder of the training.
        head: content of its ``run.json``.

    Returns:
        The folder, or None if it is unknown.
    """
    around = training.parent if training.name else training / ".."
    fronts = [*around.glob(f"*/{FRONT_FILE}"), *around.glob(f"*/*/{FRONT_FILE}")]
    found = {front.relative_to(around).parts[0] for front in fronts}
    folders = [around, *(around / name for name in sorted(found))]
    if head["settings"].get("weights"):
        folders.insert(0, Path(head["settings"]["weights"]))
    return next((folder for folder in folders if _has_network_of(head, folder)), None)


def _has_network_of(head: Mapping[str, Any], folder: Path) -> bool:
    """Return whether ``moonas train`` would train the network of a training again.

    Args:
        head: content of the training's ``run.json``.
        folder: folder of a search.
    """
    settings, inputs = head["settings"], head.get("inputs") or {}
    try:
        run, name = last_run(folder)
        rows = read_front_csv(run)
        if f"{name} training" != head["problem"] or not rows:
            return False
        if "architecture" in inputs:
            objectives = read_identity(run)["settings"]["objectives"]
            error = picking_column(objectives, rows[0].columns)
            row = rows[find_row(rows, settings["pick"], error=error, size="params")]
            return bool(json.dumps(row.architecture) == inputs["architecture"])
        files = {key: run / key for key in inputs if (run / key).exists()}
        if files:  # with the weights of the network
            return all(sha256(path) == inputs[key] for key, path in files.items())
    except (ValueError, OSError):
        return False
    return any(row.picked and row.description in settings.values() for row in rows)


def next_commands(training: Path) -> dict[str, list[str]]:
    """Return what can be done with the models of a training -> the commands that do it."""
    folder = training.as_posix()
    if (training / "model-a.pt").exists():
        translate = ["moonas", "translate", folder, "IMAGES", "--direction", "a-to-b"]
        command = shlex.join([*translate, "--out", "translated"])
        return {"Next, translate images in the folder IMAGES:": [command]}
    if not (training / MODEL).exists():
        return {}
    if (training / CLASSES).exists():
        predict = shlex.join(["moonas", "predict", folder, "IMAGES"])
        return {
            "Next, export the trained network, or predict the classes of images:": [
                export_command(training),
                predict,
            ]
        }
    draw, evaluate = (shlex.join(["moonas", word, folder]) for word in ("sample", "evaluate"))
    return {"Next, draw images of the trained generator, or evaluate it:": [draw, evaluate]}


def training_command(folder: Path, head: Mapping[str, Any], run: Path | None) -> str | None:
    """Return the ``moonas train`` command that made a training.

    Args:
        folder: folder of the training, as the command names it.
        head: content of its ``run.json``.
        run: run folder of the search whose network was trained.

    Returns:
        The command, or None if the trained network cannot be named.
    """
    name = head["problem"].removesuffix(" training")
    recorded = head["settings"]
    settings = registry.training_settings_class(name)
    words = ["moonas", "train"]
    if recorded.get("architecture"):
        words += ["--architecture", recorded["architecture"]]
    elif run is not None:
        words.append(run.as_posix())
        if "pick" in names_of(settings):
            words += ["--pick", recorded["pick"]]
    else:
        return None
    named = ("architecture", "pick", "from_run", "weights")  # which follow from the run
    changed = {k: v for k, v in _changed(settings, recorded).items() if k not in named}
    return shlex.join(
        [*words, *_option_words(changed), "--seed", str(head["seed"]), "--out", folder.as_posix()]
    )
