"""Scores of a run, read from its journal."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from ..problem import ArchitectureProblem


@dataclass(frozen=True)
class ScoredCandidates:
    """Candidates scored by one evaluator call, or by several calls under the same weights.

    Args:
        X: (k, n_var) genes of the candidates that did not fail.
        columns: column name -> (k,) values of these candidates.
        n: number of candidates, including failed ones.
    """

    X: np.ndarray
    columns: dict[str, np.ndarray]
    n: int


def read_scores(
    problem: ArchitectureProblem, records: Sequence[Mapping[str, Any]]
) -> list[ScoredCandidates]:
    """Read the scores of a run in the order of evaluation.

    Args:
        problem: problem that was searched.
        records: records of the run's journal.

    Returns:
        One item per evaluator call; if the objectives change during a run, one item per group of
        calls under the same weights.
    """
    scores: dict[int, ScoredCandidates] = {}
    n_trainings = 0
    names = [column.name for column in problem.columns]
    for record in records:
        n_trainings += record["kind"] == "train"
        if record["kind"] != "score":
            continue
        X = np.stack([problem.genes.from_json(x) for x in record["request"]["x"]])
        succeeded = ~np.array(record["result"]["failed"], bool)
        columns = {
            name: np.array(record["result"][name], float)[succeeded]
            for name in names
            if name in record["result"]
        }
        scored = ScoredCandidates(X[succeeded], columns, len(X))
        group = n_trainings if problem.nonstationary else record["call"]
        scores[group] = _merge(scores[group], scored) if group in scores else scored
    return list(scores.values())


def _merge(first: ScoredCandidates, second: ScoredCandidates) -> ScoredCandidates:
    columns = {k: np.concatenate([v, second.columns[k]]) for k, v in first.columns.items()}
    return ScoredCandidates(np.concatenate([first.X, second.X]), columns, first.n + second.n)


def all_columns(scores: Sequence[ScoredCandidates]) -> dict[str, np.ndarray]:
    """Return the columns of all scores: name -> values."""
    return {k: np.concatenate([s.columns[k] for s in scores]) for k in scores[0].columns}


def hypervolume_curve(
    problem: ArchitectureProblem,
    scores: Sequence[ScoredCandidates],
    hypervolume: Callable[[np.ndarray], float] | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the hypervolume over evaluations, which include those of candidates that failed.

    If scores change during a run, only candidates with the same weights count.

    Args:
        problem: problem that was searched.
        scores: what :func:`read_scores` returned.
        hypervolume: function of objectives, (n, n_obj); by default, that of the problem.

    Returns:
        (n,) numbers of evaluations, and (n,) hypervolumes after them.
    """
    hypervolume = problem.hypervolume if hypervolume is None else hypervolume
    values, seen = [], list[np.ndarray]()
    for s in scores:
        F = problem.feasible_values(s.columns)
        seen = [F] if problem.nonstationary else [*seen, F]
        values.append(hypervolume(np.concatenate(seen)))
    return np.cumsum([s.n for s in scores]), np.array(values)


def current_scores(
    problem: ArchitectureProblem, scores: Sequence[ScoredCandidates]
) -> list[ScoredCandidates]:
    """Return the scores that hold at the end of a run, without calls in which all failed.

    Args:
        problem: problem that was searched.
        scores: what :func:`read_scores` returned.
    """
    succeeded = [s for s in scores if len(s.X)]
    return succeeded[-1:] if problem.nonstationary else succeeded


def last_scores(
    problem: ArchitectureProblem, scores: Sequence[ScoredCandidates]
) -> ScoredCandidates | None:
    """Return the architectures that a picture of the front shows, each once.

    If scores do not change during a run, these are all that it has evaluated. Otherwise, they are
    those that were evaluated with the last weights: the last parents and their offspring.

    Args:
        problem: problem that was searched.
        scores: what :func:`read_scores` returned.

    Returns:
        Their scores, without candidates that failed; None before the first evaluation.
    """
    chosen = current_scores(problem, scores)
    if not chosen:
        return None
    X, columns = np.concatenate([s.X for s in chosen]), all_columns(chosen)
    _, first = np.unique(X, axis=0, return_index=True)
    rows = np.sort(first)
    return ScoredCandidates(X[rows], {k: v[rows] for k, v in columns.items()}, len(rows))
