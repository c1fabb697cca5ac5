"""Run folders of the stages of a task."""

from __future__ import annotations

import re
from pathlib import Path

from ..registry import entries, entry, stages


def folder_names(names: list[str]) -> list[str]:
    """Return a folder name for each stage of a pipeline: its name, with a number if it repeats.

    Args:
        names: names of the stages, in order.
    """
    occurrence = [names[: i + 1].count(name) for i, name in enumerate(names)]
    return [name if k == 1 else f"{name}-{k}" for name, k in zip(names, occurrence, strict=True)]


def last_run(folder: str | Path) -> tuple[Path, str]:
    """Find the run in a folder.

    If the folder is not a run folder itself, its subfolders are searched for runs of the stages of
    a task, and the run of the last stage is returned.

    Returns:
        (run folder, name of its stage).

    Raises:
        ValueError: the folder contains no run.
    """
    from .journal import read_run

    folder = Path(folder)
    if (folder / "run.json").exists() or not folder.is_dir():
        return folder, read_run(folder)[0]["problem"]
    runs = []
    for path in sorted(folder.glob("*/run.json")):
        name = read_run(path.parent)[0]["problem"]
        # see folder_names()
        match = re.fullmatch(rf"{re.escape(name)}(?:-(\d+))?", path.parent.name)
        if match and name in entries():
            order = stages(entry(name).task or name).index(name)
            runs.append((int(match[1] or 1), order, path.parent, name))
    if not runs:
        raise ValueError(
            f"{folder} contains no run of a search, and none of its subfolders is the run of a "
            "stage."
        )
    _, _, run, name = max(runs)
    return run, name
