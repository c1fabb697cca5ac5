"""The journal of a run: evaluator calls appended to a file in the run folder, and resume by replay.

A run folder contains

    run.json             identity of the run: problem, settings, seed, algorithm, versions
    journal.jsonl        one line per call: its request, its result, a checksum
    unfinished.jsonl     partial results of the current call, one line per candidate; removed when
                         the call is complete
    times.jsonl          start and duration of each call; not part of the identity of the run
    weights-000012.pt    tensors after the last call that trained, with the number of that call
    lock                 locked by the process that writes the folder

Running the same program again makes the same calls in the same order. Recorded calls are answered
from the journal. At the first call that is not recorded, the weights are loaded and computation
continues. So no algorithm is ever pickled, and the result of a resumed run is bit-identical to that
of an uninterrupted run.
"""

from __future__ import annotations

import json
import os
import time
import warnings
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import filelock

from ..files import write_json
from ..settings import RunSettings, defaults_to_json, free_names, to_json
from .records import (
    DamagedRun,
    Record,
    complete_lines,
    decode_result,
    encode_result,
    read_records,
    remove_incomplete_line,
    to_line,
)
from .versions import installed_versions

if TYPE_CHECKING:
    from torch import Tensor

FORMAT = 1
HEAD, CALLS, TIMES = "run.json", "journal.jsonl", "times.jsonl"
ENVIRONMENT = "where"  # key of the environment in run.json


class RunMismatch(ValueError):
    """A run folder contains a different run than the one that was started in it."""


class RunInUse(ValueError):
    """Another process is writing a run folder."""


class Stateful(Protocol):
    """An object with trainable state, which the journal saves and restores."""

    def state(self) -> dict[str, Tensor]:
        """Return everything that training changes."""

    def load_state(self, state: dict[str, Tensor]) -> None:
        """Restore a state that :meth:`state` returned."""


