"""Architectures as pymoo problems: x -> architecture -> evaluator -> F.

An evaluator is what holds images, weights and devices. The problem asks it for

    begin(seed)             a run with that seed begins; weights that train become untrained ones
    score(architectures) -> dict of columns, each (n,); may happen in other processes
    measure(architectures) -> dict of the columns that are read from a clock, if there are any
    alone                -> bool; whether each candidate is trained on its own; False if missing
    doing                -> what is then done to it, in words; "training from scratch" if missing
    trains               -> bool; whether there are weights that all candidates share; if so, also
    warm_up() -> dict       the first training of a run
    state(), load_state()   flat dict of tensors, all that training changes
    train(architectures) -> dict    one generation's training (moving problems only)

and writes what comes back into the journal, if there is one. What stays the same for as long as a
run lasts (a measurement, and every score where nothing moves) is asked for once a candidate.
"""

import math
import uuid
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from pymoo.algorithms.moo.nsga3 import HyperplaneNormalization
from pymoo.core.population import Population
from pymoo.core.problem import Problem

from .errors import SearchFailed
from .pareto import pick
from .run import parallel as spread
from .run.stage import Stage
from .settings import check_objectives
from .spaces.genes import labels

RESERVED = {
    *("X", "x", "F", "f", "G", "H", "CV", "cv", "FEAS", "feas", "dF", "dG", "dH", "ddF", "ddG"),
    *("ddH", "data", "config", "evaluated", "rank", "crowding"),
}
OUTSIDE = "outside any run"
ADVICE = "Use this problem's operators: NSGA2(**problem.operators())."
RUN = "moonas run"  # key of an algorithm's data: the run that it is


SIZES = ("parameters", "multiply-adds")  # units of whole numbers; the others have decimals


@dataclass(frozen=True)
class Column:
    """A number that the evaluator gives for each architecture.

    Args:
        name: also its name on pymoo's individuals.
        unit: in words.
        worst: what a candidate that failed gets; None where the number stays known.
        bounds: (low, high) of the hypervolume's rectangle.
        direction: "min" or "max"; objectives are all "min".
        measured: read from a clock, so kept for as long as the run lasts.
        listed: whether the table of a front shows it; as an objective it is shown in any case.
    """

    name: str
    unit: str
    worst: float | None = None
    bounds: tuple[float, float] | None = None
    direction: str = "min"
    measured: bool = False
    listed: bool = True

    @property
    def is_size(self):
        """Whether it counts what a network is made of."""
        return self.unit in SIZES


