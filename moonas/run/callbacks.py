"""Callbacks: the one way in which a run reports what it does.

class Log(RunCallback):
    def on_scores(self, candidates, columns):
        print(len(candidates), "scored, best error", columns["error"].min())

problem.callbacks.append(Log())
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from pymoo.core.algorithm import Algorithm

    from .candidates import Candidates


Progress = Callable[[str, int, int, str], None]  # (phase, done, total, unit)


class RunCallback:
    """Base class of callbacks; override the methods you need.

    Append an instance to ``callbacks`` of a problem or a training. Callbacks are called in order,
    in the process that runs the search. An exception in one ends the run; with a journal, rerunning
    the same program resumes it.
    """

    def on_progress(self, phase: str, done: int, total: int, unit: str) -> None:
        """Called while something long is running.

        Args:
            phase: what is running, such as "warming up".
            done: number of units that are done, 0 to ``total``.
            total: number of units in this phase.
            unit: what is counted, in the plural, such as "epochs".
        """

    def on_log(self, text: str) -> None:
        """Called with each line for the log."""

    def on_scores(self, candidates: Candidates, columns: dict[str, np.ndarray]) -> None:
        """Called after each call of the evaluator within a run, replayed calls included.

        Args:
            candidates: the :class:`~moonas.run.candidates.Candidates` that were scored.
            columns: name -> (n,) values, with the flag ``failed``.
        """

    def on_generation(self, algorithm: Algorithm) -> None:
        """Called after each generation of :func:`moonas.search`.

        With pymoo's own ``minimize``, pass ``callback=problem.callbacks.on_generation``.

        Args:
            algorithm: the running pymoo algorithm.
        """


class Callbacks(list):
    """A list of :class:`RunCallback`; each method calls that of every member, in order."""

    def on_progress(self, phase: str, done: int, total: int, unit: str) -> None:
        """See :meth:`RunCallback.on_progress`."""
        for callback in self:
            callback.on_progress(phase, done, total, unit)

    def on_log(self, text: str) -> None:
        """See :meth:`RunCallback.on_log`."""
        for callback in self:
            callback.on_log(text)

    def on_scores(self, candidates: Candidates, columns: dict[str, np.ndarray]) -> None:
        """See :meth:`RunCallback.on_scores`."""
        for callback in self:
            callback.on_scores(candidates, columns)

    def on_generation(self, algorithm: Algorithm) -> None:
        """See :meth:`RunCallback.on_generation`."""
        for callback in self:
            callback.on_generation(algorithm)


def progress_function(
    on_progress: Progress | None, told: Callable[[int, int], None] | None
) -> Progress:
    """What a function of the library calls with its progress, from its two keywords.

    Args:
        on_progress: the keyword of that name, or None.
        told: the deprecated keyword, (done, total) -> None, or None.
    """
    if told is not None:
        warnings.warn(
            "told= is deprecated; use on_progress=, which takes (phase, done, total, unit).",
            DeprecationWarning,
            stacklevel=3,
        )

    def report(phase, done, total, unit):
        if on_progress is not None:
            on_progress(phase, done, total, unit)
        if told is not None:
            told(done, total)

    return report
