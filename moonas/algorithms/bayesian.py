"""Offspring from a Bayesian network of good architectures (NSGANetV1, Lu et al., 2020, III-C)."""

import numpy as np
from pymoo.core.infill import InfillCriterion
from pymoo.core.population import Population
from pymoo.operators.survival.rank_and_crowding import RankAndCrowding

SOURCE = "source"  # of an offspring: "genetic" or "model"


class BlockNetwork:
    """The distribution of one block of genes, node by node: p(n1) p(n2 | n1) p(n3 | n1, n2) ...

    A node has thousands of values and there are some hundred rows to learn from, so conditionals
    are smoothed: with N rows that agree in all earlier nodes, a node is copied from one of them
    with chance N / (N + strength); else its genes are drawn one by one from their own shares in all
    rows, each with ``gene_strength`` uniform pseudo-counts. Every value within the bounds can come
    out.

    Args:
        X: (n, n_var) ints, the rows to learn from; n >= 1.
        nodes: list of arrays of columns, in the order of dependence.
        n_choices: (n_var,) number of values of each gene.
        strength: pseudo-count of the prior of a node, more than 0.
        gene_strength: pseudo-count of the uniform prior of a gene, more than 0.
    """

    def __init__(self, X, nodes, n_choices, strength=1.0, gene_strength=1.0):
        self.X, self.nodes, self.n_choices = np.asarray(X), nodes, n_choices
        self.strength = strength
        self.shares = {}  # gene -> (n_choices,) smoothed share of each value
        for gene in np.concatenate(nodes):
            k = n_choices[gene]
            count = np.bincount(self.X[:, gene], minlength=k)
            self.shares[gene] = (count + gene_strength / k) / (len(self.X) + gene_strength)

    def sample(self, n, rng):
        """n rows, (n, n_var); genes outside the block are zero."""
        rows = np.zeros((n, self.X.shape[1]), dtype=self.X.dtype)
        agree = np.ones((n, len(self.X)), dtype=bool)  # with each row, in all earlier nodes
        for genes in self.nodes:
            matches = agree.sum(axis=1)
            copied = rng.random(n) * (matches + self.strength) < matches
            # the k-th agreeing row, k uniform
            order = (rng.random(n) * matches).astype(int)
            source = (np.cumsum(agree, axis=1) > order[:, None]).argmax(axis=1)
            for gene in genes:
                share = np.cumsum(self.shares[gene])
                drawn = np.searchsorted(share / share[-1], rng.random(n), side="right")
                rows[:, gene] = np.where(copied, self.X[source, gene], drawn)
            agree &= (rows[:, None, genes] == self.X[None, :, genes]).all(axis=2)
        return rows

    def probability(self, rows):
        """(n,) chance that :meth:`sample` gives each row."""
        rows = np.asarray(rows)
        chance = np.ones(len(rows))
        agree = np.ones((len(rows), len(self.X)), dtype=bool)
        for genes in self.nodes:
            matches = agree.sum(axis=1)
            prior = np.prod([self.shares[g][rows[:, g]] for g in genes], axis=0)
            agree &= (rows[:, None, genes] == self.X[None, :, genes]).all(axis=2)
            chance *= (agree.sum(axis=1) + self.strength * prior) / (matches + self.strength)
        return chance


def softmax_shares(rates, shares):
    """Shares of offspring from the survival rates of the sources (eq. 2).

    Args:
        rates: (2,) survival rates of the last generation's offspring, NaN for a source without any.
        shares: (2,) of the last generation; kept where a rate is not known.

    Returns:
        (2,) floats that add up to 1.
    """
    rates = np.asarray(rates, float)
    if np.isnan(rates).any():
        return np.asarray(shares, float)
    weights = np.exp(rates)
    return weights / weights.sum()


