"""Report of a training: mean losses, and numbers of completed and skipped steps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ..errors import SearchFailed


@dataclass(frozen=True)
class TrainingReport:
    """Mean losses of a training, and its numbers of completed and skipped steps.

    Args:
        losses: name -> mean of each loss over all completed steps; NaN if no step was completed.
        steps: number of completed steps.
        skipped: number of steps that were skipped because the loss or the gradient was not finite.
    """

    losses: Mapping[str, float]
    steps: int
    skipped: int

    def as_dict(self) -> dict[str, float]:
        """Return ``steps``, ``skipped`` and each loss by name, in the format of the journal."""
        return {"steps": self.steps, "skipped": self.skipped} | dict(self.losses)


def require_a_step(report: TrainingReport, *, advice: str) -> None:
    """Raise an error if all steps of a training were skipped.

    If a training had no steps, no error is raised.

    Args:
        report: report of the training.
        advice: a sentence of advice to the user, which ends the error message.

    Raises:
        SearchFailed: no step had a finite loss and gradient.
    """
    if report.skipped and not report.steps:
        raise SearchFailed(
            f"None of the {report.skipped} training steps had a finite loss and gradient. {advice}"
        )
