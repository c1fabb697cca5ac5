"""The run folder: every evaluator call appended to a file, the weights beside it; resume is replay.

    run.json             what was asked: problem, settings, seed, algorithm, versions
    journal.jsonl        one line per call: its request, its result, a checksum
    unfinished.jsonl     what a call has computed so far, one line per candidate; goes with the call
    times.jsonl          when each call was made and how long it took; no part of its identity
    weights-000012.pt    tensors after the last call that trained, by the number of that call
    lock                 held by the process that writes

Running the same program again makes the same calls in the same order. Those that are recorded are
answered from the record; at the first one that is not, the weights are loaded and the work goes on.
So no algorithm is ever pickled, and the result is bit-identical to that of an uninterrupted run.
"""

from __future__ import annotations

import json
import os
import time
import warnings
from collections.abc import Callable, Iterable
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import filelock

from ..files import write_json
from ..settings import RunSettings, defaults_to_json, free_names, to_json
from .records import (
    DamagedRun,
    Record,
    cut_torn_line,
    decode_result,
    encode_result,
    read_records,
    to_line,
    whole_lines,
)
from .versions import installed_versions

if TYPE_CHECKING:
    from torch import Tensor

FORMAT = 1
HEAD, CALLS, TIMES = "run.json", "journal.jsonl", "times.jsonl"


class RunMismatch(ValueError):
    """A run folder holds another run than the one that was started on it."""


class RunInUse(ValueError):
    """Another process writes a run folder."""


class Stateful(Protocol):
    """Something that trains, and whose state the journal saves and restores."""

    def state(self) -> dict[str, Tensor]:
        """Everything that training changes."""

    def load_state(self, state: dict[str, Tensor]) -> None:
        """Restore what :meth:`state` returned."""


