"""The session of a problem or a training: journal, callbacks, seed and caches of one run.

A problem defines a search space and its objectives; its session stores the state of a run. The
algorithm passes rows X to ``problem.evaluate``, the session decodes these rows into
:class:`~moonas.run.candidates.Candidates`, and the evaluator returns the columns of the candidates.
"""

from __future__ import annotations

import threading
import time
import uuid
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from ..archive import ARCHIVE_KEY, Archive, population_columns
from ..errors import SearchFailed
from . import parallel
from .callbacks import Callbacks
from .candidates import Candidates
from .monitor import TrainingMonitor

if TYPE_CHECKING:
    from pymoo.core.algorithm import Algorithm

    from ..problem import ArchitectureProblem, Evaluator
    from .journal import Journal

Columns = dict[str, np.ndarray]
OUTSIDE_RUN = "outside any run"
RUN_KEY = "moonas run"  # key of the run in ``algorithm.data``
FAILURES_KEY = "failures"  # key in the result of a call: index of a candidate -> reason


class Session:
    """State of one run of a stage.

    Attributes:
        journal: :class:`~moonas.run.journal.Journal` that records the run, or None.
        callbacks: list of :class:`~moonas.run.callbacks.RunCallback`.
        seed: seed of the run; None before the run begins.
    """

    def __init__(self) -> None:
        self.journal: Journal | None = None
        self.callbacks = Callbacks()
        self.seed: int | None = None

    def begin(self, seed: int | None, algorithm: str, environment: str) -> None:
        """Begin the run in the journal, if the session has a journal; see :meth:`.Journal.begin`.

        Args:
            seed: seed of the run.
            algorithm: description of the algorithm or training; part of the identity of the run.
            environment: description of everything that may change the last bits of a result.
        """
        if self.journal is not None:
            self.journal.begin(seed, algorithm, environment)

    def recorded(
        self,
        kind: str,
        request: dict[str, Any],
        compute: Callable[[], dict[str, Any]],
        stateful: Any = None,
        saves: bool | Callable[[], bool] = False,
    ) -> dict[str, Any]:
        """Compute a call, or return its recorded result; see :meth:`.Journal.call`."""
        if self.journal is None:
            return compute()
        return self.journal.call(kind, request, compute, stateful, saves)


