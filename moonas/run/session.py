"""The session of a problem or a training: its journal, its callbacks, its seed, its caches.

A problem says what can be searched; its session holds what belongs to one run of it. X goes from
the algorithm through ``problem.evaluate`` into :class:`~moonas.run.candidates.Candidates`, from
there to the evaluator, and comes back as columns.
"""

from __future__ import annotations

import uuid
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import SearchFailed
from . import parallel
from .callbacks import Callbacks
from .candidates import Candidates

if TYPE_CHECKING:
    from pymoo.core.algorithm import Algorithm

    from ..problem import ArchitectureProblem, Evaluator
    from .journal import Journal

Columns = dict[str, np.ndarray]
OUTSIDE = "outside any run"
RUN = "moonas run"  # key in an algorithm's data: the run that it is


class Session:
    """What one run of a stage has besides the stage itself.

    Attributes:
        journal: a :class:`~moonas.run.journal.Journal` that records the run, or None.
        callbacks: list of :class:`~moonas.run.callbacks.RunCallback`.
        seed: of the run; None before it begins.
    """

    def __init__(self) -> None:
        self.journal: Journal | None = None
        self.callbacks = Callbacks()
        self.seed: int | None = None

    def begin(self, seed: int | None, algorithm: str, environment: str) -> None:
        """Start the run in the journal, if there is one, or start to replay it.

        Args:
            seed: of the run.
            algorithm: description; another one is another run.
            environment: what may change the last bits of a result.
        """
        if self.journal is not None:
            self.journal.begin(seed, algorithm, environment)

    def recorded(
        self,
        kind: str,
        request: dict[str, Any],
        compute: Callable[[], dict[str, Any]],
        stateful: Any = None,
        saves: bool = False,
    ) -> dict[str, Any]:
        """The result of a call, from the journal or computed; see :meth:`.Journal.call`."""
        if self.journal is None:
            return compute()
        return self.journal.call(kind, request, compute, stateful, saves)


