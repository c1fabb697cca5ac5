"""Offspring sampled from a Bayesian network (NSGANetV1, Lu et al., 2020, section III-C).

The network is fitted to the best architectures of the run.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike
from pymoo.core.infill import InfillCriterion
from pymoo.core.population import Population
from pymoo.operators.survival.rank_and_crowding import RankAndCrowding

from .sources import (
    SharedMating,
    last_evaluated,
    set_source,
    softmax_shares,
    survival_rates,
    unique_rows,
)

if TYPE_CHECKING:
    from pymoo.core.algorithm import Algorithm

    from ..problem import ArchitectureProblem

SOURCES = ("genetic", "model")


class BlockNetwork:
    """A distribution over the genes of one block, factorized over its nodes.

    The probability of a block is p(n1) p(n2 | n1) p(n3 | n1, n2) ... A node has thousands of
    possible values, but its distribution is estimated from about a hundred rows, so the conditional
    distributions are smoothed. If N rows equal the sample in all earlier nodes, the next node is
    copied from one of these rows with probability N / (N + strength). Otherwise its genes are
    sampled independently from their frequencies in all rows, to which a uniform prior of weight
    ``gene_strength`` is added. Every value within the bounds has a positive probability.

    Args:
        X: (n, n_var) ints, rows that the distribution is fitted to; n >= 1.
        nodes: list of arrays of column indices, one per node, in the order of dependence.
        n_choices: (n_var,) number of values of each gene.
        strength: pseudo-count of the prior of a node, > 0.
        gene_strength: pseudo-count of the uniform prior of a gene, > 0.
    """

    def __init__(
        self,
        X: ArrayLike,
        nodes: Sequence[np.ndarray],
        n_choices: np.ndarray,
        strength: float = 1.0,
        gene_strength: float = 1.0,
    ) -> None:
        self.X, self.nodes, self.n_choices = np.asarray(X), nodes, n_choices
        self.strength = strength
        self.frequencies: dict[int, np.ndarray] = {}  # gene -> (n_choices,) smoothed, sum to 1
        for gene in np.concatenate(nodes):
            k = n_choices[gene]
            count = np.bincount(self.X[:, gene], minlength=k)
            self.frequencies[gene] = (count + gene_strength / k) / (len(self.X) + gene_strength)

    def sample(self, n: int, rng: np.random.Generator) -> np.ndarray:
        """Sample n rows, (n, n_var). Genes outside the block are zero."""
        samples = np.zeros((n, self.X.shape[1]), dtype=self.X.dtype)
        agree = np.ones((n, len(self.X)), dtype=bool)  # [i, j]: sample i equals row j so far
        for genes in self.nodes:
            matches = agree.sum(axis=1)
            copied = rng.random(n) * (matches + self.strength) < matches
            # source is the k-th of the rows that agree, with k uniform
            k = (rng.random(n) * matches).astype(int)
            source = (np.cumsum(agree, axis=1) > k[:, None]).argmax(axis=1)
            for gene in genes:
                cumulative = np.cumsum(self.frequencies[gene])
                independent = np.searchsorted(
                    cumulative / cumulative[-1], rng.random(n), side="right"
                )
                samples[:, gene] = np.where(copied, self.X[source, gene], independent)
            agree &= (samples[:, None, genes] == self.X[None, :, genes]).all(axis=2)
        return samples

    def probability(self, rows: ArrayLike) -> np.ndarray:
        """Return the probability of each row under :meth:`sample`.

        Args:
            rows: (k, n_var) ints; genes outside the block are ignored.

        Returns:
            (k,) floats in (0, 1].
        """
        rows = np.asarray(rows)
        probability = np.ones(len(rows))
        agree = np.ones((len(rows), len(self.X)), dtype=bool)
        for genes in self.nodes:
            matches = agree.sum(axis=1)
            prior = np.prod([self.frequencies[g][rows[:, g]] for g in genes], axis=0)
            agree &= (rows[:, None, genes] == self.X[None, :, genes]).all(axis=2)
            probability *= (agree.sum(axis=1) + self.strength * prior) / (matches + self.strength)
        return probability


class BayesianMating(SharedMating):
    """Wraps the mating of a genetic algorithm, and samples some of the offspring from a model.

    The model consists of one :class:`BlockNetwork` per block. It is fitted to the best rows
    evaluated so far, by rank and crowding distance. If the objectives change while shared weights
    train, it is fitted to the last generation's parents and offspring only, because older scores
    are out of date. The model is first used after the fraction ``start`` of the budget, for a
    fraction ``first_share`` of the offspring. In later generations the share follows the survival
    rates of both sources (eq. 2).

    Args:
        base: the mating to wrap, which also provides the repair and the duplicate elimination.
        blocks: list of lists of arrays of column indices: the nodes of each block.
        start: fraction of the budget, in (0, 1], after which the model is used; 2/3 in the paper.
        generations: the budget in generations. By default the used fraction of the budget is taken
            from the algorithm's termination. A run with a time limit requires this argument,
            otherwise it cannot be resumed.
        first_share: fraction of the offspring that the model samples at first; 0.25 in the paper.
        n_best: maximum number of rows that the model is fitted to; 100 in the paper.
        strength: smoothing of the model, see :class:`BlockNetwork`.

    Attributes:
        shares: (2,) shares of the genetic operators and of the model in this generation.
        shown_as: title of the second share in the table of generations.
    """

    shown_as = "by model"

    def __init__(
        self,
        base: InfillCriterion,
        blocks: Sequence[Sequence[np.ndarray]],
        *,
        start: float = 2 / 3,
        generations: int | None = None,
        first_share: float = 0.25,
        n_best: int = 100,
        strength: float = 1.0,
    ) -> None:
        super().__init__(base)
        self.blocks = blocks
        self.start, self.generations, self.first_share = start, generations, first_share
        self.n_best, self.strength = n_best, strength
        self.shares = np.array([1.0, 0.0])
        self.archive: Population | None = None  # unique rows with their objectives
        self.models: list[BlockNetwork] | None = None

    def _do(
        self,
        problem: ArchitectureProblem,
        pop: Population,
        n_offsprings: int,
        *args: Any,
        algorithm: Algorithm = None,
        random_state: np.random.Generator,
        **kwargs: Any,
    ) -> Population:
        if self.is_new_generation(algorithm):
            self._learn(algorithm, random_state)
        n_model = 0
        if self.models is not None:
            n_model = self.count_others(n_offsprings, random_state)
        options = dict(algorithm=algorithm, random_state=random_state) | kwargs
        parts = [
            Population.create(),
            self.mate(problem, pop, n_offsprings - n_model, *args, **options),
        ]
        if n_model:
            assert self.models is not None
            X = sum(model.sample(n_model, random_state) for model in self.models)
            parts.append(set_source(Population.new(X=X), "model"))
        return Population.merge(*parts)

    def _learn(self, algorithm: Algorithm, rng: np.random.Generator) -> None:
        """Add the last offspring to the archive, update the shares and fit the models."""
        self.archive = self._updated_archive(algorithm)
        used = algorithm.termination.perc
        if self.generations is not None:
            used = (algorithm.n_iter - 1) / self.generations
        if used < self.start:
            return
        if self.models is None:
            self.shares = np.array([1 - self.first_share, self.first_share])
        else:
            self.shares = softmax_shares(survival_rates(algorithm, SOURCES), self.shares)
        best = RankAndCrowding().do(
            algorithm.problem,
            self.archive,
            n_survive=min(self.n_best, len(self.archive)),
            random_state=rng,
        )
        self.models = [
            BlockNetwork(best.get("X"), nodes, algorithm.problem.n_choices, self.strength)
            for nodes in self.blocks
        ]

    def _updated_archive(self, algorithm: Algorithm) -> Population:
        """Return the archive after adding the last offspring.

        Rows are unique. If objectives change during the run, only the rows that were scored with
        the current weights remain: the population and the last offspring.
        """
        evaluated = last_evaluated(algorithm)
        if algorithm.problem.nonstationary:
            return _copy_of_scores(unique_rows(algorithm.pop, evaluated))
        known = Population.empty() if self.archive is None else self.archive
        return _copy_of_scores(unique_rows(known, evaluated))


def _copy_of_scores(population: Population) -> Population:
    """Return new individuals with the same rows, objectives and constraints."""
    return Population.new(*(x for key in ("X", "F", "G") for x in (key, population.get(key))))