class ArchitectureProblem(Stage, Problem):
    """A pymoo problem whose rows are architectures and whose objectives are columns by name.

    A subclass gives ``make_evaluator``, ``operators``, ``algorithm``, ``network``, ``operations``
    and ``zoo``, and ``space``: a module with ``decode``, ``encode``, ``to_json`` and ``from_json``,
    or these four as methods (``architecture_to_json``, ``architecture_from_json``). The problem is
    shared, not copied, by ``copy.deepcopy`` (pymoo copies it into every generation of a history); a
    pickle of it leaves weights, data and journal behind.

    Args:
        settings: its Settings; ``settings.objectives`` names the columns to minimise.
        columns: tuple of :class:`Column`, all that the evaluator gives.
        n_choices: (n_var,) number of values of each gene; gene j is in [0, n_choices[j]). Where a
            problem has ``genes`` instead, its attribute ``n_choices`` is 0 for real ones.
        genes: a :class:`~moonas.spaces.genes.Genes` instead of n_choices, if some are no labels.
        nodes: list of arrays of columns that crossover and mutation may take together.
    """

    space = None
    in_words = "in words"  # what an architecture's str() tells
    picked_as = "the knee of the front"  # what pick() chooses, in words
    beside = None  # column that is shown beside a single objective; None: two are needed
    moves = False  # whether scores change while a run trains
    pnsga3_options = {}  # noqa: RUF012 what the settings ask of pNSGA-III; never changed

    def __init__(self, settings, *, columns, n_choices=None, genes=None, nodes=()):
        known = [c.name for c in columns if c.direction == "min"]
        check_objectives(settings.objectives, known, 2 if self.beside is None else 1)
        clash = [c.name for c in columns if c.name in RESERVED]
        if clash:
            raise ValueError(f"Column names {clash} are pymoo's own; choose others.")
        self.settings = settings
        self.columns = tuple(columns)
        self.objectives = settings.objectives
        self.genes = genes or labels(n_choices)
        self.n_choices = self.genes.n_choices
        self.nodes = nodes
        self._forget_run()
        super().__init__(
            n_var=len(self.genes.low),
            n_obj=len(self.objectives),
            xl=self.genes.low,
            xu=self.genes.high,
            vtype=self.genes.dtype.type,
            requires_kwargs=True,
        )

    def __deepcopy__(self, memo):
        memo[id(self)] = self
        return self

    def __getstate__(self):
        left = {"journal", "_callbacks", "seed", "_evaluator"}
        left |= {"_run", "_generation", "_scores", "_measured"}
        return {k: v for k, v in super().__getstate__().items() if k not in left}

    def __setstate__(self, state):
        self.__dict__.update(state)
        self._forget_run()

    def _forget_run(self):
        self.journal = None
        self._evaluator = None
        self._run = None  # the run that the weights belong to; OUTSIDE for those of none
        self._generation = None  # of that run, the last one whose weights have trained
        self.seed = None  # of that run, 0 outside
        self._scores, self._measured = _Memory(), _Memory()  # what lasts as long as a run

    @property
    def evaluator(self):
        """What scores architectures; made when it is first needed."""
        if self._evaluator is None:
            self._evaluator = self.make_evaluator()
        return self._evaluator

    def decode(self, x):
        """The architecture of a row, (n_var,)."""
        return self.space.decode(x)

    def encode(self, architecture):
        """The row of an architecture, (n_var,)."""
        return self.space.encode(architecture)

    def architecture_to_json(self, architecture):
        """A dict that JSON can hold."""
        return self.space.to_json(architecture)

    def architecture_from_json(self, value):
        """The architecture of such a dict; a ``ValueError`` says what is wrong with it."""
        return self.space.from_json(value)

    def graphs(self, architecture):
        """What can be drawn of an architecture, a list of :class:`~moonas.spaces.graph.Graph`."""
        return []

    def pick(self, rows):
        """The index of the row of a front that a search picks; None for no rows.

        Args:
            rows: list of :class:`moonas.pareto.Row`.
        """
        return pick(rows)

    def after_generation(self, algorithm):
        """What a search with a journal still does once a generation, such as a picture."""

    def after_search(self, row):
        """What a search still does with the row that it picks; the lines that tell of it.

        Args:
            row: a :class:`moonas.pareto.Row`.
        """
        return []

    def column(self, name):
        """The :class:`Column` of a name."""
        return next(c for c in self.columns if c.name == name)

    @property
    def shown(self):
        """The two columns that displays and pictures are of: the first objectives."""
        return (*self.objectives, self.beside)[:2]

    def objective_bounds(self):
        """(2, n_obj) lower and upper corner of the rectangle that hypervolumes are shares of."""
        return np.array([self.column(name).bounds for name in self.objectives], dtype=float).T

    def evaluate(self, X, *args, algorithm=None, **kwargs):
        """Objectives of the rows of X, (n, n_var) or (n_var,); pymoo calls this with ``algorithm``.

        Raises:
            ValueError: a row is no architecture.
            SearchFailed: every row failed.
        """
        X = self.check_rows(X)
        if algorithm is None:
            columns = self._score_outside_a_run(np.atleast_2d(X))
        else:
            with self._within_run(algorithm):
                columns = self._score(np.atleast_2d(X))
        return super().evaluate(X, *args, columns=columns, **kwargs)

    def _evaluate(self, X, out, *args, columns, **kwargs):
        out.update(columns, F=self._objectives(columns))

    def check_rows(self, X):
        """X in the type of the genes, if its rows are architectures; else a ``ValueError``."""
        try:
            return self.genes.check(X)
        except ValueError as error:
            raise ValueError(f"{error} {ADVICE}") from None

    @contextmanager
    def _within_run(self, algorithm):
        """Take note of the run that a call belongs to; its first call starts it.

        A call that is interrupted may leave weights half trained, so it ends the run.
        """
        token = algorithm.data.get(RUN)
        if token is None and algorithm.is_initialized and self.moves:
            raise ValueError(
                "This run starts from a population that was scored elsewhere, under other weights. "
                'Start from its rows alone: sampling=population.get("X").'
            )
        if token is not None and token != self._run:
            raise ValueError(
                "This algorithm's run is not the one that this problem's weights belong to: "
                "another run has begun on the problem object since, this one was interrupted, or "
                "the algorithm was loaded from a file. Start again with minimize; with "
                "load_problem(..., journal=FOLDER) that goes on where it stopped."
            )
        try:
            if token is None:
                self._begin(algorithm)
            yield
        except BaseException:
            self._run = None
            raise

    def _begin(self, algorithm):
        self._run = algorithm.data[RUN] = uuid.uuid4().hex
        seed = algorithm.seed
        if self.journal is not None:
            self.journal.begin(seed, describe_algorithm(algorithm), self.where())
        elif seed is None:
            seed = np.random.default_rng().integers(2**31)
        self._scores, self._measured = _Memory(), _Memory()
        self._begin_evaluator(int(seed))
        if self.evaluator.trains:
            self._call("train", {"who": "uniform"}, self.evaluator.warm_up, saves=True)

    def _begin_evaluator(self, seed):
        self.seed = seed
        self.evaluator.begin(seed)

    def _call(self, kind, request, compute, saves=False):
        return self.recorded(kind, request, compute, self.evaluator, saves)

    @property
    def device(self):
        """Where networks run, a ``torch.device``."""
        return self.evaluator.device

    def _score(self, X, purpose="score"):
        """Columns of the rows of X, a dict of (n,) arrays, as a part of the run."""
        asked = {"x": self._plain(X)}
        columns = self._call(purpose, asked, lambda: self._score_now(X))
        if purpose == "score" and len(X) > 1 and columns["failed"].all():
            raise SearchFailed(
                f"All {len(X)} candidates of a population failed (scores that are not finite). "
                "A lower learning_rate or a smaller clip may help."
            )
        measured = {column.name for column in self.columns if column.measured}
        keys = self._keys(X)
        self._measured.add(keys, {name: columns[name] for name in measured})
        if not self.moves:
            self._scores.add(keys, {k: v for k, v in columns.items() if k not in measured})
        self.callbacks.on_scores(X, columns)
        return columns

    def _score_outside_a_run(self, X):
        """The same under the weights that are there, recorded nowhere.

        They are those of the run so far, or of the journal's last training; without either,
        untrained ones where scores move, and trained ones where they do not.
        """
        recorded = self.journal is not None and (self.in_a_run or self.journal.has_weights)
        if self._run is None:
            self._run = OUTSIDE
            self._begin_evaluator(0 if self.journal is None else self.journal.seed or 0)
            if self.evaluator.trains and not recorded and not self.moves:
                self.evaluator.warm_up()
        if recorded:
            self.journal.settle(self.evaluator)
        return self._score_now(X)

    def _score_now(self, X):
        """Columns of the rows of X, computed as far as they are not known."""

        def score(rows):
            return self._checked(spread.score(self, rows), len(rows))

        def measure(rows):
            measured = self.evaluator.measure([self.decode(x) for x in rows])
            return {k: v for k, v in self._checked(measured, len(rows)).items() if k != "failed"}

        if self.moves or not self.in_a_run:
            columns = score(X)
        else:
            columns = self._scores.columns(X, self._keys(X), score)
        if any(column.measured for column in self.columns):
            columns = columns | self._measured.columns(X, self._keys(X), measure)
        return columns

    def _plain(self, X):
        """Rows as a journal's request holds them."""
        return [self.genes.plain(x) for x in X]

    def _keys(self, X):
        """What tells the architectures of rows apart: several rows may mean one."""
        return [self.encode(self.decode(x)).tobytes() for x in X]

    @property
    def run(self):
        """A mark of the run that scores are those of; None before the first one."""
        return self._run

    def known(self, X):
        """Which rows of X this run has scored and keeps, (n,) bool; none where scores move."""
        return np.array([key in self._scores for key in self._keys(X)])

    @property
    def has_evaluator(self):
        """Whether the evaluator has been made; in a pickle's copy it has not."""
        return self._evaluator is not None

    @property
    def in_a_run(self):
        """Whether scores are those of a run, not of an evaluation outside any."""
        return self._run not in (None, OUTSIDE)

    def _checked(self, columns, n):
        """Refuse columns of the wrong kind; give failed candidates the worst values."""
        names = [c.name for c in self.columns if c.name in columns]
        failed = np.zeros(n, dtype=bool)
        for name in names:
            columns[name] = np.asarray(columns[name])
            if columns[name].shape != (n,):
                raise ValueError(
                    f"The evaluator gave column {name!r} with shape {columns[name].shape}; "
                    f"expected ({n},)."
                )
            failed |= ~np.isfinite(columns[name].astype(float))
        for name in names:
            worst = self.column(name).worst
            if worst is not None:
                columns[name] = np.where(failed, worst, columns[name])
        return columns | {"failed": failed}

    def _objectives(self, columns):
        F = np.column_stack([columns[name] for name in self.objectives]).astype(float)
        if not np.isfinite(F).all():
            raise ValueError("An objective is not finite, although its column has no worst value.")
        return F