class Journal:
    """The record of one run.

    Args:
        folder: made if it is missing.
        problem: its name.
        settings: its Settings. A setting that the run.json of the folder lacks is one that was
            added since, and counts as having its default.
        inputs: checksums by name of the files that scores depend on.

    Raises:
        RunMismatch: the folder holds a run of another problem or with other settings.
        DamagedRun: a file in it is damaged.
        RunInUse: another process writes it.
    """

    def __init__(
        self,
        folder: str | Path,
        *,
        problem: str,
        settings: RunSettings,
        inputs: dict[str, str] | None = None,
    ):
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
        self._asked = {
            "format": FORMAT,
            "problem": problem,
            "settings": to_json(settings),
            "inputs": inputs or {},
        }
        try:
            self._open()
        except BaseException:
            self.close()
            raise
        self._position = None  # of the next call; None before the run begins
        self._behind = None  # number of the call whose weights are still to be loaded

    def _open(self):
        self._head = _read_head(self.folder)
        if self._head is not None:
            self._compare(self._asked)
        self._records = _read_calls(self._file, repair=True)
        self._size = self._file.stat().st_size if self._file.exists() else 0
        if self._records and self._head is None:
            raise DamagedRun(f"{self.folder / HEAD} is missing, but {self._file} is there.")
        cut_torn_line(self.folder / TIMES)

    def close(self) -> None:
        """Let other processes write the folder."""
        self._lock.release()

    @property
    def n_calls(self) -> int:
        """Number of recorded calls."""
        return len(self._records)

    @property
    def replaying(self) -> bool:
        """Whether the next call is answered from the record."""
        return self._position is not None and self._position < len(self._records)

    @property
    def seed(self) -> int | None:
        """The seed of the recorded run; None in a new folder."""
        return None if self._head is None else self._head["seed"]

    def begin(self, seed: int | None, algorithm: str, environment: str = "") -> None:
        """Start the run, or start to replay it.

        Args:
            seed: of the algorithm; None is refused.
            algorithm: a description of everything that would give another run if it differed.
            environment: a description of what may change the last bits of a score. If it has
                changed since the run was begun, a warning says so.

        Raises:
            RunMismatch: the folder holds a run with another seed or algorithm.
            ValueError: there is no seed.
        """
        if seed is None:
            raise ValueError(
                "A run with a journal needs a seed, so that it can be resumed: "
                "minimize(..., seed=1)."
            )
        started = {"seed": int(seed), "algorithm": algorithm}
        if self._head is None:
            self._head = self._asked | started | {"versions": _versions(environment)}
            write_json(self.folder / HEAD, self._head)
        self._compare(started)
        old, new = self._head["versions"], _versions(environment)
        if self._records and old != new:
            changed = [f"{k} {old.get(k)} -> {new[k]}" for k in new if old.get(k) != new[k]]
            warnings.warn(
                f"{self.folder} was begun under other circumstances ({', '.join(changed)}); what "
                "follows may differ from an uninterrupted run.",
                stacklevel=2,
            )
        self._position, self._behind = 0, None

    def call(
        self,
        kind: str,
        request: dict[str, Any],
        compute: Callable[[], dict[str, Any]],
        stateful: Stateful | None = None,
        saves: bool = False,
    ) -> dict[str, Any]:
        """The result of a call: from the record if it is there, else computed and recorded.

        Args:
            kind: of the call, such as "train".
            request: dict that JSON can hold; must equal the recorded one.
            compute: returns a dict of arrays, numbers and strings.
            stateful: what the call trains or evaluates.
            saves: the call changes the state of ``stateful``, which is saved with it.

        Raises:
            RunMismatch: the record has another call at this place.
            OSError: the result cannot be written; what was recorded before stays good.
        """
        number = self._position
        if number < len(self._records):
            record = self._records[number]
            self._check_call(number, record, kind, request)
            self._position += 1
            if "weights" in record:
                self._behind = number
            return decode_result(record["result"])
        self.restore(stateful)
        begun, started = time.perf_counter(), datetime.now(timezone.utc)
        result = compute()
        computed = time.perf_counter()
        record = {"call": number, "kind": kind, "request": request, "result": encode_result(result)}
        if saves:
            from ..files.tensors import write_tensors

            record["weights"] = write_tensors(self._weights(number), stateful.state(), {})
        self._append(record)
        self._unfinished.unlink(missing_ok=True)
        if saves:
            for path in self.folder.glob("weights-*.pt"):
                if path != self._weights(number):
                    path.unlink()
        times = {
            "call": number,
            "kind": kind,
            "at": started.isoformat(timespec="milliseconds"),
            "seconds": round(computed - begun, 6),
            "journal_seconds": round(time.perf_counter() - computed, 6),
        }
        with open(self.folder / TIMES, "a", encoding="utf-8") as file:
            file.write(json.dumps(times) + "\n")
        self._position += 1
        return decode_result(record["result"])

    def save_partial(self, x: list, result: dict[str, Any]) -> None:
        """Save what the present call has found for one row, in case it is interrupted."""
        record = {"call": self._position, "x": x, "result": encode_result(result)}
        with open(self._unfinished, "ab") as file:
            file.write(to_line(record))

    def partial_results(self) -> dict[tuple, dict[str, Any]]:
        """What an interrupted attempt at the present call saved: columns by row, a tuple.

        Raises:
            DamagedRun: the file holds something else than what was written.
        """
        advice = "remove the file, and what it holds is computed again."
        records = read_records(self._unfinished, repair=True, advice=advice)
        return {
            tuple(record["x"]): decode_result(record["result"])
            for record in records
            if record["call"] == self._position
        }

    def restore(self, stateful: Stateful | None) -> None:
        """Load the weights that the calls so far have led to, unless they are loaded already.

        Raises:
            DamagedRun: the weights file is damaged or missing.
            ValueError: the run is being replayed, and its weights of this moment are gone.
        """
        if self.replaying:
            raise ValueError(
                f"The run in {self.folder} is being replayed, and the weights of this moment are "
                "gone; evaluate without an algorithm after the run, not during it."
            )
        if self._position is None:  # no run yet: the weights of its end
            saved = [r["call"] for r in self._records if "weights" in r]
            self._behind = saved[-1] if saved else None
        if self._behind is not None:
            stateful.load_state(self._read_weights(self._behind))
            self._behind = None

    @property
    def has_weights(self) -> bool:
        """Whether any recorded call has trained."""
        return any("weights" in record for record in self._records)

    def _compare(self, asked):
        for key, value in asked.items():
            recorded = self._head.get(key)
            if key == "settings":
                recorded = self._defaults | recorded
                names = [n for n in value | recorded if n not in self._free]
                _check_same(self.folder, recorded, value, names)
            else:
                _check_same(self.folder, {key: recorded}, {key: value}, [key])

    def _check_call(self, number, record, kind, request):
        if record["kind"] == kind and record["request"] == request:
            return
        what = kind
        if record["kind"] == kind:
            what = next(k for k in request if record["request"].get(k) != request[k])
        raise RunMismatch(
            f"Call {number} of the run differs from the one recorded in {self._file}: it asks to "
            f"{kind!r} with another {what!r}. The algorithm, its options, the number of rows or "
            "the code have changed since; give this run a folder of its own."
        )

    def _append(self, record):
        data = to_line(record)
        with open(self._file, "ab", buffering=0) as file:
            if file.tell() != self._size:
                raise DamagedRun(
                    f"{self._file} was changed by someone else while this run wrote it."
                )
            try:
                rest = memoryview(data)
                while rest:  # a disk that fills up takes a part of it first
                    rest = rest[file.write(rest) :]
                os.fsync(file.fileno())
            except BaseException:
                file.truncate(self._size)
                raise
        self._size += len(data)
        self._records.append(json.loads(data))

    def _weights(self, number):
        return self.folder / f"weights-{number:06d}.pt"

    def _read_weights(self, number):
        from ..files.tensors import read_tensors

        check = self._records[number]["weights"]
        try:
            return read_tensors(self._weights(number), holds="weights of this run", check=check)[1]
        except ValueError as error:
            raise DamagedRun(
                f"{error} The run cannot go on; start it again in another folder."
            ) from None


