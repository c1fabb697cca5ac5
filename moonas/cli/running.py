"""Runs the stages of a plan one after the other, and prints what they do."""

from __future__ import annotations

from collections.abc import Callable

from ..task import PlannedStage, StageResult
from .bars import progress_bar
from .output import Log, fail, status_of


def run_plan(make_plan: Callable[[], list[PlannedStage]]) -> int:
    """Run what ``make_plan`` returns, in order; returns the exit status."""
    from ..run.journal import RunMismatch

    try:
        plan = make_plan()
    except ValueError as error:
        return fail(status_of(error), error)
    import torch

    from ..problem import SearchFailed

    for planned in plan:
        try:
            _run(planned)
        except (SearchFailed, ValueError) as error:
            return fail(2 if isinstance(error, RunMismatch) else 1, error)
        except OSError as error:
            return fail(1, f"{error}. What is recorded is safe: the same line again goes on.")
        except torch.OutOfMemoryError as error:
            return fail(1, f"{error} Smaller batch, score_batch or channels may fit.")
    return 0


def _run(planned):
    from rich.console import Console

    from ..run.stage import TrainingStage

    console = Console()
    log = Log(console)
    with progress_bar(console) as bar:
        ended = planned.run(callbacks=[log, bar], verbose=True)
    if not isinstance(ended.stage, TrainingStage):
        from ..views.front import front_table
        from ..views.tables import to_console

        console.print()
        console.print(to_console(front_table(ended.stage, ended.result.rows, ended.result.picked)))
    for line in (*ended.lines, _last_line(ended)):
        log.on_log(line)


def _last_line(ended: StageResult) -> str:
    """Where the result is."""
    if not ended.computed:
        return f"This run is complete; nothing was left to compute. It is in {ended.folder}."
    kinds = (".csv", ".png", ".json", ".pt")
    names = sorted(path.name for path in ended.folder.iterdir() if path.suffix in kinds)
    names = [name for name in names if not name.startswith("weights-")]  # the journal's
    return f"Written to {ended.folder}: {', '.join(names)}, journal.jsonl."
