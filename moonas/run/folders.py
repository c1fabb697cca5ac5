"""Run folders of the stages of a task."""

from __future__ import annotations

import re
from pathlib import Path

from ..registry import entries, entry, stages


def folder_names(names: list[str]) -> list[str]:
    """Return a folder name per stage of a pipeline: the stage name, numbered if it is repeated.

    Args:
        names: names of the stages, in the order in which they run.
    """
    occurrences = [names[: i + 1].count(name) for i, name in enumerate(names)]
    return [name if k == 1 else f"{name}-{k}" for name, k in zip(names, occurrences, strict=True)]


def last_run(folder: str | Path) -> tuple[Path, str]:
    """Find the last run in a folder.

    If the folder is not a run folder, the stages of a task may have run in its subfolders. The run
    of the last of these stages is returned.

    Returns:
        (run folder, name of the stage that ran in it).

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
            f"{folder} is not the run folder of a search, and none of its subfolders is the run "
            "folder of a stage."
        )
    _, _, run, name = max(runs)
    return run, name