class BayesianMating(InfillCriterion):
    """Wraps the mating of a genetic algorithm: a share of the offspring comes from a model.

    The model is a :class:`BlockNetwork` a block, fitted on the best rows of all evaluated so far by
    rank and crowding; where shared weights train on, of the last generation's parents and offspring
    that have a score under today's weights. It begins at ``start`` of the budget with
    ``first_share`` of the offspring; from the next generation on the share follows the survival
    rates of both sources (eq. 2).

    Args:
        base: the algorithm's own mating; its repair and duplicate elimination are taken over.
        blocks: list of lists of arrays of columns: the nodes of each block.
        start: share of the budget, in (0, 1]; from then on the model is used. 2/3 in the paper.
        generations: the budget; by default what the algorithm's termination says has been used. A
            run that ends by the clock wants it, or it cannot be resumed.
        first_share: of the offspring at the start; 0.25 in the paper.
        n_best: rows to fit on; 100 in the paper.
        strength: of the smoothing, see :class:`BlockNetwork`.

    Attributes:
        shares: (2,) of genetic operators and model in this generation.
    """

    def __init__(
        self,
        base,
        blocks,
        *,
        start=2 / 3,
        generations=None,
        first_share=0.25,
        n_best=100,
        strength=1.0,
    ):
        super().__init__(repair=base.repair, eliminate_duplicates=base.eliminate_duplicates)
        self.base, self.blocks = base, blocks
        self.start, self.generations, self.first_share = start, generations, first_share
        self.n_best, self.strength = n_best, strength
        self.shares = np.array([1.0, 0.0])
        self.archive = None  # (X, F) of all that was evaluated, each row once
        self.models = None
        self._generation = None

    @property
    def crossover(self):
        """Of the wrapped mating; MOEA/D asks for it."""
        return self.base.crossover

    def _do(self, problem, pop, n_offsprings, *args, algorithm=None, random_state=None, **kwargs):
        if algorithm.n_iter != self._generation:  # not the refill after duplicates
            self._generation = algorithm.n_iter
            self._learn(algorithm, random_state)
        n_model = 0
        if self.models is not None:
            n_model = int((random_state.random(n_offsprings) < self.shares[1]).sum())
        n_genetic = n_offsprings - n_model
        parts = [Population.create()]
        if n_genetic:
            crossed = self.base._do(
                problem,
                pop,
                n_genetic,
                *args,
                algorithm=algorithm,
                random_state=random_state,
                **kwargs,
            )
            parts.append(self._tagged(crossed[:n_genetic], "genetic"))
        if n_model:
            X = sum(model.sample(n_model, random_state) for model in self.models)
            parts.append(self._tagged(Population.new(X=X), "model"))
        return Population.merge(*parts)

    def _tagged(self, population, source):
        population.set(SOURCE, source)
        return population

    def _learn(self, algorithm, rng):
        """Take the last offspring into the archive; set the shares and fit the models."""
        self._archive(algorithm)
        used = algorithm.termination.perc
        if self.generations is not None:
            used = (algorithm.n_iter - 1) / self.generations
        if used < self.start:
            return
        if self.models is None:
            self.shares = np.array([1 - self.first_share, self.first_share])
        else:
            self.shares = softmax_shares(survival_rates(algorithm), self.shares)
        X, F = self.archive
        best = RankAndCrowding().do(
            algorithm.problem,
            Population.new(X=X, F=F),
            n_survive=min(self.n_best, len(X)),
            random_state=rng,
        )
        X = best.get("X")
        self.models = [
            BlockNetwork(X, nodes, algorithm.problem.n_choices, self.strength)
            for nodes in self.blocks
        ]

    def _archive(self, algorithm):
        """Take in the last offspring; where scores move, keep only what has a score of today."""
        fresh = algorithm.off if algorithm.off is not None else algorithm.pop
        if algorithm.problem.nonstationary:
            fresh = Population.merge(algorithm.pop, fresh)
        X, F = fresh.get("X"), fresh.get("F")
        if self.archive is not None and not algorithm.problem.nonstationary:
            X, F = np.vstack([self.archive[0], X]), np.vstack([self.archive[1], F])
        _, first = np.unique(X, axis=0, return_index=True)
        self.archive = X[np.sort(first)], F[np.sort(first)]


def survival_rates(algorithm):
    """(2,) share of the last offspring of each source that is alive; NaN where there were none."""
    alive = {id(individual) for individual in algorithm.pop}
    rates = []
    for source in ("genetic", "model"):
        mine = [i for i in algorithm.off if i.get(SOURCE) == source]
        rates.append(np.mean([id(i) in alive for i in mine]) if mine else np.nan)
    return np.array(rates)
