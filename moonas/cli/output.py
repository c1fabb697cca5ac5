"""What commands print: the log, tables, errors."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..run.callbacks import RunCallback

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table


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


def make_table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    """A table whose first column is text, and whose others are numbers."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for i, title in enumerate(titles):
        table.add_column(title, justify="right" if i else "left")
    for row in rows:
        table.add_row(*row)
    return table
