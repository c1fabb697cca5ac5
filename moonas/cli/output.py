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


def fail(status: int, message: object) -> int:
    """Print an error; returns the exit status."""
    sys.stdout.flush()
    print(f"moonas: {message}", file=sys.stderr)
    return status
