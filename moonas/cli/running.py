"""Run the stages planned by ``moonas search`` and ``moonas train``, and print their results."""

from __future__ import annotations

import shlex
from collections.abc import Callable

from .. import registry
from ..files import FORMATS
from ..planning import PlannedStage, StageResult
from .bars import progress_bar
from .output import Log, fail, make_console, status_of


def run_plan(make_plan: Callable[[], list[PlannedStage]]) -> int:
    """Run stages in order.

    Args:
        make_plan: function that returns the planned stages; the message of a ``ValueError`` that it
            raises is printed as a usage error.

    Returns:
        The exit status.
    """
    from ..run.journal import RunMismatch

    try:
        plan = make_plan()
    except ValueError as error:
        return fail(status_of(error), error)
    import torch

    from ..errors import SearchFailed, memory_error

    for planned in plan:
        try:
            _run_stage(planned, is_last=planned is plan[-1])
        except (SearchFailed, ValueError) as error:
            return fail(2 if isinstance(error, RunMismatch) else 1, error)
        except OSError as error:
            if memory_error(error) is not None:
                raise
            return fail(
                1, f"{error}. The recorded results are safe; run the same command again to resume."
            )
        except torch.OutOfMemoryError as error:
            return fail(1, f"{error} Try a smaller batch, score_batch or channels.")
    return 0


def _run_stage(planned: PlannedStage, is_last: bool) -> None:
    from ..problem import ArchitectureProblem

    console = make_console()
    log = Log(console)
    with progress_bar(console) as bar:
        result = planned.run(callbacks=[log, bar], verbose=True)
    if isinstance(result.stage, ArchitectureProblem):
        from ..views.front import front_table
        from ..views.tables import to_console

        search = result.result
        console.print()
        console.print(
            to_console(front_table(result.stage, search.rows, search.picked, search.rule))
        )
    for line in (*result.lines, _last_line(result)):
        log.on_log(line)
    if is_last and isinstance(result.stage, ArchitectureProblem):
        log.on_log(_next_line(result))


def _next_line(result: StageResult) -> str:
    """Return the line with the commands that may follow a search."""
    folder = shlex.quote(result.folder.as_posix())
    page = f"moonas show {folder} (a page about the search)"
    if not registry.has_training(result.name):
        return f"Next: {page}."
    return f"Next: {page}, or moonas train {folder} (train the picked network)."


def _last_line(result: StageResult) -> str:
    """Return the line that names the folder and the files of the results."""
    if not result.computed:
        return (
            f"This run is complete, and nothing was recomputed. Its results are in {result.folder}."
        )
    suffixes = (".csv", ".json", ".pt", *(f".{name}" for name in FORMATS))
    names = sorted(path.name for path in result.folder.iterdir() if path.suffix in suffixes)
    names = [name for name in names if not name.startswith("weights-")]  # of the journal
    return f"Results written to {result.folder}: {', '.join(names)}, journal.jsonl."
