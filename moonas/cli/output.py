"""What commands print: the log, tables, errors."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from ..run.callbacks import RunCallback

if TYPE_CHECKING:
    from rich.console import Console


class Log(RunCallback):
    """Prints the lines of the log."""

    def __init__(self, console: Console):
        self.console = console

    def on_log(self, text: str) -> None:
        """Print the line as it is."""
        self.console.print(text, highlight=False, soft_wrap=True, markup=False)


def status_of(error: BaseException) -> int:
    """The exit status of an error: 1 if the work failed, 2 if it was asked for wrongly."""
    from ..errors import SearchFailed
    from ..run.journal import DamagedRun, RunInUse

    return 1 if isinstance(error, SearchFailed | OSError | DamagedRun | RunInUse) else 2


def fail(status: int, message: object) -> int:
    """Print an error; returns the exit status."""
    sys.stdout.flush()
    print(f"moonas: {message}", file=sys.stderr)
    return status
