"""Progress of long computations: bars in a terminal, and occasional lines of text elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ..run.callbacks import RunCallback
from ..run.progress_lines import ProgressLines

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress, TaskID


@contextmanager
def progress_bar(console: Console) -> Iterator[RunCallback]:
    """Yield a callback that shows progress and the remaining time on a console."""
    if not console.is_terminal:
        yield ProgressLines()
        return
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn()
    with Progress(*columns, TimeRemainingColumn(), console=console, transient=True) as progress:
        yield ProgressBar(progress)


class ProgressBar(RunCallback):
    """Show one bar per phase, and hide the bars of completed phases.

    Args:
        progress: the rich display that the bars are added to.
    """

    def __init__(self, progress: Progress) -> None:
        self.progress = progress
        self._phases: dict[
            str, tuple[TaskID, int]
        ] = {}  # phase -> (ID of its bar, completed units)

    def on_progress(self, phase: str, done: int, total: int, unit: str) -> None:
        """Update the bar of a phase."""
        if phase not in self._phases:
            self._phases[phase] = self.progress.add_task(f"{phase} ({unit})", total=total), 0
        bar, done_before = self._phases[phase]
        if done < done_before:  # the phase has started again
            self.progress.reset(bar)
        self.progress.update(bar, completed=done, total=total, visible=done < total)
        self._phases[phase] = bar, done
