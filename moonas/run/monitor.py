"""Numbers that show whether the training of a search works, and warnings if it does not."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import TrainingWarning
from .callbacks import Callbacks


@dataclass(frozen=True)
class TrainingMeasure:
    """A number that shows whether the training of a search works, such as a loss.

    The table of generations has a column for each measure of a problem. A measure with a ``limit``
    causes a warning when it does not pass this limit.

    Args:
        name: key of the number in the reports that the evaluator's ``warm_up`` and ``train``
            return or, with ``of_candidates``, name of a column.
        title: title in the table of generations.
        unit: "%" for percentages, otherwise empty.
        limit: value of a training that has learned nothing; None if there is no such value.
        direction: "max" if a training that works exceeds the limit, "min" if it stays below.
        advice: sentences that the warning ends with: what the limit means, and what may help.
        of_candidates: whether a column of this name also gives the number, as its median over the
            candidates that were evaluated last.
    """

    name: str
    title: str
    unit: str = ""
    limit: float | None = None
    direction: str = "max"
    advice: str = ""
    of_candidates: bool = False

    def fails(self, value: float) -> bool:
        """Whether a value does not pass the limit; NaN does not."""
        if self.limit is None:
            return False
        passes = value > self.limit if self.direction == "max" else value < self.limit
        return not passes

    def text(self, value: float) -> str:
        """Return a value with its unit, or a dash if it is not finite."""
        if not math.isfinite(value):
            return "-"
        return f"{value:.1f} %" if self.unit == "%" else f"{value:.3g}"


class TrainingMonitor:
    """The latest values of the training measures of a run; it warns if one does not pass its limit.

    A measure causes one warning when it fails, and another only after it has passed in between.
    The warning is a line of the log or, if the run has no callbacks, a
    :class:`~moonas.errors.TrainingWarning`.

    Args:
        measures: training measures of the problem.
        callbacks: callbacks of the run.

    Attributes:
        values: name of a measure -> latest value.
    """

    def __init__(self, measures: Sequence[TrainingMeasure], callbacks: Callbacks) -> None:
        self._measures, self._callbacks = measures, callbacks
        self.values: dict[str, float] = {}
        self._failing: set[str] = set()

    def update_from_report(self, report: Mapping[str, Any]) -> None:
        """Read the measures that a training report contains, unless nothing was trained."""
        if report.get("steps") == 0 and not report.get("skipped"):
            return
        for measure in self._measures:
            if measure.name in report:
                self._update(measure, float(report[measure.name]))

    def update_from_columns(self, columns: Mapping[str, np.ndarray]) -> None:
        """Compute the measures that are medians of columns.

        Args:
            columns: name -> (n,) values of n candidates; candidates that ``failed`` are ignored.
        """
        valid = ~np.asarray(columns["failed"], bool)
        for measure in self._measures:
            if measure.of_candidates and measure.name in columns and valid.any():
                self._update(measure, float(np.median(columns[measure.name][valid])))

    def _update(self, measure: TrainingMeasure, value: float) -> None:
        self.values[measure.name] = value
        if not measure.fails(value):
            self._failing.discard(measure.name)
        elif measure.name not in self._failing:
            self._failing.add(measure.name)
            relation = "not above" if measure.direction == "max" else "not below"
            limit = measure.text(measure.limit or 0.0)
            text = (
                f"{measure.title} is {measure.text(value)}, {relation} {limit}. "
                f"{measure.advice}".strip()
            )
            self._callbacks.warn(text, TrainingWarning)