class SearchSession(Session):
    """The session of a problem: it scores candidates and trains shared weights.

    One run owns the weights of the evaluator at a time; its token is in the data of the algorithm
    that runs. Values that cannot change during a run are computed once per architecture.

    Args:
        problem: an :class:`~moonas.problem.ArchitectureProblem`.

    Attributes:
        token: of the run that owns the weights; ``OUTSIDE`` for weights of no run; None for none.
        generation: the last one of that run whose weights have trained.
    """

    def __init__(self, problem: ArchitectureProblem) -> None:
        super().__init__()
        self._problem = weakref.ref(problem)  # no cycle: a dropped problem frees its journal
        self.token: str | None = None
        self.generation: int | None = None
        self._evaluator: Evaluator | None = None
        self._scores, self._measured = _Cache(), _Cache()
        self._decoded: dict[bytes, tuple[Any, np.ndarray]] = {}  # rows that known() has seen

    @property
    def problem(self) -> ArchitectureProblem:
        """The problem whose session this is."""
        return self._problem()

    @property
    def evaluator(self) -> Evaluator:
        """The problem's evaluator, made at first use.

        Raises:
            TypeError: it lacks a member of :class:`~moonas.problem.Evaluator`.
        """
        if self._evaluator is None:
            self._evaluator = self.problem.checked_evaluator()
        return self._evaluator

    @property
    def has_evaluator(self) -> bool:
        """Whether the evaluator has been made; in another process's copy it has not."""
        return self._evaluator is not None

    @property
    def in_run(self) -> bool:
        """Whether the weights belong to a run, not to an evaluation outside any."""
        return self.token not in (None, OUTSIDE)

    def candidates(self, X: np.ndarray) -> Candidates:
        """The candidates of checked rows X, (n, n_var); each row is decoded and encoded once."""
        if self._decoded:
            found = [self._decoded.get(x.tobytes()) or self._decode(x) for x in X]
        else:
            found = [self._decode(x) for x in X]
        architectures, rows = zip(*found, strict=True)
        return Candidates(X, architectures, np.array(rows))

    def _decode(self, x: np.ndarray) -> tuple[Any, np.ndarray]:
        problem = self.problem
        architecture = problem.decode(x)
        return architecture, problem.encode(architecture)

    def known(self, X: np.ndarray) -> np.ndarray:
        """Which rows of X this run has scored and caches, (n,) bool; none if objectives change."""
        for x in X:
            if x.tobytes() not in self._decoded:
                self._decoded[x.tobytes()] = self._decode(x)
        return np.array([key in self._scores for key in self.candidates(X).keys])

    @contextmanager
    def within(self, algorithm: Algorithm) -> Iterator[None]:
        """The run that a call belongs to; its first call starts it.

        A call that is interrupted may leave weights half trained, so it ends the run.

        Raises:
            ValueError: the algorithm's run does not own the weights.
        """
        token = algorithm.data.get(RUN)
        if token is None and algorithm.is_initialized and self.problem.nonstationary:
            raise ValueError(
                "This run starts from a population that was scored under other weights. "
                'Start from its rows alone: sampling=population.get("X").'
            )
        if token is not None and token != self.token:
            raise ValueError(
                "The weights of this problem do not belong to this algorithm's run: another run "
                "has begun on the problem object since, this one was interrupted, or the algorithm "
                "was loaded from a file. Start again with minimize; with "
                "load_problem(..., journal=FOLDER) that resumes the run."
            )
        try:
            if token is None:
                self._begin_run(algorithm)
            yield
            self._decoded.clear()
        except BaseException:
            self.token = None
            raise

    def _begin_run(self, algorithm: Algorithm) -> None:
        self.token = algorithm.data[RUN] = uuid.uuid4().hex
        seed = algorithm.seed
        self.begin(seed, describe_algorithm(algorithm), self.problem.environment())
        if seed is None:
            seed = np.random.default_rng().integers(2**31)
        self._scores, self._measured = _Cache(), _Cache()
        self._begin_evaluator(int(seed))
        if self.evaluator.trains:
            self._call("train", {"who": "uniform"}, self.evaluator.warm_up, saves=True)

    def _begin_evaluator(self, seed: int) -> None:
        self.seed = seed
        self.evaluator.begin(seed)

    def _call(self, kind, request, compute, saves=False):
        return self.recorded(kind, request, compute, self.evaluator, saves)

    def score(self, candidates: Candidates, kind: str = "score") -> Columns:
        """Columns of candidates, a dict of (n,) arrays, as a call of the run.

        Args:
            candidates: to be scored.
            kind: "score", or "score before" for offspring before a generation's training.

        Raises:
            SearchFailed: all of two or more candidates failed.
        """
        request = {"x": self._plain(candidates.X)}
        columns = self._call(kind, request, lambda: self._score_now(candidates))
        if kind == "score" and len(candidates) > 1 and columns["failed"].all():
            raise SearchFailed(
                f"All {len(candidates)} candidates of a population failed (scores that are not "
                "finite). A lower learning_rate or a smaller clip may help."
            )
        measured = {column.name for column in self.problem.columns if column.measured}
        keys = candidates.keys
        self._measured.add(keys, {name: columns[name] for name in measured})
        if not self.problem.nonstationary:
            self._scores.add(keys, {k: v for k, v in columns.items() if k not in measured})
        self.callbacks.on_scores(candidates, columns)
        return columns

    def train(self, candidates: Candidates) -> dict[str, Any]:
        """Train the shared weights for a generation, on these candidates; the report."""
        request = {"who": self._plain(candidates.X)}
        return self._call("train", request, lambda: self.evaluator.train(candidates), saves=True)

    def score_outside(self, candidates: Candidates) -> Columns:
        """Columns of candidates under the weights there are, recorded nowhere.

        They are those of the run so far, or of the journal's last training; without either,
        untrained ones if objectives change during a run, else trained ones.
        """
        journal = self.journal
        recorded = journal is not None and (self.in_run or journal.has_weights)
        if self.token is None:
            self.token = OUTSIDE
            self._begin_evaluator(0 if journal is None else journal.seed or 0)
            if self.evaluator.trains and not recorded and not self.problem.nonstationary:
                self.evaluator.warm_up()
        if recorded:
            journal.restore(self.evaluator)
        return self._score_now(candidates)

    def _score_now(self, candidates: Candidates) -> Columns:
        """Columns of candidates, computed unless they are cached."""

        def score(part: Candidates) -> Columns:
            problem = self.problem
            columns = parallel.score(
                problem,
                part,
                seed=self.seed,
                journal=self.journal if self.in_run else None,
                on_progress=self.callbacks.on_progress,
            )
            return problem.checked(columns, len(part))

        def measure(part: Candidates) -> Columns:
            columns = self.problem.checked(self.evaluator.measure(part), len(part))
            return {name: values for name, values in columns.items() if name != "failed"}

        if self.problem.nonstationary or not self.in_run:
            columns = score(candidates)
        else:
            columns = self._scores.columns(candidates, score)
        if any(column.measured for column in self.problem.columns):
            columns = columns | self._measured.columns(candidates, measure)
        return columns

    def _plain(self, X: np.ndarray) -> list[Any]:
        """Rows as a journal's request holds them."""
        return [self.problem.genes.to_json(x) for x in X]


class _Cache:
    """Columns of architectures, each computed once."""

    def __init__(self) -> None:
        self._rows: dict[bytes, dict[str, Any]] = {}  # key of an architecture -> {column: value}

    def __contains__(self, key: bytes) -> bool:
        return key in self._rows

    def add(self, keys: Sequence[bytes], columns: Columns) -> None:
        """Keep the columns of the architectures with these keys."""
        for i, key in enumerate(keys):
            self._rows[key] = {name: values[i] for name, values in columns.items()}

    def columns(self, candidates: Candidates, compute: Callable[[Candidates], Columns]) -> Columns:
        """Columns of candidates; ``compute`` is called with those whose keys are new."""
        keys = candidates.keys
        new = {key: i for i, key in enumerate(keys) if key not in self._rows}
        if new:
            self.add(list(new), compute(candidates[list(new.values())]))
        return {name: np.array([self._rows[k][name] for k in keys]) for name in self._rows[keys[0]]}


def describe_algorithm(algorithm: Algorithm) -> str:
    """An algorithm's class, sizes and parts, which tell one run from another."""
    parts = [type(algorithm).__name__]
    for name in ("pop_size", "n_offsprings"):
        if getattr(algorithm, name, None) is not None:
            parts.append(f"{name}={getattr(algorithm, name)}")
    for name in ("survival", "mating"):
        if getattr(algorithm, name, None) is not None:
            parts.append(f"{name}={type(getattr(algorithm, name)).__name__}")
    return " ".join(parts)