def read_run(folder: str | Path) -> tuple[dict[str, Any], list[Record]]:
    """What a run folder was asked and what it recorded, without locking it.

    Returns:
        (head, records): the dict of run.json, and the list of recorded calls.

    Raises:
        ValueError: the folder holds no run.
        DamagedRun: a file in it is damaged.
    """
    folder = Path(folder)
    head = _read_head(folder)
    if head is None:
        raise ValueError(f"{folder} holds no run: it has no run.json.")
    return head, _read_calls(folder / CALLS)


def seconds_of(folder: str | Path, kind: str) -> float:
    """Seconds that the calls of a kind took in a run, all parts of it together."""
    return sum(one["seconds"] for one in read_times(folder) if one["kind"] == kind)


def read_times(folder: str | Path) -> list[dict[str, Any]]:
    """When each call of a run was made and how long it took, a list of dicts; see times.jsonl.

    A last line that is still being written is left out.

    Raises:
        DamagedRun: the file is damaged.
    """
    path = Path(folder) / TIMES
    try:
        times = [json.loads(line) for line in whole_lines(path)]
        for one in times:
            datetime.fromisoformat(one["at"])
            one["kind"], one["seconds"] + one["journal_seconds"]
    except (ValueError, KeyError, TypeError) as error:
        raise DamagedRun(f"{path} is damaged: {error}") from None
    return times


def check_run(folder: str | Path, problem: str, settings: RunSettings, seed: int | None) -> None:
    """Raise unless a run of a problem could begin, or go on, in a folder; it is not changed.

    Settings that are None are not compared: they may be filled in before the run.

    Raises:
        RunMismatch: the folder holds another run.
        ValueError: it is a file, or damaged.
    """
    folder = Path(folder)
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"{folder} is a file; expected a folder.")
    head = _read_head(folder)
    if head is None:
        return
    asked = {"problem": problem, "seed": seed} | to_json(settings)
    recorded = defaults_to_json(settings) | head["settings"]
    recorded |= {"problem": head["problem"], "seed": head["seed"]}
    free = free_names(settings)
    names = [n for n, value in asked.items() if value is not None and n not in free]
    _check_same(folder, recorded, asked, names)


def _check_same(folder: Path, recorded: dict, asked: dict, names: Iterable[str]) -> None:
    """Raise a :class:`RunMismatch` for the first of some names that has two values."""
    for name in names:
        old, new = recorded.get(name), asked.get(name)
        if old != new:
            raise RunMismatch(
                f"{folder} holds a run with {name}={old!r}; this one has {name}={new!r}. "
                "Give this one a folder of its own (--out, journal=), or ask for the same."
            )


def _read_head(folder):
    path = folder / HEAD
    if not path.exists():
        return None
    try:
        head = json.loads(path.read_text(encoding="utf-8"))
        wanted = {"format", "problem", "settings", "inputs", "seed", "algorithm", "versions"}
        good = isinstance(head, dict) and wanted <= set(head)
    except ValueError:
        good = False
    if not good:
        raise DamagedRun(f"{path} is damaged: it is not what moonas wrote.")
    if head["format"] != FORMAT:
        raise RunMismatch(
            f"{path} has format {head['format']}; this version of moonas reads format {FORMAT}."
        )
    return head


def _read_calls(path, repair=False):
    """The recorded calls, in order; ``repair`` removes a torn last line from the file."""
    advice = (
        "it is not what was written. The run cannot be trusted; start it again in another folder."
    )
    records = read_records(path, advice=advice, repair=repair)
    for number, record in enumerate(records):
        if record["call"] != number:
            raise DamagedRun(f"{path} is damaged in line {number + 1}: {advice}")
    return records


def _versions(environment):
    return {"where": environment} | installed_versions()
