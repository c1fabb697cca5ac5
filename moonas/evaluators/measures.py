"""Numbers that show whether the training of a search for classifiers works."""

from __future__ import annotations

from ..data.images import DataInfo
from ..run.monitor import TrainingMeasure

ABOVE_CHANCE = 1.2  # accuracy of a training that has learned something, relative to a random guess
LARGEST_MARGIN = 5.0  # percentage points above chance that suffice if there are few classes


def error_of_a_guess(info: DataInfo) -> tuple[float, float]:
    """Return the error of a random guess, and the error below which a network has learned.

    Args:
        info: description of the data set.

    Returns:
        Two errors in %, of a random guess and slightly below it.
    """
    if info.multi_label:
        return 50.0, 50.0 - 2.0
    accuracy = 100 / info.n_classes
    return 100 - accuracy, 100 - min(ABOVE_CHANCE * accuracy, accuracy + LARGEST_MARGIN)


def classifier_measures(
    info: DataInfo,
    quality: str,
    *,
    nonstationary: bool = False,
    grows: bool = False,
    title: str = "median error",
) -> list[TrainingMeasure]:
    """Return the training measures of a search for classifiers.

    They are the training loss; the validation error, which is compared with that of a random guess;
    and, if a supernet trains, its growth and the rank correlation of errors.

    Args:
        info: description of the data set.
        quality: name of the column with the validation error in %.
        nonstationary: whether a supernet trains during the search. Then the rank correlation
            compares the errors of the parents before and after the training of a generation.
        grows: whether the problem has the column ``growth``.
        title: title of the validation error.
    """
    error, limit = error_of_a_guess(info)
    measures = [
        # no limit: the loss of a supernet exceeds that of a random guess at first, although its
        # error is already lower
        TrainingMeasure("loss", "loss", of_candidates=True),
        TrainingMeasure(
            quality,
            title,
            "%",
            limit=limit,
            direction="min",
            advice=f"A random guess has an error of {error:.4g} % on images that were not used for "
            "training. More epochs or another learning_rate may help.",
            of_candidates=True,
        ),
    ]
    if grows:
        measures.append(TrainingMeasure("growth", "growth"))
    if nonstationary:
        measures.append(
            TrainingMeasure(
                "rank_correlation",
                "rank corr.",
                limit=0.0,
                advice="It is the rank correlation of the errors of the same candidates before and "
                "after a generation's training. If this persists, the shared weights order "
                "candidates at random. More epochs may help.",
            )
        )
    return measures