class SearchSession(Session):
    """The session of a problem, which evaluates candidates and trains shared weights.

    Shared weights belong to one run at most. The data of an algorithm contain its :class:`Run`.
    Without shared weights and without a journal, several algorithms can search the problem in turn.
    Calls from several threads wait for each other.

    Args:
        problem: problem to which the session belongs.

    Attributes:
        token: token of the current run; ``OUTSIDE_RUN`` after an evaluation outside any run; None
            before the first evaluation, or if a run was interrupted.
        archive: everything that this run has evaluated; None if objectives change during a run.
        monitor: latest values of the problem's training measures in this run.
        run: the current run, or the last one.
        has_logged_time: whether the evaluator has logged how long a search takes.
    """

    def __init__(self, problem: ArchitectureProblem) -> None:
        super().__init__()
        self._problem = weakref.ref(problem)  # a strong reference would keep the journal locked
        self.token: str | None = None
        self.archive: Archive | None = None
        self.monitor = TrainingMonitor((), self.callbacks)
        self._lock = threading.RLock()
        self._said_outside = False
        self._evaluator: Evaluator | None = None
        self.run = Run(None)
        self.has_logged_time = False
        # rows passed to already_scored()
        self._decoded_rows: dict[bytes, tuple[Any, np.ndarray]] = {}

    @property
    def problem(self) -> ArchitectureProblem:
        """The problem to which the session belongs."""
        problem = self._problem()
        assert problem is not None, "the problem owns its session"
        return problem

    @property
    def evaluator(self) -> Evaluator:
        """The evaluator of the problem, created on first use.

        Raises:
            TypeError: the evaluator lacks a member of :class:`~moonas.problem.Evaluator`.
        """
        if self._evaluator is None:
            self._evaluator = self.problem.checked_evaluator()
        return self._evaluator

    @property
    def has_evaluator(self) -> bool:
        """Whether the evaluator has been created; a copy of the session has none at first."""
        return self._evaluator is not None

    @property
    def in_run(self) -> bool:
        """Whether the weights belong to a run, as opposed to an evaluation outside any run."""
        return self.token not in (None, OUTSIDE_RUN)

    def candidates(self, X: np.ndarray) -> Candidates:
        """Decode rows to candidates; each row is decoded and encoded once.

        Args:
            X: (n, n_var) valid rows.
        """
        if self._decoded_rows:
            decoded = [self._decoded_rows.get(x.tobytes()) or self._decode(x) for x in X]
        else:
            decoded = [self._decode(x) for x in X]
        if not decoded:
            return Candidates(X, (), X)
        architectures, rows = zip(*decoded, strict=True)
        return Candidates(X, architectures, np.array(rows))

    def _decode(self, x: np.ndarray) -> tuple[Any, np.ndarray]:
        problem = self.problem
        architecture = problem.decode(x)
        return architecture, problem.encode(architecture)

    def already_scored(self, X: np.ndarray, run: Run) -> np.ndarray:
        """Check for each row whether its architecture has already been evaluated in a run.

        Args:
            X: (n, n_var) valid rows.
            run: a run of this problem.

        Returns:
            (n,) bool; all False if the objectives change during the run.
        """
        for x in X:
            if x.tobytes() not in self._decoded_rows:
                self._decoded_rows[x.tobytes()] = self._decode(x)
        return np.array([key in run.scores for key in self.candidates(X).keys])

    @contextmanager
    def run_of(self, algorithm: Algorithm, candidates: Candidates | None = None) -> Iterator[None]:
        """Return a context manager for one call by an algorithm; the first call begins its run.

        An exception in the context ends the run, because the training of the weights may have been
        interrupted.

        Args:
            algorithm: algorithm that evaluates the problem.
            candidates: candidates of this call; in the first call, the first population. None if
                the run begins before the first population is known.

        Raises:
            ValueError: the problem is in use by the run of another algorithm.
        """
        with self._lock:
            run = algorithm.data.get(RUN_KEY)
            if run is None and algorithm.is_initialized and self.problem.nonstationary:
                raise ValueError(
                    "The initial population was evaluated with different weights. Pass only its "
                    'rows to the algorithm: sampling=population.get("X").'
                )
            if run is not None and run.token != self.token:
                self._return_to(run, algorithm)
            try:
                if run is None:
                    self._begin_run(algorithm, candidates)
                replays = self.journal is not None and (run is None or self.journal.replaying)
                yield
                if replays:
                    self._correct_start_time(algorithm)
                self._decoded_rows.clear()
            except BaseException:
                self.token = None
                raise

    def _return_to(self, run: Run, algorithm: Algorithm) -> None:
        """Continue the run of an algorithm after another one, or after it was loaded from a file.

        Raises:
            ValueError: the problem has shared weights, which only one run can train, or a journal,
                which records one run.
        """
        if self.evaluator.trains:
            raise ValueError(
                "The weights of this problem do not belong to the run of this algorithm: another "
                "run of this problem has started since then, this run was interrupted, or the "
                "algorithm was loaded from a file. Call minimize again; with "
                "load_problem(..., journal=FOLDER), this resumes the run."
            )
        if self.journal is not None:
            raise ValueError(
                f"The run of this algorithm was interrupted, or the journal in "
                f"{self.journal.folder} has recorded another run since. Call minimize again with "
                "the same arguments to resume the run; use a problem of its own for each algorithm."
            )
        assert run.seed is not None, "only the run outside any algorithm has no seed"
        if self.seed != run.seed:
            self._begin_evaluator(run.seed)
        self.token, self.run = run.token, run
        self.archive = algorithm.data.get(ARCHIVE_KEY)
        self.monitor = TrainingMonitor(self.problem.training_measures, self.callbacks)

    def _correct_start_time(self, algorithm: Algorithm) -> None:
        """Make time limits of pymoo count the recorded time of a run that is replayed.

        While calls are replayed, no time limit ends the run, as it did not end there before.
        """
        assert self.journal is not None
        seconds = 0.0 if self.journal.replaying else self.journal.elapsed_seconds
        algorithm.start_time = time.time() - seconds

    def _begin_run(self, algorithm: Algorithm, candidates: Candidates | None) -> None:
        seed = algorithm.seed
        self.begin(seed, describe_algorithm(algorithm), self.problem.environment())
        if seed is None:
            seed = np.random.default_rng().integers(2**31)
        self.run = algorithm.data[RUN_KEY] = Run(int(seed))
        self.token = self.run.token
        self.archive = algorithm.data[ARCHIVE_KEY] = self._new_archive(algorithm)
        self.monitor = TrainingMonitor(self.problem.training_measures, self.callbacks)
        self._begin_evaluator(int(seed))
        if self.evaluator.trains:
            warm_up = self.evaluator.warm_up
            # an evaluator that does not derive from Evaluator may lack the method
            if candidates is not None and hasattr(self.evaluator, "warm_up_for"):
                warm_up = partial(self.evaluator.warm_up_for, candidates)
            self._train({"who": "uniform"}, warm_up)

    def _new_archive(self, algorithm: Algorithm) -> Archive | None:
        """Return an archive with the start population if that was evaluated before the run."""
        if self.problem.nonstationary:
            return None
        archive = Archive()
        population = algorithm.pop
        if population is not None and len(population) and "F" in population[0].evaluated:
            columns = population_columns(self.problem, population)
            if set(self.problem.settings.used_columns) <= set(columns):
                archive.add(population.get("X").astype(self.problem.genes.dtype), columns)
        return archive

    def _begin_evaluator(self, seed: int) -> None:
        self.seed = seed
        self.evaluator.begin(seed)

    def _call(
        self,
        kind: str,
        request: dict[str, Any],
        compute: Callable[[], dict[str, Any]],
        saves: bool = False,
    ) -> dict[str, Any]:
        return self.recorded(kind, request, compute, self.evaluator, saves)

    def score(self, candidates: Candidates, kind: str = "score") -> Columns:
        """Evaluate candidates in a run; the journal records the call.

        Args:
            candidates: n candidates.
            kind: kind of the call in the journal: "score", or "score before" if the offspring are
                evaluated before the shared weights are trained in this generation.

        Returns:
            Name -> (n,) values of each column; ``failed`` is (n,) bool.

        Raises:
            SearchFailed: there are at least two candidates, and all candidates failed.
        """
        request = {"x": self._rows_to_json(candidates.X)}

        def compute() -> dict[str, Any]:
            new: dict[bytes, str] = {}
            columns = self._score_now(candidates, new)
            failures = {str(i): new[k] for i, k in enumerate(candidates.keys) if k in new}
            return columns | {FAILURES_KEY: failures} if failures else columns

        columns = self._call(kind, request, compute)
        failures = columns.pop(FAILURES_KEY, {})
        if kind == "score" and len(candidates) > 1 and columns["failed"].all():
            self._raise_search_failed(candidates, failures)
        self.run.failures |= {candidates.keys[int(i)]: text for i, text in failures.items()}
        measured = {column.name for column in self.problem.columns if column.measured}
        keys = candidates.keys
        if measured:
            self.run.measurements.add(keys, {name: columns[name] for name in measured})
        if not self.problem.nonstationary:
            self.run.scores.add(keys, {k: v for k, v in columns.items() if k not in measured})
        if self.archive is not None:
            self.archive.add(candidates.X, columns, keys)
        if kind == "score":
            self.monitor.update_from_columns(columns)
        self.callbacks.on_scores(candidates, columns)
        return columns

    def _raise_search_failed(self, candidates: Candidates, failures: dict[str, str]) -> None:
        n = len(candidates)
        if failures:
            raise SearchFailed(
                f"All {n} candidates of a population failed. The first reason: "
                f"{next(iter(failures.values()))}"
            ) from self.run.last_error
        raise SearchFailed(
            f"All {n} candidates of a population failed: their scores are not finite. A lower "
            "learning_rate or a smaller clip may help."
        )

    def train(self, candidates: Candidates) -> dict[str, Any]:
        """Train the shared weights for one generation; the journal records the call.

        Args:
            candidates: candidates whose shared weights are trained.

        Returns:
            Training report of the evaluator, a JSON-serializable dict.
        """
        request = {"who": self._rows_to_json(candidates.X)}
        return self._train(request, lambda: self.evaluator.train(candidates))

    def _train(
        self, request: dict[str, Any], compute: Callable[[], dict[str, Any]]
    ) -> dict[str, Any]:
        """Train or replay a training, pass its report to the callbacks, and return it."""
        report = self._call("train", request, compute, saves=True)
        self.monitor.update_from_report(report)
        self.callbacks.on_training(report)
        return report

    def score_outside_run(self, candidates: Candidates) -> Columns:
        """Evaluate candidates with the current weights, without recording the result.

        The weights come from the current run or, outside a run, from the journal. If neither has
        weights, the weights are untrained if the objectives change during a run; otherwise
        ``warm_up`` of the evaluator trains them.

        Args:
            candidates: n candidates.

        Returns:
            Name -> (n,) values of each column; ``failed`` is (n,) bool.
        """
        if self.in_run and self.problem.nonstationary and not self._said_outside:
            self._said_outside = True
            self.callbacks.on_log(
                "problem.evaluate(X) scores candidates with the current weights. It trains nothing "
                "and is not recorded; algorithm.evaluator.eval(problem, infills) is part of the "
                "run."
            )
        with self._lock:
            self.prepare_outside_run()
            return self._score_now(candidates)

    def prepare_outside_run(self) -> None:
        """Give the evaluator the weights for an evaluation that is not recorded.

        See :meth:`score_outside_run`.
        """
        journal = self.journal
        use_recorded = journal is not None and (self.in_run or journal.has_weights)
        if self.token is None:
            self.token = OUTSIDE_RUN
            self._begin_evaluator(0 if journal is None else journal.seed or 0)
            if self.evaluator.trains and not use_recorded and not self.problem.nonstationary:
                self.evaluator.warm_up()
        if journal is not None and use_recorded:
            journal.restore(self.evaluator)

    def _score_now(
        self, candidates: Candidates, failures: dict[bytes, str] | None = None
    ) -> Columns:
        """Return the columns of candidates; columns that are not cached are computed.

        Args:
            candidates: n candidates.
            failures: dict to which the key of each candidate that cannot be evaluated is added,
                with the reason; by default, exceptions are raised.
        """

        def score(part: Candidates) -> Columns:
            problem = self.problem
            assert self.seed is not None, "begin() of the evaluator sets the seed before scoring"

            def on_failure(i: int, failure: parallel.Failure) -> None:
                assert failures is not None
                failures[part.keys[i]] = failure.reason
                self.run.last_error = failure.error
                self.callbacks.on_log(f"Failed: {part.architectures[i]}. {failure.reason}")

            columns = parallel.score(
                problem,
                part,
                seed=self.seed,
                journal=self.journal if self.in_run else None,
                on_progress=self.callbacks.on_progress,
                on_failure=None if failures is None else on_failure,
            )
            return problem.checked(columns, len(part))

        def measure(part: Candidates) -> Columns:
            known = np.array([key not in (failures or {}) for key in part.keys])
            columns = {
                column.name: np.full(
                    len(part), np.nan if column.bounds is None else column.bounds[1]
                )
                for column in self.problem.columns
                if column.measured
            }
            if known.any():  # a candidate that failed cannot be measured
                measured = self.evaluator.measure(part[np.flatnonzero(known)])
                for name, values in self.problem.checked(measured, int(known.sum())).items():
                    if name != "failed":
                        columns[name][known] = values
            return columns

        if self.problem.nonstationary or not self.in_run:
            columns = score(candidates)
        else:
            columns = self.run.scores.columns(candidates, score)
        if any(column.measured for column in self.problem.columns):
            columns = columns | self.run.measurements.columns(candidates, measure)
        return columns

    def _rows_to_json(self, X: np.ndarray) -> list[Any]:
        """Convert rows of genes to a JSON value, to be recorded in the journal."""
        return [self.problem.genes.to_json(x) for x in X]


