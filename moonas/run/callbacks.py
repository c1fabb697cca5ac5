"""Callbacks: a run calls them to report its progress and results. An example:

class Log(RunCallback):
    def on_scores(self, candidates, columns):
        print(len(candidates), "evaluated, best error", columns["error"].min())

problem.callbacks.append(Log())
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..deprecation import warn

if TYPE_CHECKING:
    import numpy as np
    from pymoo.core.algorithm import Algorithm

    from .candidates import Candidates


Progress = Callable[[str, int, int, str], None]  # (phase, done, total, unit) -> None


class RunCallback:
    """Base class of callbacks; override the methods you need.

    Append an instance to the list ``callbacks`` of a problem or a training. Callbacks are called in
    the order of this list, in the process that runs the search. An exception in a callback ends
    the run. If the run has a journal, running the same program again resumes it.
    """

    def on_progress(self, phase: str, done: int, total: int, unit: str) -> None:
        """Called repeatedly during a long phase of a run.

        Args:
            phase: name of the phase, such as "warming up".
            done: number of completed units of work, in [0, total].
            total: total number of units in this phase.
            unit: plural name of the unit, such as "epochs".
        """

    def on_log(self, text: str) -> None:
        """Called with each log message.

        Args:
            text: one line of text.
        """

    def on_training(self, report: dict[str, Any]) -> None:
        """Called after each training of shared weights, including trainings that are replayed.

        Args:
            report: report that the evaluator's ``warm_up`` or ``train`` returned, with losses and
                numbers of steps.
        """

    def on_scores(self, candidates: Candidates, columns: dict[str, np.ndarray]) -> None:
        """Called after each evaluation within a run, including evaluations that are replayed.

        Args:
            candidates: the n evaluated :class:`~moonas.run.candidates.Candidates`.
            columns: name -> (n,) values of each column; ``failed`` is (n,) bool.
        """

    def on_generation(self, algorithm: Algorithm) -> None:
        """Called after each generation of :func:`moonas.search`.

        When you call ``minimize`` of pymoo directly, pass
        ``callback=problem.callbacks.on_generation``.

        Args:
            algorithm: the running pymoo algorithm.
        """


class Callbacks(list[RunCallback]):
    """A list of callbacks; each method calls the method of the same name on each callback."""

    def on_progress(self, phase: str, done: int, total: int, unit: str) -> None:
        """See :meth:`RunCallback.on_progress`."""
        for callback in self:
            callback.on_progress(phase, done, total, unit)

    def on_log(self, text: str) -> None:
        """See :meth:`RunCallback.on_log`."""
        for callback in self:
            callback.on_log(text)

    def warn(self, text: str, category: type[Warning]) -> None:
        """Log a warning or, if there are no callbacks, issue a Python warning.

        Args:
            text: the warning, one line.
            category: category of the Python warning.
        """
        if self:
            self.on_log(f"Warning: {text}")
        else:
            warnings.warn(text, category, stacklevel=3)

    def on_training(self, report: dict[str, Any]) -> None:
        """See :meth:`RunCallback.on_training`."""
        for callback in self:
            callback.on_training(report)

    def on_scores(self, candidates: Candidates, columns: dict[str, np.ndarray]) -> None:
        """See :meth:`RunCallback.on_scores`."""
        for callback in self:
            callback.on_scores(candidates, columns)

    def on_generation(self, algorithm: Algorithm) -> None:
        """See :meth:`RunCallback.on_generation`."""
        for callback in self:
            callback.on_generation(algorithm)


def progress_function(
    on_progress: Progress | None, told: Callable[[int, int], None] | None = None
) -> Progress:
    """Combine the keyword ``on_progress`` and the deprecated ``told`` into one progress function.

    Args:
        on_progress: value of the keyword ``on_progress``, or None.
        told: value of the deprecated keyword ``told``, a function (done, total) -> None, or None.

    Returns:
        A function that calls each of the two functions that is not None.
    """
    if told is not None:
        warn("told= is deprecated; use on_progress=, which takes (phase, done, total, unit).")

    def report(phase: str, done: int, total: int, unit: str) -> None:
        if on_progress is not None:
            on_progress(phase, done, total, unit)
        if told is not None:
            told(done, total)

    return report
