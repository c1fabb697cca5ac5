"""Progress of long computations: bars in a terminal, and occasional lines of text elsewhere."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..run.callbacks import RunCallback
from ..run.numbers import format_duration

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress, TaskID

LINES_PER_PHASE = 10  # a line is printed after each tenth of a phase
SECONDS_BETWEEN_LINES = 60  # minimum for a phase that runs repeatedly
LONGEST_SILENCE = 600  # seconds; a phase whose tenths take longer prints further lines


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


@dataclass
class _PhasePass:
    """Progress of one pass through a phase.

    Args:
        done_at_start: number of units that were already completed when the pass began.
        start_time: time at which the pass began, in seconds.
        done: number of completed units.
        total: number of units in the phase.
        repeated: whether this is not the first pass through the phase.
        print_time: time at which the last line of the phase was printed, in seconds.
    """

    done_at_start: int
    start_time: float
    done: int
    total: int
    repeated: bool
    print_time: float


class ProgressLines(RunCallback):
    """Print a line at the beginning of a phase, after each tenth of it, and at its end.

    If a tenth takes longer than ten minutes, there is a line about every ten minutes.
    A phase that runs repeatedly, such as the training in each generation, prints at most one line
    per minute.
    """

    def __init__(self) -> None:
        self._passes: dict[str, _PhasePass] = {}  # phase -> its latest pass

    def on_progress(self, phase: str, done: int, total: int, unit: str) -> None:
        """Print a line of progress if one is due."""
        now, current = time.perf_counter(), self._passes.get(phase)
        if current is None or done < current.done or current.done == current.total:
            due = current is None
            print_time = now if current is None else current.print_time
            current = _PhasePass(done, now, done, total, repeated=not due, print_time=print_time)
            self._passes[phase] = current
        else:
            share, share_before = (
                LINES_PER_PHASE * n // max(current.total, 1) for n in (done, current.done)
            )
            is_silent = now - current.print_time >= LONGEST_SILENCE
            due = share > share_before or done == total or is_silent
            current.done = done
        if current.repeated:
            due = now - current.print_time >= SECONDS_BETWEEN_LINES
        if due:
            current.print_time = now
            print(f"{phase}: {done} of {total} {unit}{_remaining_time(current, now)}", flush=True)


def _remaining_time(current: _PhasePass, now: float) -> str:
    """Return ", M:SS left", or an empty string while the speed is unknown."""
    if not current.done_at_start < current.done < current.total:
        return ""
    seconds_per_unit = (now - current.start_time) / (current.done - current.done_at_start)
    return f", {format_duration(seconds_per_unit * (current.total - current.done))} left"