class Journal:
    """The record of one run.

    Args:
        folder: run folder, created if it does not exist.
        problem: name of the problem.
        settings: settings of the problem. A setting that is missing from an existing run.json was
            added to moonas since, and is taken to have its default value there.
        inputs: checksum of each file that results depend on, by name.

    Raises:
        RunMismatch: the folder contains a run of another problem or with other settings.
        DamagedRun: a file in the folder is corrupt.
        RunInUse: another process is writing the folder.
    """

    def __init__(
        self,
        folder: str | Path,
        *,
        problem: str,
        settings: RunSettings,
        inputs: Mapping[str, str] | None = None,
    ) -> None:
        self.folder = Path(folder)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except (FileExistsError, NotADirectoryError):
            raise ValueError(f"{self.folder} is a file; expected a folder.") from None
        self._lock = filelock.FileLock(self.folder / "lock", is_singleton=True)
        try:
            self._lock.acquire(timeout=0)
        except filelock.Timeout:
            raise RunInUse(
                f"Another process is writing {self.folder}. Wait for it, stop it, or use another "
                "folder."
            ) from None
        self._file = self.folder / CALLS
        self._unfinished = self.folder / "unfinished.jsonl"
        self._free, self._defaults = free_names(settings), defaults_to_json(settings)
        self._identity: dict[str, Any] = {
            "format": FORMAT,
            "problem": problem,
            "settings": to_json(settings),
            "inputs": dict(inputs or {}),
        }
        try:
            self._open()
        except BaseException:
            self.close()
            raise
        self._position: int | None = None  # number of the next call; None before the run begins
        self._weights_to_load: int | None = None  # number of the call that saved them

    def _open(self) -> None:
        self._head = _read_head(self.folder)
        if self._head is not None:
            self._check_identity(self._head, self._identity)
        self._records = _read_calls(self._file, repair=True)
        self._size = self._file.stat().st_size if self._file.exists() else 0
        if self._records and self._head is None:
            raise DamagedRun(f"{self.folder / HEAD} is missing, but {self._file} exists.")
        remove_incomplete_line(self.folder / TIMES)

    def close(self) -> None:
        """Release the lock, so that other processes can write the folder."""
        self._lock.release()

    @property
    def n_calls(self) -> int:
        """Number of recorded calls."""
        return len(self._records)

    @property
    def replaying(self) -> bool:
        """Whether the next call will be answered from the record."""
        return self._position is not None and self._position < len(self._records)

    @property
    def seed(self) -> int | None:
        """Seed of the recorded run; None in a new folder."""
        return None if self._head is None else self._head["seed"]

    def begin(self, seed: int | None, algorithm: str, environment: str = "") -> None:
        """Start the run or, if calls are recorded, start to replay it.

        A warning is issued if ``environment`` or the version of a package has changed since the run
        was started.

        Args:
            seed: seed of the run; None raises an error.
            algorithm: description of everything that identifies the run besides its settings.
            environment: description of everything that may change the last bits of a result, such
                as the device.

        Raises:
            RunMismatch: the folder contains a run with another seed or algorithm.
            ValueError: the seed is None.
        """
        if seed is None:
            raise ValueError(
                "A run with a journal requires a seed, so that it can be resumed: "
                "minimize(..., seed=1)."
            )
        identity: dict[str, Any] = {"seed": int(seed), "algorithm": algorithm}
        current_versions = _versions(environment)
        if self._head is None:
            self._head = self._identity | identity | {"versions": current_versions}
            write_json(self.folder / HEAD, self._head)
        self._check_identity(self._head, identity)
        recorded_versions = self._head["versions"]
        if self._records and recorded_versions != current_versions:
            changes = [
                f"{'environment' if key == ENVIRONMENT else key} {recorded_versions.get(key)} -> "
                f"{value}"
                for key, value in current_versions.items()
                if recorded_versions.get(key) != value
            ]
            warnings.warn(
                f"{self.folder} was started under different conditions ({', '.join(changes)}); "
                "results may differ from those of an uninterrupted run.",
                stacklevel=2,
            )
        self._position, self._weights_to_load = 0, None

    def call(
        self,
        kind: str,
        request: dict[str, Any],
        compute: Callable[[], dict[str, Any]],
        stateful: Stateful | None = None,
        saves: bool = False,
    ) -> dict[str, Any]:
        """Return the result of a call: from the record if it is recorded, else computed.

        A computed result is appended to the record.

        Args:
            kind: kind of the call, such as "train".
            request: JSON-serializable arguments of the call, which must equal the recorded ones.
            compute: function that returns the result, a dict of arrays, numbers and strings.
            stateful: object that ``compute`` trains or evaluates. Its state is restored before the
                first call that is computed.
            saves: whether the call changes the state of ``stateful``, which is then saved.

        Raises:
            RunMismatch: the record contains a different call at this position.
            OSError: the result cannot be written; earlier records are unaffected.
        """
        number = self._position
        assert number is not None, "begin() must be called first"
        if number < len(self._records):
            record = self._records[number]
            self._check_call(number, record, kind, request)
            self._position = number + 1
            if "weights" in record:
                self._weights_to_load = number
            return decode_result(record["result"])
        self.restore(stateful)
        begun, started_at = time.perf_counter(), datetime.now(timezone.utc)
        result = compute()
        computed = time.perf_counter()
        record = {"call": number, "kind": kind, "request": request, "result": encode_result(result)}
        if saves:
            from ..files.tensors import write_tensors

            assert stateful is not None, "saves=True requires stateful"
            record["weights"] = write_tensors(self._weights_file(number), stateful.state(), {})
        self._append(record)
        self._unfinished.unlink(missing_ok=True)
        if saves:
            for path in self.folder.glob("weights-*.pt"):
                if path != self._weights_file(number):
                    path.unlink()
        times = {
            "call": number,
            "kind": kind,
            "at": started_at.isoformat(timespec="milliseconds"),
            "seconds": round(computed - begun, 6),
            "journal_seconds": round(time.perf_counter() - computed, 6),
        }
        with open(self.folder / TIMES, "a", encoding="utf-8") as file:
            file.write(json.dumps(times) + "\n")
        self._position = number + 1
        return decode_result(record["result"])

    def save_partial(self, x: Any, result: dict[str, Any]) -> None:
        """Save the result of one candidate of the current call, in case the call is interrupted.

        Args:
            x: row of the candidate, as a JSON value.
            result: columns of the candidate.
        """
        record = {"call": self._position, "x": x, "result": encode_result(result)}
        with open(self._unfinished, "ab") as file:
            file.write(to_line(record))

    def partial_results(self) -> dict[tuple[Any, ...], dict[str, Any]]:
        """Return what an interrupted attempt at the current call saved: row -> columns.

        Raises:
            DamagedRun: the file of partial results is corrupt.
        """
        advice = "the line is corrupt. Remove the file; its results will be computed again."
        records = read_records(self._unfinished, repair=True, advice=advice)
        return {
            tuple(record["x"]): decode_result(record["result"])
            for record in records
            if record["call"] == self._position
        }

    def restore(self, stateful: Stateful | None) -> None:
        """Load the weights saved by the calls so far, unless they are loaded already.

        Before the run begins, these are the weights at the end of the recorded run.

        Raises:
            DamagedRun: the weights file is corrupt or missing.
            ValueError: the run is being replayed, so the weights of this point no longer exist.
        """
        if self.replaying:
            raise ValueError(
                f"The run in {self.folder} is being replayed, and the weights of this point of the "
                "run no longer exist. Evaluate without an algorithm after the run, not during it."
            )
        if self._position is None:
            saved = [record["call"] for record in self._records if "weights" in record]
            self._weights_to_load = saved[-1] if saved else None
        if self._weights_to_load is not None:
            assert stateful is not None, "recorded weights require stateful"
            stateful.load_state(self._read_weights(self._weights_to_load))
            self._weights_to_load = None

    @property
    def has_weights(self) -> bool:
        """Whether a recorded call saved weights."""
        return any("weights" in record for record in self._records)

    def _check_identity(self, head: dict[str, Any], identity: dict[str, Any]) -> None:
        for key, value in identity.items():
            recorded = head.get(key)
            if key == "settings":
                recorded = self._defaults | head["settings"]
                names = [n for n in value | recorded if n not in self._free]
                _check_same(self.folder, recorded, value, names)
            else:
                _check_same(self.folder, {key: recorded}, {key: value}, [key])

    def _check_call(self, number: int, record: Record, kind: str, request: dict[str, Any]) -> None:
        if record["kind"] == kind and record["request"] == request:
            return
        if record["kind"] == kind:
            key = next(k for k in request if record["request"].get(k) != request[k])
            difference = f"{key!r} of a {kind!r} call differs"
        else:
            difference = f"it is a {kind!r} call, but a {record['kind']!r} call is recorded"
        raise RunMismatch(
            f"Call {number} of this run does not match the one recorded in {self._file}: "
            f"{difference}. The algorithm, its options, the population size or the code has "
            "changed; use another folder for this run."
        )

    def _append(self, record: Record) -> None:
        data = to_line(record)
        with open(self._file, "ab", buffering=0) as file:
            if file.tell() != self._size:
                raise DamagedRun(f"{self._file} was modified by another writer during this run.")
            try:
                rest = memoryview(data)
                while rest:  # a write to a disk that fills up may be partial
                    rest = rest[file.write(rest) :]
                os.fsync(file.fileno())
            except BaseException:
                file.truncate(self._size)
                raise
        self._size += len(data)
        self._records.append(json.loads(data))

    def _weights_file(self, number: int) -> Path:
        return self.folder / f"weights-{number:06d}.pt"

    def _read_weights(self, number: int) -> dict[str, Tensor]:
        from ..files.tensors import read_tensors

        try:
            return read_tensors(
                self._weights_file(number),
                content="weights of this run",
                expected_fingerprint=self._records[number]["weights"],
            )[1]
        except ValueError as error:
            raise DamagedRun(
                f"{error} The run cannot be resumed; start it again in another folder."
            ) from None