class Run:
    """State of the run of one algorithm, which is kept in the data of the algorithm.

    Values that cannot change during a run are computed once per architecture.

    Args:
        seed: seed of the run; None outside any run.

    Attributes:
        token: unique text.
        scores: columns of architectures if objectives do not change during a run.
        measurements: measured columns of architectures.
        generation: index of the last generation in which the shared weights were trained.
        failures: key of each architecture that could not be evaluated -> reason.
        last_error: the last exception of an evaluation, if it was raised in this process.
    """

    def __init__(self, seed: int | None) -> None:
        self.seed = seed
        self.token = uuid.uuid4().hex
        self.generation = 1
        self.failures: dict[bytes, str] = {}
        self.last_error: BaseException | None = None
        self.scores, self.measurements = _Cache(), _Cache()

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"last_error": None}  # not every exception can be pickled

    def __deepcopy__(self, memo: dict[int, Any]) -> Run:
        return self  # pymoo copies the data of an algorithm into its history


class _Cache:
    """A cache of column values, one entry per architecture.

    Values are kept in arrays, since a Python object per value would take several times as much
    memory in a run that evaluates many architectures.
    """

    def __init__(self) -> None:
        # names and types of columns -> the rows with these columns
        self._tables: dict[tuple[tuple[str, np.dtype], ...], _GrowingTable] = {}

    def __contains__(self, key: bytes) -> bool:
        return any(key in table.indices for table in self._tables.values())

    def add(self, keys: Sequence[bytes], columns: Columns) -> None:
        """Store the columns of architectures.

        Args:
            keys: keys of n architectures.
            columns: name -> (n,) values.
        """
        arrays = {name: np.asarray(values) for name, values in columns.items()}
        signature = tuple((name, values.dtype) for name, values in arrays.items())
        if signature not in self._tables:
            self._tables[signature] = _GrowingTable(signature)
        for other, table in self._tables.items():
            if other != signature:
                for key in keys:
                    table.indices.pop(key, None)
        self._tables[signature].add(keys, arrays)

    def columns(self, candidates: Candidates, compute: Callable[[Candidates], Columns]) -> Columns:
        """Return the columns of candidates, from the cache if possible.

        Args:
            candidates: n candidates.
            compute: function (candidates) -> columns. It is called at most once, with one candidate
                for each key that is not cached.

        Returns:
            Name -> (n,) values.
        """
        keys = candidates.keys
        new = {key: i for i, key in enumerate(keys) if key not in self}
        if new:
            self.add(list(new), compute(candidates[list(new.values())]))
        rows = [self._row(key) for key in keys]
        # results that an earlier version recorded lack the columns that were added since
        names = dict.fromkeys(name for row in rows for name in row)
        return {name: np.array([row.get(name, np.nan) for row in rows]) for name in names}

    def _row(self, key: bytes) -> dict[str, Any]:
        table = next(table for table in self._tables.values() if key in table.indices)
        i = table.indices[key]
        return {name: values[i] for name, values in table.arrays.items()}


