"""The run folder: every evaluator call appended to a file, the weights beside it; resume is replay.

    run.json             what was asked: problem, settings, seed, algorithm, versions
    journal.jsonl        one line a call: its request, its result, a checksum
    unfinished.jsonl     what a call has computed so far, one line a candidate; goes with the call
    times.jsonl          when each call was made and how long it took; no part of its identity
    weights-000012.pt    tensors after the last call that trained, by the number of that call
    lock                 held by the process that writes

Running the same program again asks the same calls in the same order. Those that are recorded are
answered from the record; at the first one that is not, the weights are loaded and the work goes on.
So no algorithm is ever pickled, and the result is bit-identical to that of an uninterrupted run.
"""

import hashlib
import io
import json
import math
import os
import time
import warnings
import zlib
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import filelock
import numpy as np

from ..files import write_atomically
from ..settings import free_names, to_json

FORMAT = 1
PACKAGES = ("moonas", "pymoo", "moocore", "numpy", "torch", "torchvision")


class RunMismatch(ValueError):
    """A run folder holds another run than the one that was started on it."""


class DamagedRun(ValueError):
    """A file of a run folder is not what was written."""


class RunInUse(ValueError):
    """Another process writes a run folder."""


class Journal:
    """The record of one run.

    Args:
        folder: made if it is missing.
        problem: its name.
        settings: its Settings.
        inputs: checksums by name of files that scores depend on.

    Raises:
        RunMismatch: the folder holds a run of another problem or with other settings.
        DamagedRun: a file in it is damaged.
        RunInUse: another process writes it.
    """

    def __init__(self, folder, *, problem, settings, inputs=None):
        self.folder = Path(folder)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except (FileExistsError, NotADirectoryError):
            raise ValueError(f"{self.folder} is a file; a run wants a folder.") from None
        self._lock = filelock.FileLock(self.folder / "lock", is_singleton=True)
        try:
            self._lock.acquire(timeout=0)
        except filelock.Timeout:
            raise RunInUse(
                f"Another process is writing {self.folder}. Wait for it, stop it, or use another "
                "folder."
            ) from None
        self._file = self.folder / "journal.jsonl"
        self._unfinished = self.folder / "unfinished.jsonl"
        self._free = free_names(settings)
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
        self._records, self._size = _read_records(self._file)
        if self._records and self._head is None:
            raise DamagedRun(f"{self.folder / 'run.json'} is missing, but {self._file} is there.")
        _cut_torn_line(self.folder / "times.jsonl")

    def close(self):
        """Let other processes write the folder."""
        self._lock.release()

    @property
    def n_calls(self):
        """Number of recorded calls."""
        return len(self._records)

    @property
    def replaying(self):
        """Whether the next call is answered from the record."""
        return self._position is not None and self._position < len(self._records)

    @property
    def seed(self):
        """The seed of the recorded run; None in a new folder."""
        return None if self._head is None else self._head["seed"]

    def begin(self, seed, algorithm, where=""):
        """Start the run, or start to replay it.

        Args:
            seed: of the algorithm; needed.
            algorithm: in words, what would give another run if it were different.
            where: in words, what may change the last bits of a score.
        """
        if seed is None:
            raise ValueError(
                "A run with a journal needs a seed, so that it can be resumed: "
                "minimize(..., seed=1)."
            )
        started = {"seed": int(seed), "algorithm": algorithm}
        if self._head is None:
            self._head = self._asked | started | {"versions": _versions(where)}
            text = json.dumps(self._head, indent=1) + "\n"
            write_atomically(self.folder / "run.json", text.encode())
        self._compare(started)
        old, new = self._head["versions"], _versions(where)
        if self._records and old != new:
            changed = [f"{k} {old.get(k)} -> {new[k]}" for k in new if old.get(k) != new[k]]
            warnings.warn(
                f"{self.folder} was begun under other circumstances ({', '.join(changed)}); what "
                "follows may differ from an uninterrupted run.",
                stacklevel=2,
            )
        self._position, self._behind = 0, None

    def call(self, kind, request, compute, holder=None, saves=False):
        """The result of a call: from the record where it is there, else computed and recorded.

        Args:
            kind: a word.
            request: dict that JSON can hold; must equal the recorded one.
            compute: () -> dict of arrays, numbers and strings.
            holder: object with ``state()`` -> dict of tensors and ``load_state(state)``.
            saves: the call changes the holder's state, which is saved with it.

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
            return _from_json(record["result"])
        self.settle(holder)
        begun, started = time.perf_counter(), datetime.now(timezone.utc)
        result = compute()
        computed = time.perf_counter()
        record = {"call": number, "kind": kind, "request": request, "result": _to_json(result)}
        if saves:
            state = holder.state()
            record["weights"] = fingerprint(state)
            write_atomically(self._weights(number), to_bytes(state))
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
        with open(self.folder / "times.jsonl", "a", encoding="utf-8") as file:
            file.write(json.dumps(times) + "\n")
        self._position += 1
        return _from_json(record["result"])

    def keep(self, x, result):
        """Keep what the present call has found for one row, in case that it is interrupted."""
        record = {"call": self._position, "x": x, "result": _to_json(result)}
        with open(self._unfinished, "ab") as file:
            file.write(_line(record))

    def kept(self):
        """What an interrupted call kept: a dict of columns by row, a tuple.

        Raises:
            DamagedRun: the file holds something else than what was written.
        """
        _cut_torn_line(self._unfinished)
        if not self._unfinished.exists():
            return {}
        found = {}
        for number, line in enumerate(self._unfinished.read_bytes().splitlines(), 1):
            record = _read_line(line)
            if record is None:
                raise DamagedRun(
                    f"{self._unfinished} is damaged in line {number}; remove the file, and what it "
                    "holds is computed again."
                )
            if record["call"] == self._position:
                found[tuple(record["x"])] = _from_json(record["result"])
        return found

    def settle(self, holder):
        """Load the weights that the calls so far have led to, unless the holder has them already.

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
            holder.load_state(self._read_weights(self._behind))
            self._behind = None

    @property
    def has_weights(self):
        """Whether any recorded call has trained."""
        return any("weights" in record for record in self._records)

    def _compare(self, asked):
        for key, value in asked.items():
            if key == "settings":
                for name in value.keys() | self._head[key].keys():
                    old, new = self._head[key].get(name), value.get(name)
                    if old != new and name not in self._free:
                        self._refuse(name, old, new)
            elif self._head.get(key) != value:
                self._refuse(key, self._head.get(key), value)

    def _refuse(self, name, old, new):
        raise _mismatch(self.folder, name, old, new)

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
        data = _line(record)
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
        import torch

        path = self._weights(number)
        if not path.exists():
            raise DamagedRun(f"{path} is missing; without it the run cannot go on.")
        try:
            state = torch.load(path, map_location="cpu", weights_only=True)
            good = fingerprint(state) == self._records[number]["weights"]
        except Exception:  # whatever a damaged archive makes torch raise
            good = False
        if not good:
            raise DamagedRun(
                f"{path} is damaged: it does not hold the tensors that were saved. "
                "The run cannot go on; start it again in another folder."
            )
        return state


