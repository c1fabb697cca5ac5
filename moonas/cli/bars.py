"""How far something long has got: a bar on a terminal, elsewhere a line now and then."""

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
    from rich.progress import Progress

PARTS = 10  # of a phase, with a line after each
QUIET_SECONDS = 60  # between two lines of a phase that comes again


@contextmanager
def progress_bar(console: Console) -> Iterator[RunCallback]:
    """A callback that shows progress, with the time left, on a console."""
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
    """A bar for each phase; those of phases that are complete are hidden."""

    def __init__(self, progress: Progress):
        self.progress = progress
        self._phases = {}  # phase -> [number of its bar, units that are done]

    def on_progress(self, phase: str, done: int, total: int, unit: str) -> None:
        """Draw the bar."""
        if phase not in self._phases:
            self._phases[phase] = [self.progress.add_task(f"{phase} ({unit})", total=total), 0]
        bar, before = self._phases[phase]
        if done < before:  # it comes again
            self.progress.reset(bar)
        self.progress.update(bar, completed=done, total=total, visible=done < total)
        self._phases[phase][1] = done


@dataclass
class _Pass:
    """A phase from its beginning to its end."""

    begun_at: int  # units that were done when it began
    begun: float  # seconds
    done: int
    total: int
    again: bool  # whether the phase had been there before
    said: float  # when its last line was printed, seconds


class ProgressLines(RunCallback):
    """A line at the beginning of a phase, after each tenth of it, and at its end.

    Phases that come again, such as the training of each generation, have one line a minute at most.
    """

    def __init__(self):
        self._passes = {}  # phase -> its latest pass

    def on_progress(self, phase: str, done: int, total: int, unit: str) -> None:
        """Print a line if it is time for one."""
        now, one = time.perf_counter(), self._passes.get(phase)
        if one is None or done < one.done or one.done == one.total:
            said = now if one is None else one.said
            new = _Pass(done, now, done, total, again=one is not None, said=said)
            due = one is None
            one = self._passes[phase] = new
        else:
            share, before = (PARTS * n // max(one.total, 1) for n in (done, one.done))
            due = share > before or done == total
            one.done = done
        if one.again:
            due = now - one.said >= QUIET_SECONDS
        if due:
            one.said = now
            print(f"{phase}: {done} of {total} {unit}{self._time_left(one, now)}", flush=True)

    @staticmethod
    def _time_left(one, now):
        if not one.begun_at < one.done < one.total:
            return ""
        seconds = (now - one.begun) / (one.done - one.begun_at) * (one.total - one.done)
        return f", {format_duration(seconds)} left"