def read_run(folder: str | Path) -> tuple[dict[str, Any], list[Record]]:
    """Read the identity and the recorded calls of a run, without locking its folder.

    Returns:
        (head, records): content of run.json, and the recorded calls in order.

    Raises:
        ValueError: the folder contains no run.
        DamagedRun: a file in the folder is corrupt.
    """
    folder = Path(folder)
    head = _read_head(folder)
    if head is None:
        raise ValueError(f"{folder} contains no run: run.json is missing.")
    return head, _read_calls(folder / CALLS)


def total_seconds(folder: str | Path, kind: str) -> float:
    """Return the total time of all calls of a kind in a run, in seconds."""
    return sum((call["seconds"] for call in read_times(folder) if call["kind"] == kind), 0.0)


def read_times(folder: str | Path) -> list[dict[str, Any]]:
    """Read the start and the duration of each call of a run from times.jsonl.

    A last line that is still being written is ignored.

    Returns:
        One dict per call, with the keys call, kind, at (ISO 8601), seconds and journal_seconds.

    Raises:
        DamagedRun: the file is corrupt.
    """
    path = Path(folder) / TIMES
    try:
        times = [json.loads(line) for line in complete_lines(path)]
        for call in times:
            datetime.fromisoformat(call["at"])
            call["kind"], call["seconds"] + call["journal_seconds"]
    except (ValueError, KeyError, TypeError) as error:
        raise DamagedRun(f"{path} is damaged: {error}") from None
    return times


