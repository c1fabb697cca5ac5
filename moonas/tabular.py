"""Problems whose every architecture has been measured already: scores are looked up in a table.

So a search takes no time, the true Pareto front is known, and algorithms compare on thousands of
runs. Nothing here trains, and torch is not needed.
"""

from functools import cached_property

import numpy as np

from .algorithms import algorithm
from .operators import CategoricalSampling, EvaluatedRow, NodeCrossover, ResetGenes
from .pareto import front_indices, hypervolume
from .problem import ArchitectureProblem, Evaluator


class Table:
    """Measured columns of every architecture of a space.

    Args:
        X: (n, n_var) ints, the rows that were measured, each once.
        n_choices: (n_var,) number of values of each gene.
        columns: name -> (n,) floats.

    Raises:
        ValueError: a row is out of bounds or comes twice, or a column has another length.
    """

    def __init__(self, X, n_choices, columns):
        self.X, self.n_choices = np.asarray(X, dtype=np.int64), tuple(int(n) for n in n_choices)
        self.columns = {name: np.asarray(values, float) for name, values in columns.items()}
        for name, values in self.columns.items():
            if values.shape != (len(self.X),):
                raise ValueError(f"Column {name!r} has {values.shape} values for {len(X)} rows.")
        keys = self._keys(self.X)
        self._place = np.full(np.prod(self.n_choices), -1, dtype=np.int64)
        self._place[keys] = np.arange(len(keys))
        if np.count_nonzero(self._place >= 0) < len(keys):
            values, times = np.unique(keys, return_counts=True)
            twice = self.X[keys == values[times > 1][0]][0]
            raise ValueError(f"The table has the architecture {twice.tolist()} more than once.")

    def _keys(self, X):
        try:
            return np.ravel_multi_index(np.asarray(X, dtype=np.int64).T, self.n_choices)
        except ValueError:
            raise ValueError("The table has an architecture that is none of the space.") from None

    def __len__(self):
        return len(self.X)

    def places(self, X):
        """(n,) places of the rows of X in the table, -1 where they were not measured."""
        return self._place[self._keys(X)]

    def look_up(self, X):
        """Columns of the rows of X, a dict of (n,); NaN where they were not measured."""
        places = self.places(X)
        known = places >= 0
        return {
            name: np.where(known, values[places], np.nan) for name, values in self.columns.items()
        }


class TableEvaluator(Evaluator):
    """Scores of a :class:`TabularProblem`."""

    device = "cpu"

    def __init__(self, problem):
        self.problem = problem

    def begin(self, seed):
        """A run with this seed begins; scores are the same for all of them."""

    def score(self, candidates):
        """Every column, (n,) each."""
        found = self.problem.table.look_up(candidates.rows)
        return {column.name: found[column.name].copy() for column in self.problem.columns}


class TabularProblem(ArchitectureProblem):
    """A problem with a table: besides what any gives, a subclass has ``read_table()`` for it.

    Args:
        settings: a :class:`~moonas.evaluators.settings.TabularSettings`.
        columns: all that the table gives.
        n_choices: (n_var,) number of values of each gene.
    """

    def __init__(self, settings, *, columns, n_choices):
        super().__init__(settings, columns=columns, n_choices=n_choices)

    @cached_property
    def table(self):
        """The :class:`Table`, read when it is first needed."""
        return self.read_table()

    def __getstate__(self):
        left = {"table", "_true_front"}
        return {k: v for k, v in super().__getstate__().items() if k not in left}

    def make_evaluator(self):
        """A :class:`TableEvaluator`."""
        return TableEvaluator(self)

    def operators(self):
        """Sampling, crossover, mutation and duplicate elimination for any genetic algorithm.

        A run asks for no architecture twice.
        """
        s = self.settings
        return dict(
            sampling=CategoricalSampling(),
            crossover=NodeCrossover(prob=s.crossover),
            mutation=ResetGenes(s.mutated_genes),
            eliminate_duplicates=EvaluatedRow(self),
        )

    def algorithm(self):
        """NSGA-II with operators for labels."""
        return algorithm("nsga2", self)

    def environment(self):
        """A table gives the same bits everywhere."""
        return "a table"

    def true_front(self):
        """The Pareto front of the whole space, by brute force.

        Returns:
            (X, F): (n, n_var) ints and (n, n_obj), by ascending first objective; of equal points
            the first.
        """
        return self._true_front

    @cached_property
    def _true_front(self):
        F = np.column_stack([self.table.columns[name] for name in self.objectives])
        known = np.flatnonzero(np.isfinite(F).all(axis=1))
        rows = known[front_indices(F[known])]
        return self.table.X[rows], F[rows]

    def true_hypervolume(self):
        """That of :meth:`true_front`, a share of the problem's rectangle."""
        return hypervolume(self.true_front()[1], self.objective_bounds())
