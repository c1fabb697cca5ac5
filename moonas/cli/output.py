"""Output of the commands: the log, error messages and exit statuses."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING

from ..run.callbacks import RunCallback

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import Console


WIDEST = 160  # columns of a table in a file or a pipe


def make_console() -> Console:
    """Return a console that prints text to stdout as it is: brackets in names are no markup.

    If that is no terminal, tables are as wide as their rows, up to ``WIDEST`` columns. The
    environment variable COLUMNS overrides this width.
    """
    from rich.console import Console

    console = Console(markup=False)
    if console.is_terminal or "COLUMNS" in os.environ:
        return console
    return Console(width=WIDEST, markup=False)


class Log(RunCallback):
    """Print the lines of the log.

    Args:
        console: console to print to.
    """

    def __init__(self, console: Console) -> None:
        self.console = console

    def on_log(self, text: str) -> None:
        """Print a line verbatim, without markup or wrapping."""
        self.console.print(text, highlight=False, soft_wrap=True, markup=False)


def status_of(error: BaseException) -> int:
    """Return the exit status of an error: 1 for failed work, 2 for a usage error."""
    from ..errors import SearchFailed
    from ..run.journal import RunInUse
    from ..run.records import DamagedRun

    return 1 if isinstance(error, SearchFailed | OSError | DamagedRun | RunInUse) else 2


def name_skipped(skipped: Mapping[Path, str]) -> str:
    """Print files that could not be read, with the reasons, to stderr; return "N files".

    Args:
        skipped: path of a file -> reason.
    """
    from ..run.numbers import plural

    sys.stdout.flush()
    for path, reason in skipped.items():
        print(f"Skipped {path}: {reason}", file=sys.stderr)
    return plural(len(skipped), "file")


def fail(status: int, message: object) -> int:
    """Print an error message to stderr and return the exit status."""
    sys.stdout.flush()
    print(f"moonas: {message}", file=sys.stderr)
    return status
