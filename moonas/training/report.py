"""Report of a training: its losses, and how many of its steps were skipped."""

from collections.abc import Mapping
from dataclasses import dataclass

from ..errors import SearchFailed


@dataclass(frozen=True)
class TrainingReport:
    """Losses and steps of some training.

    Args:
        losses: mean of each loss over the steps that were taken, by name; NaN where none was.
        steps: number of steps that were taken.
        skipped: number of steps whose loss or gradient was not finite, and which changed nothing.
    """

    losses: Mapping[str, float]
    steps: int
    skipped: int

    def as_dict(self) -> dict[str, float]:
        """The numbers as a journal records them: steps, skipped and each loss by its name."""
        return {"steps": self.steps, "skipped": self.skipped} | dict(self.losses)


def require_a_step(report: TrainingReport, *, advice: str) -> None:
    """Raise an error if a training skipped all its steps; one without any step passes.

    Args:
        report: of the training.
        advice: sentence that tells the user what may help.

    Raises:
        SearchFailed: every step had a loss or a gradient that is not finite.
    """
    if report.skipped and not report.steps:
        raise SearchFailed(
            f"None of the {report.skipped} training steps had a finite loss and gradient. {advice}"
        )
