"""Problems whose objectives change during a run because shared weights are trained."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from pymoo.algorithms.moo.nsga3 import HyperplaneNormalization
from pymoo.core.algorithm import Algorithm
from pymoo.core.population import Population

from .deprecation import RenamedAttribute
from .metrics.rank_correlation import rank_correlation
from .problem import ArchitectureProblem
from .run.candidates import Candidates

FEWEST_RANKED = 8  # candidates; the rank correlation of fewer says little


class WeightSharingProblem(ArchitectureProblem):
    """A problem whose objectives change because shared weights are trained during a run.

    Once per generation, between mating and survival, the problem trains the shared weights,
    evaluates parents and offspring with the new weights, and updates every column of the parents.
    Therefore, any pymoo algorithm compares candidates that were evaluated with the same weights.
    ``n_eval`` includes the evaluations of parents. Called without an algorithm, ``evaluate`` never
    trains.

    Attributes:
        nonstationary: whether training continues during a run; if False, the weights are trained
            once, before the first evaluation.
        train_on_offspring: whether the training uses the offspring as well as the parents.
        train_before_first_scores: whether the first population is trained, after the warm-up and
            before its evaluation, as in every later generation.
        growth_of: name of a column; the column ``growth`` is its decrease per training epoch, and
            higher is better. None if the problem has no column ``growth``. The decrease is measured
            over the training of one generation, so the offspring are also evaluated before this
            training. The growth is NaN in the first generation and in a stationary problem, and 0
            for a candidate whose evaluation before the training failed.
    """

    nonstationary = True
    train_on_offspring: bool = False
    train_before_first_scores: bool = False

    offspring_train = RenamedAttribute("offspring_train", "train_on_offspring")

    def score_generation(
        self, candidates: Candidates, algorithm: Algorithm
    ) -> dict[str, np.ndarray]:
        """Return the columns of the offspring; the first call in a generation first trains."""
        session = self.session
        if not self.nonstationary or not algorithm.is_initialized:
            if self.nonstationary and self.train_before_first_scores:
                session.train(candidates)
            return session.score(candidates)
        if session.run.generation == algorithm.n_iter:
            return session.score(candidates)
        columns = self._next_generation(candidates, algorithm)
        session.run.generation = algorithm.n_iter
        return columns

    def _next_generation(
        self, offspring: Candidates, algorithm: Algorithm
    ) -> dict[str, np.ndarray]:
        """Train the weights, re-evaluate the parents and return the columns of the offspring."""
        session, individuals = self.session, live_individuals(algorithm)
        n = len(individuals)
        parents = session.candidates(individuals.get("X").astype(offspring.X.dtype))
        parents_and_offspring = Candidates.concatenate(parents, offspring)
        if self.train_on_offspring and len(offspring) == 1:
            raise ValueError(
                f"{type(algorithm).__name__} evaluates one row per call, but this problem trains "
                "on all offspring of a generation. Use an algorithm that evaluates all offspring "
                "in one call, such as ParallelMOEAD instead of MOEAD."
            )
        if self.growth_of:
            scores = session.score(offspring, "score before")
            before, failed = (
                np.concatenate([individuals.get(name).astype(scores[name].dtype), scores[name]])
                for name in (self.growth_of, "failed")
            )
        report = session.train(parents_and_offspring if self.train_on_offspring else parents)
        columns = session.score(parents_and_offspring)
        quality = self.growth_of or self.columns[0].name
        measures = rank_measures(individuals.get(quality), columns[quality][:n])
        if self.growth_of:
            growth = (before - columns[self.growth_of]) / report["epochs"]
            columns["growth"] = np.where(
                failed, 0.0, growth
            )  # failed candidates had no valid score
            measures["growth"] = float(np.median(columns["growth"]))
        session.monitor.update_from_report(measures)
        for name, values in columns.items():
            individuals.set(name, values[:n].astype(float))
        individuals.set("F", self.objective_values(columns)[:n])
        if self.limits:
            individuals.set("G", self.constraint_values(columns)[:n])
        individuals.set("CV", None)  # clear the value that pymoo caches
        algorithm.evaluator.n_eval += n
        reset_normalization(algorithm)
        return {name: values[n:] for name, values in columns.items()}

    def _evaluate(
        self,
        X: np.ndarray,
        out: dict[str, Any],
        *args: Any,
        columns: dict[str, np.ndarray],
        **kwargs: Any,
    ) -> None:
        if self.growth_of:
            columns = {"growth": np.full(len(X), math.nan)} | columns
        super()._evaluate(X, out, columns=columns)


def rank_measures(before: np.ndarray, after: np.ndarray) -> dict[str, float]:
    """Return the measure ``rank_correlation`` of two scores of the same candidates.

    Args:
        before: (n,) scores of the candidates before the weights were trained for a generation.
        after: (n,) scores of the same candidates afterwards.

    Returns:
        A dict with the rank correlation, in [-1, 1]; empty for fewer than eight candidates or
        constant scores.
    """
    value = rank_correlation(before, after) if len(after) >= FEWEST_RANKED else None
    return {} if value is None else {"rank_correlation": value}


def live_individuals(algorithm: Algorithm) -> Population:
    """Return the evaluated individuals that the algorithm still uses, without duplicates."""
    individuals = {}
    for population in (algorithm.pop, algorithm.archive, getattr(algorithm, "da", None)):
        for individual in population if population is not None else ():
            if "F" in individual.evaluated:
                individuals[id(individual)] = individual
    return Population.create(*individuals.values())


def reset_normalization(algorithm: Algorithm) -> None:
    """Reset the ideal point and scale that an algorithm estimated from outdated objectives."""
    n_obj = algorithm.problem.n_obj
    survival: Any = getattr(algorithm, "survival", None)
    if isinstance(getattr(survival, "norm", None), HyperplaneNormalization):
        survival.norm = HyperplaneNormalization(n_obj)  # NSGA-III and its variants, SPEA2
    if getattr(survival, "ideal", None) is not None:
        survival.ideal = np.full(n_obj, np.inf)  # RVEA
    if getattr(survival, "ideal_point", None) is not None:  # C-TAEA
        survival.ideal_point = live_individuals(algorithm).get("F").min(axis=0)
    if getattr(algorithm, "ideal", None) is not None:
        algorithm.ideal = algorithm.pop.get("F").min(axis=0)  # MOEA/D
