"""Inception Score (Salimans et al., 2016): how sure and how varied a classifier finds images."""

import numpy as np


def inception_score(log_probabilities, splits=1):
    """exp of the mean divergence of p(y | image) from p(y), a split.

    Args:
        log_probabilities: (n, n_classes) natural logarithms, rows in the order of generation.
        splits: parts, as equal as can be, whose scores are averaged; the field takes 10.

    Returns:
        (mean, standard deviation over the splits), each at least 1; the mean at most n_classes.

    Raises:
        ValueError: fewer than two images a split.
    """
    logs = np.asarray(log_probabilities, np.float64)
    if logs.ndim != 2 or len(logs) < 2 * splits:
        raise ValueError(
            f"An Inception Score in {splits} splits wants {2 * splits} images at least; got shape "
            f"{logs.shape}."
        )
    scores = []
    for part in np.array_split(logs, splits):
        p = np.exp(part)
        marginal = p.mean(axis=0)
        log_marginal = np.log(np.where(marginal > 0, marginal, 1))  # where it is 0, so is every p
        finite = np.where(p > 0, part, 0)
        score = np.exp((p * (finite - log_marginal)).sum(axis=1).mean())
        scores.append(np.maximum(1, score))  # rounding; NaN stays NaN
    return float(np.mean(scores)), float(np.std(scores))