def read_run(folder):
    """What a run folder was asked and what it recorded, without taking it.

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
    return head, _read_records(folder / "journal.jsonl", repair=False)[0]


def seconds_of(folder, kind):
    """Seconds that the calls of a kind took in a run, all parts of it together."""
    return sum(one["seconds"] for one in read_times(folder) if one["kind"] == kind)


def read_times(folder):
    """When each call of a run was made and how long it took, a list of dicts; see times.jsonl.

    A last line that is still being written is left out.

    Raises:
        DamagedRun: the file is damaged.
    """
    path = Path(folder) / "times.jsonl"
    data = path.read_bytes() if path.exists() else b""
    try:
        times = [json.loads(line) for line in data[: data.rfind(b"\n") + 1].splitlines()]
        for one in times:
            datetime.fromisoformat(one["at"])
            one["kind"], one["seconds"] + one["journal_seconds"]
    except (ValueError, KeyError, TypeError) as error:
        raise DamagedRun(f"{path} is damaged: {error}") from None
    return times


def check_run(folder, problem, settings, seed):
    """Raise unless a run of a problem could begin, or go on, in a folder that is left as it is.

    Settings that are None are not compared: they may be filled in before the run.

    Raises:
        RunMismatch: the folder holds another run.
        ValueError: it is a file, or damaged.
    """
    folder = Path(folder)
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"{folder} is a file; a run wants a folder.")
    head = _read_head(folder)
    if head is None:
        return
    asked, free = {"problem": problem, "seed": seed}, free_names(settings)
    old = {"problem": head["problem"], "seed": head["seed"]} | head["settings"]
    for name, value in (asked | to_json(settings)).items():
        if value is not None and name not in free and old.get(name) != value:
            raise _mismatch(folder, name, old.get(name), value)


def _mismatch(folder, name, old, new):
    return RunMismatch(
        f"{folder} holds a run with {name}={old!r}; this one has {name}={new!r}. "
        "Give this one a folder of its own (--out, journal=), or ask for the same."
    )


def fingerprint(state):
    """SHA-256 of a dict of tensors: their names, types, shapes and bits."""
    import torch

    digest = hashlib.sha256()
    for name in sorted(state):
        tensor = state[name].detach().cpu().contiguous()
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def to_bytes(state):
    """A dict of tensors as the bytes of a file, to be read with ``weights_only=True``."""
    import torch

    buffer = io.BytesIO()
    torch.save({k: v.detach().cpu().contiguous() for k, v in state.items()}, buffer)
    return buffer.getvalue()


def _line(record):
    body = json.dumps(record, allow_nan=False)
    return f'{body[:-1]}, "crc": "{zlib.crc32(body.encode()):08x}"}}\n'.encode()


def _read_head(folder):
    path = folder / "run.json"
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


def _read_records(path, repair=True):
    """The records of a journal and the length of its good part; a torn last line is cut off."""
    if not path.exists():
        return [], 0
    data = path.read_bytes()
    size = _cut_torn_line(path) if repair else data.rfind(b"\n") + 1
    records = []
    for number, line in enumerate(data[:size].splitlines()):
        record = _read_line(line)
        if record is None or record["call"] != number:
            raise DamagedRun(
                f"{path} is damaged in line {number + 1}: it is not what was written. "
                "The run cannot be trusted; start it again in another folder."
            )
        records.append(record)
    return records, size


def _read_line(line):
    """The record of a line that :func:`_line` wrote; None if it is not as it was written."""
    try:
        record = json.loads(line)
        good = "call" in record and _line(_without_crc(record)) == line + b"\n"
    except (ValueError, TypeError, AttributeError):
        good = False
    return record if good else None


def _cut_torn_line(path):
    """Cut off what follows the last whole line of a file; the length of what stays."""
    if not path.exists():
        return 0
    data = path.read_bytes()
    size = data.rfind(b"\n") + 1
    if size < len(data):
        os.truncate(path, size)
    return size


def _without_crc(record):
    return {k: v for k, v in record.items() if k != "crc"}


def _to_json(result):
    """Arrays as lists, NaN as null; other values as they are."""
    return {k: _plain(v) for k, v in result.items()}


def _plain(value):
    if isinstance(value, np.ndarray):
        return [_plain(v) for v in value.tolist()]
    if isinstance(value, float) and math.isnan(value):
        return None
    return value


def _from_json(result):
    """Lists as arrays, null as NaN; so computed and recorded results are the same."""
    return {k: _array(v) if isinstance(v, list) else _number(v) for k, v in result.items()}


def _number(value):
    return math.nan if value is None else value


def _array(values):
    return np.array([_number(v) for v in values])


def _versions(where):
    return {"where": where} | installed_versions()


def installed_versions():
    """Versions of the packages that results depend on, by name; None for what is missing."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = None
    return found
