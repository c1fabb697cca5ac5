"""Problems whose objectives change during a run, because shared weights train as it goes."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from pymoo.algorithms.moo.nsga3 import HyperplaneNormalization
from pymoo.core.algorithm import Algorithm
from pymoo.core.population import Population

from .problem import ArchitectureProblem
from .run.candidates import Candidates


class WeightSharingProblem(ArchitectureProblem):
    """A problem whose objectives change as shared weights train.

    Once a generation, between mating and survival, it scores the offspring under the old weights,
    trains, scores parents and offspring under the same new weights, and writes every column back to
    the parents. So any pymoo algorithm compares like with like. Parents that are scored again count
    in ``n_eval``. Called without an algorithm, ``evaluate`` never trains.

    Attributes:
        nonstationary: False makes the problem static: it trains once, before the first score.
        offspring_train: whether the offspring take part in the training, too.
        growth_of: column whose fall per epoch, from the scores before and after a generation's
            training, is the column ``growth`` (higher is better; NaN if there is no earlier score:
            in the first generation, and in a static problem; 0 for a candidate that had failed
            before); None for no such column.
    """

    nonstationary = True
    offspring_train: bool = False

    def evaluate(
        self, X: np.ndarray, *args: Any, algorithm: Algorithm | None = None, **kwargs: Any
    ) -> Any:
        """See :meth:`.ArchitectureProblem.evaluate`; trains in each generation of a run."""
        if algorithm is not None and not algorithm.is_initialized:
            self.session.generation = 1
        return super().evaluate(X, *args, algorithm=algorithm, **kwargs)

    def score_generation(
        self, candidates: Candidates, algorithm: Algorithm
    ) -> dict[str, np.ndarray]:
        """Columns of the offspring; the first call of a generation trains before."""
        session = self.session
        if not self.nonstationary or not algorithm.is_initialized:
            return session.score(candidates)
        if session.generation == algorithm.n_iter:
            return session.score(candidates)
        columns = self._next_generation(candidates, algorithm)
        session.generation = algorithm.n_iter
        return columns

    def _next_generation(
        self, offspring: Candidates, algorithm: Algorithm
    ) -> dict[str, np.ndarray]:
        """Train, score the parents again, and return the columns of the offspring."""
        session, individuals = self.session, live_individuals(algorithm)
        n = len(individuals)
        parents = session.candidates(individuals.get("X").astype(offspring.X.dtype))
        everyone = Candidates.concatenate(parents, offspring)
        if self.offspring_train and len(offspring) == 1:
            raise ValueError(
                f"{type(algorithm).__name__} hands over one row a call, but here all offspring of "
                "a generation train together. Use an algorithm that hands over all of them, such "
                "as ParallelMOEAD in place of MOEAD."
            )
        if self.growth_of:
            fresh = session.score(offspring, "score before")
            before, failed = (
                np.concatenate([individuals.get(name).astype(fresh[name].dtype), fresh[name]])
                for name in (self.growth_of, "failed")
            )
        report = session.train(everyone if self.offspring_train else parents)
        columns = session.score(everyone)
        if self.growth_of:
            growth = (before - columns[self.growth_of]) / report["epochs"]
            columns["growth"] = np.where(failed, 0.0, growth)  # none was measured
        for name, values in columns.items():
            individuals.set(name, values[:n].astype(float))
        individuals.set("F", self.objective_values(columns)[:n])
        individuals.set("CV", None)  # cached by pymoo
        algorithm.evaluator.n_eval += n
        forget_scales(algorithm)
        return {name: values[n:] for name, values in columns.items()}

    def _evaluate(self, X, out, *args, columns, **kwargs):
        if self.growth_of:
            columns = {"growth": np.full(len(X), math.nan)} | columns
        super()._evaluate(X, out, columns=columns)


def live_individuals(algorithm: Algorithm) -> Population:
    """All evaluated individuals that the next survival or archive will read, each once."""
    found = {}
    for population in (algorithm.pop, algorithm.archive, getattr(algorithm, "da", None)):
        for individual in population if population is not None else ():
            if "F" in individual.evaluated:
                found[id(individual)] = individual
    return Population.create(*found.values())


def forget_scales(algorithm: Algorithm) -> None:
    """Drop what an algorithm remembers of the scale of old objectives."""
    n_obj = algorithm.problem.n_obj
    survival = getattr(algorithm, "survival", None)
    if isinstance(getattr(survival, "norm", None), HyperplaneNormalization):
        survival.norm = HyperplaneNormalization(n_obj)  # NSGA-III and its kin, SPEA2
    if getattr(survival, "ideal", None) is not None:
        survival.ideal = np.full(n_obj, np.inf)  # RVEA
    if getattr(survival, "ideal_point", None) is not None:  # C-TAEA
        survival.ideal_point = live_individuals(algorithm).get("F").min(axis=0)
    if getattr(algorithm, "ideal", None) is not None:
        algorithm.ideal = algorithm.pop.get("F").min(axis=0)  # MOEA/D
