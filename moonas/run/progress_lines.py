"""Progress of long computations as lines of text, for logs, notebooks and scripts."""

from __future__ import annotations

import time
from dataclasses import dataclass

from .callbacks import RunCallback
from .numbers import format_duration

LINES_PER_PHASE = 10  # a line is printed after each tenth of a phase
SECONDS_BETWEEN_LINES = 60  # minimum for a phase that runs repeatedly
LONGEST_SILENCE = 600  # seconds; a phase whose tenths take longer prints further lines


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


class ShowProgress(ProgressLines):
    """Print the progress of a run and the messages of its log, also in a notebook or a log file.

    Warnings of a run with callbacks are messages of its log. The output contains no control codes.

        problem.callbacks.append(moonas.ShowProgress())  # then call minimize of pymoo
        moonas.search("cars", callbacks=[moonas.ShowProgress()], verbose=True)

    Lines of progress appear as in :class:`ProgressLines`, during warm-ups, trainings and
    evaluations. ``verbose=True`` adds a line per generation.
    """

    def on_log(self, text: str) -> None:
        """Print a message."""
        print(text, flush=True)


def _remaining_time(current: _PhasePass, now: float) -> str:
    """Return ", M:SS left", or an empty string while the speed is unknown."""
    if not current.done_at_start < current.done < current.total:
        return ""
    seconds_per_unit = (now - current.start_time) / (current.done - current.done_at_start)
    return f", {format_duration(seconds_per_unit * (current.total - current.done))} left"