class _Memory:
    """Columns of architectures, each computed once."""

    def __init__(self):
        self._rows = {}  # key of an architecture -> {column: value}

    def __contains__(self, key):
        return key in self._rows

    def add(self, keys, columns):
        """Keep the columns of the architectures with these keys."""
        for i, key in enumerate(keys):
            self._rows[key] = {name: values[i] for name, values in columns.items()}

    def columns(self, X, keys, compute):
        """Columns of the rows of X; ``compute`` is asked for the rows whose keys are new."""
        new = {key: i for i, key in enumerate(keys) if key not in self._rows}
        if new:
            self.add(new, compute(X[list(new.values())]))
        return {name: np.array([self._rows[k][name] for k in keys]) for name in self._rows[keys[0]]}


class MovingProblem(ArchitectureProblem):
    """A problem whose objectives change as shared weights train.

    Once a generation, between mating and survival, it scores the offspring under the old weights,
    trains, scores parents and offspring under the same new ones, and writes every column back to
    the parents. So any pymoo algorithm compares like with like. Parents that are scored again count
    in ``n_eval``. Called without an algorithm, ``evaluate`` never trains.

    Subclasses may set

    Attributes:
        moves: False makes the problem static: it trains once, before the first score.
        offspring_train: the offspring take part in the training, not the parents alone.
        growth_of: column whose fall per epoch, from the scores before and after a generation's
            training, is the column ``growth`` (higher is better; NaN where there is no earlier
            score: in the first generation, and where nothing moves; 0 for a candidate that had
            failed before); None for no such column.
    """

    moves = True
    offspring_train = False
    growth_of = None

    def evaluate(self, X, *args, algorithm=None, **kwargs):
        if algorithm is None or not self.moves or not algorithm.is_initialized:
            if algorithm is not None:
                self._generation = 1
            return super().evaluate(X, *args, algorithm=algorithm, **kwargs)
        X = self.check_rows(X)
        with self._within_run(algorithm):
            if self._generation != algorithm.n_iter:
                columns = self._next_generation(np.atleast_2d(X), algorithm)
                self._generation = algorithm.n_iter
            else:
                columns = self._score(np.atleast_2d(X))
        return Problem.evaluate(self, X, *args, columns=columns, **kwargs)

    def _next_generation(self, X, algorithm):
        """Train, refresh the parents, and return the columns of the offspring X."""
        parents = live_individuals(algorithm)
        old = parents.get("X").astype(X.dtype)
        trained = old
        if self.offspring_train:
            if len(X) == 1:
                raise ValueError(
                    f"{type(algorithm).__name__} hands over one row a call, but here all offspring "
                    "of a generation train together. Use an algorithm that hands over all of them, "
                    "such as ParallelMOEAD in place of MOEAD."
                )
            trained = np.vstack([old, X])
        if self.growth_of:
            fresh = self._score(X, "score before")
            before, failed = (
                np.concatenate([parents.get(name).astype(fresh[name].dtype), fresh[name]])
                for name in (self.growth_of, "failed")
            )
        report = self._call(
            "train",
            {"who": self._plain(trained)},
            lambda: self.evaluator.train([self.decode(x) for x in trained]),
            saves=True,
        )
        columns = self._score(np.vstack([old, X]))
        if self.growth_of:
            growth = (before - columns[self.growth_of]) / report["epochs"]
            columns["growth"] = np.where(failed, 0.0, growth)  # none was measured
        for name, values in columns.items():
            parents.set(name, values[: len(old)].astype(float))
        parents.set("F", self._objectives(columns)[: len(old)])
        parents.set("CV", None)  # cached by pymoo
        algorithm.evaluator.n_eval += len(old)
        forget_scales(algorithm)
        return {name: values[len(old) :] for name, values in columns.items()}

    def _evaluate(self, X, out, *args, columns, **kwargs):
        if self.growth_of:
            columns = {"growth": np.full(len(X), math.nan)} | columns
        super()._evaluate(X, out, columns=columns)


def describe_algorithm(algorithm):
    """An algorithm in words: its class, sizes and parts, for telling one run from another."""
    parts = [type(algorithm).__name__]
    for name in ("pop_size", "n_offsprings"):
        if getattr(algorithm, name, None) is not None:
            parts.append(f"{name}={getattr(algorithm, name)}")
    for name in ("survival", "mating"):
        if getattr(algorithm, name, None) is not None:
            parts.append(f"{name}={type(getattr(algorithm, name)).__name__}")
    return " ".join(parts)


def live_individuals(algorithm):
    """All evaluated individuals that the next survival or archive will read, each once."""
    found = {}
    for population in (algorithm.pop, algorithm.archive, getattr(algorithm, "da", None)):
        for individual in population if population is not None else ():
            if "F" in individual.evaluated:
                found[id(individual)] = individual
    return Population.create(*found.values())


def forget_scales(algorithm):
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
