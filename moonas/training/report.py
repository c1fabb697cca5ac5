"""Report of a training: its losses and the number of skipped steps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ..errors import SearchFailed


@dataclass(frozen=True)
class TrainingReport:
    """Losses and number of steps of a training.

    Args:
        losses: mean of each loss over all completed steps, by name; NaN if there was none.
        steps: number of completed steps.
        skipped: number of steps that were skipped, because the loss or the gradient was not finite.
    """

    losses: Mapping[str, float]
    steps: int
    skipped: int

    def as_dict(self) -> dict[str, float]:
        """Return steps, skipped steps and each loss by name, as the journal records them."""
        return {"steps": self.steps, "skipped": self.skipped} | dict(self.losses)


def require_a_step(report: TrainingReport, *, advice: str) -> None:
    """Raise an error if all steps of a training were skipped.

    A training without any steps raises no error.

    Args:
        report: report of the training.
        advice: a sentence that tells the user what may help.

    Raises:
        SearchFailed: no step had a finite loss and gradient.
    """
    if report.skipped and not report.steps:
        raise SearchFailed(
            f"None of the {report.skipped} training steps had a finite loss and gradient. {advice}"
        )