class _GrowingTable:
    """Columns of a fixed type; the room for rows is doubled when it is used up.

    Args:
        signature: name and type of each column.
    """

    def __init__(self, signature: tuple[tuple[str, np.dtype], ...]) -> None:
        self.indices: dict[bytes, int] = {}  # key of an architecture -> index of its row
        self.arrays = {name: np.empty(8, dtype) for name, dtype in signature}
        self._n = 0  # number of rows, including those that a later row has replaced

    def add(self, keys: Sequence[bytes], columns: Columns) -> None:
        rows = []
        for key in keys:
            row = self.indices.setdefault(key, self._n)
            self._n += row == self._n
            rows.append(row)
        for name, values in self.arrays.items():
            if self._n > len(values):
                room = np.empty(max(self._n, 2 * len(values)), values.dtype)
                room[: len(values)] = values
                self.arrays[name] = room
            self.arrays[name][rows] = columns[name]


def describe_algorithm(algorithm: Algorithm) -> str:
    """Describe an algorithm by its class, population sizes, survival and mating.

    The journal records the description, and a run with a different description is not resumed.
    """
    parts = [type(algorithm).__name__]
    for name in ("pop_size", "n_offsprings"):
        if getattr(algorithm, name, None) is not None:
            parts.append(f"{name}={getattr(algorithm, name)}")
    for name in ("survival", "mating"):
        if getattr(algorithm, name, None) is not None:
            parts.append(f"{name}={type(getattr(algorithm, name)).__name__}")
    return " ".join(parts)