def check_run(folder: str | Path, problem: str, settings: RunSettings, seed: int | None) -> None:
    """Check that a run can start or resume in a folder, without changing the folder.

    Settings that are None are not compared, because they may be determined before the run starts.

    Raises:
        RunMismatch: the folder contains a different run.
        ValueError: the path is a file, or a file in the folder is corrupt.
    """
    folder = Path(folder)
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"{folder} is a file; expected a folder.")
    head = _read_head(folder)
    if head is None:
        return
    identity = {"problem": problem, "seed": seed} | to_json(settings)
    recorded = defaults_to_json(settings) | head["settings"]
    recorded |= {"problem": head["problem"], "seed": head["seed"]}
    free = free_names(settings)
    names = [n for n, value in identity.items() if value is not None and n not in free]
    _check_same(folder, recorded, identity, names)


def _check_same(
    folder: Path, recorded: Mapping[str, Any], current: Mapping[str, Any], names: Iterable[str]
) -> None:
    """Raise :class:`RunMismatch` for the first name whose recorded and current value differ."""
    for name in names:
        old, new = recorded.get(name), current.get(name)
        if old != new:
            raise RunMismatch(
                f"{folder} contains a run with {name}={old!r}, but this run has {name}={new!r}. "
                "Use another folder for this run (--out, journal=), or the recorded value."
            )


def _read_head(folder: Path) -> dict[str, Any] | None:
    path = folder / HEAD
    if not path.exists():
        return None
    try:
        head = json.loads(path.read_text(encoding="utf-8"))
        keys = {"format", "problem", "settings", "inputs", "seed", "algorithm", "versions"}
        valid = isinstance(head, dict) and keys <= set(head)
    except ValueError:
        valid = False
    if not valid:
        raise DamagedRun(f"{path} is damaged: it is not the file that moonas wrote.")
    if head["format"] != FORMAT:
        raise RunMismatch(
            f"{path} has format {head['format']}; this version of moonas reads format {FORMAT}."
        )
    return dict(head)


def _read_calls(path: Path, repair: bool = False) -> list[Record]:
    """Read the recorded calls in order; ``repair`` removes an incomplete last line."""
    advice = "the line is corrupt. The run cannot be used; start it again in another folder."
    records = read_records(path, advice=advice, repair=repair)
    for number, record in enumerate(records):
        if record["call"] != number:
            raise DamagedRun(f"{path} is damaged in line {number + 1}: {advice}")
    return records


def _versions(environment: str) -> dict[str, str | None]:
    return {ENVIRONMENT: environment} | installed_versions()
