"""Run folders of the stages of a task: their names, and the run that a folder is about."""

from __future__ import annotations

import re
from pathlib import Path

from ..registry import entries, entry, stages


def folder_names(names: list[str]) -> list[str]:
    """Folders of the stages of a pipeline: their names, numbered where one repeats."""
    times = [names[: i + 1].count(name) for i, name in enumerate(names)]
    return [name if k == 1 else f"{name}-{k}" for name, k in zip(names, times, strict=True)]


def last_run(folder: str | Path) -> tuple[Path, str]:
    """The run in a folder: its own, or of the stages in it the one that a search ends with.

    Returns:
        (folder, name of the stage).

    Raises:
        ValueError: there is no run.
    """
    from .journal import read_run

    folder = Path(folder)
    if (folder / "run.json").exists() or not folder.is_dir():
        return folder, read_run(folder)[0]["problem"]
    found = []
    for path in sorted(folder.glob("*/run.json")):
        name = read_run(path.parent)[0]["problem"]
        label = re.fullmatch(
            rf"{re.escape(name)}(?:-(\d+))?", path.parent.name
        )  # see folder_names()
        if label and name in entries():
            order = stages(entry(name).task).index(name)
            found.append((int(label[1] or 1), order, path.parent, name))
    if not found:
        raise ValueError(f"{folder} holds no run of a search, and none of the stages of one.")
    return max(found)[2:]
