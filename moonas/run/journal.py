"""The journal of a run, which records calls in a file and replays them to resume the run.

A run folder contains

    run.json             identity of the run: problem, settings, seed, algorithm, versions
    journal.jsonl        one line per call: request, result, checksum
    unfinished.jsonl     partial results of the current call, one line per candidate; removed when
                         the call is complete
    unfinished-*.pt      state of a training within the current call, see :mod:`.loop_checkpoints`;
                         removed when the call is complete
    times.jsonl          start and duration of each call
    weights-000012.pt    tensors after the last training call that saved them, here call 12
    lock                 lock file of the process that writes the folder

If the same program runs again, it makes the same calls in the same order. For a recorded call, the
journal returns the recorded result. Before the first call that is not recorded, the saved weights
are loaded; from then on, calls are computed. Training calls whose weights were not saved before an
interruption are dropped and computed again. Thus algorithms are never pickled, and a resumed run
and an uninterrupted run have bit-identical results.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

import filelock

from ..errors import reason
from ..files import write_json
from ..files.image_folders import ImageFolder, describe_differences
from ..settings import (
    RunSettings,
    former_values,
    former_values_to_json,
    free_names,
    to_json,
)
from .loop_checkpoints import PATTERN, CheckpointFolder, Stateful
from .records import (
    DamagedRun,
    Record,
    complete_lines,
    decode_result,
    encode_record,
    encode_result,
    read_records,
    remove_incomplete_line,
)
from .versions import installed_versions

if TYPE_CHECKING:
    from torch import Tensor

FORMAT = 1
UNSAVED = "unsaved"  # key of a training call whose weights were not saved
IDENTITY_FILE, JOURNAL_FILE, TIMES_FILE = "run.json", "journal.jsonl", "times.jsonl"
ENVIRONMENT_KEY = "where"  # key of the environment in the versions in run.json
IMAGES_KEY = "images"  # key of the content of the folder of images in run.json
PARTIAL_FILE, LOCK_FILE = "unfinished.jsonl", "lock"
OF_A_RUN = (IDENTITY_FILE, JOURNAL_FILE, TIMES_FILE, PARTIAL_FILE, LOCK_FILE)


class RunMismatch(ValueError):
    """A run folder contains a different run, which this run cannot resume."""


class RunInUse(ValueError):
    """Another process is writing to the run folder."""


@dataclass(frozen=True)
class Checkpoint:
    """Size and cost of weights that a call saved.

    Args:
        size: size of the file in bytes.
        seconds: time to write the file.
    """

    size: int
    seconds: float


class Journal:
    """The record of one run in a run folder.

    Args:
        folder: run folder; it is created if it does not exist.
        problem: name of the problem.
        settings: settings of the problem. If a setting was added to moonas after the recorded run,
            run.json lacks it, and its value before (``formerly``, see
            :func:`moonas.settings.setting`) is assumed to be recorded.
        inputs: name -> checksum of each file on which results depend.
        images: folder of images that ``settings.data`` names; None for other data. A run can be
            resumed with equal images in another folder.

    Raises:
        RunMismatch: the folder contains a run of another problem, with other settings or with other
            images. A run without recorded results is replaced.
        DamagedRun: a file in the folder is corrupt.
        RunInUse: another process is writing to the folder.
        ValueError: the folder contains files but no run.
    """

    def __init__(
        self,
        folder: str | Path,
        *,
        problem: str,
        settings: RunSettings,
        inputs: Mapping[str, str] | None = None,
        images: ImageFolder | None = None,
    ) -> None:
        self.folder = Path(folder)
        check_run_folder(self.folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self._lock = filelock.FileLock(self.folder / LOCK_FILE, is_singleton=True)
        try:
            self._lock.acquire(timeout=0)
        except filelock.Timeout:
            raise RunInUse(
                f"Another process is writing to {self.folder}. Wait until it ends, stop it, or use "
                "another folder."
            ) from None
        self._journal_file = self.folder / JOURNAL_FILE
        self._partial_results_file = self.folder / PARTIAL_FILE
        self._free_names, self._former_values = (
            free_names(settings),
            former_values_to_json(settings),
        )
        self._identity: dict[str, Any] = {
            "format": FORMAT,
            "problem": problem,
            "settings": to_json(settings),
            "inputs": dict(inputs or {}),
        }
        self._images = images
        if images is not None:
            self._identity[IMAGES_KEY] = dataclasses.asdict(images)
        try:
            self._open()
        except BaseException:
            self.close()
            raise
        self._running_since = time.monotonic()
        self._next_call: int | None = None  # number of the next call; None before the run begins
        self._weights_to_load: int | None = None  # number of the call that saved the weights
        self.checkpoint: Checkpoint | None = None  # last weights that this object saved
        self.n_dropped = 0  # number of calls that begin() dropped
        self.checkpoint_folder = CheckpointFolder(self.folder, "")  # of the run that has begun

    def _open(self) -> None:
        self._recorded_identity = _recorded_run(self.folder)
        if self._recorded_identity is not None:
            self._check_identity(self._recorded_identity, self._identity)
            self._note_images()
        self._records = _read_calls(self._journal_file, repair=True)
        self._journal_size = self._journal_file.stat().st_size if self._journal_file.exists() else 0
        if self._records and self._recorded_identity is None:
            raise DamagedRun(
                f"{self.folder / IDENTITY_FILE} is missing, but {self._journal_file} exists."
            )
        remove_incomplete_line(self.folder / TIMES_FILE)

    def _note_images(self) -> None:
        """Record where the images are now, and what they are if an earlier version did not."""
        recorded, images = self._recorded_identity, self._identity.get(IMAGES_KEY)
        if recorded is None or images is None or recorded.get(IMAGES_KEY) == images:
            return
        settings = recorded["settings"] | {"data": self._identity["settings"]["data"]}
        self._recorded_identity = recorded | {"settings": settings, IMAGES_KEY: images}
        write_json(self.folder / IDENTITY_FILE, self._recorded_identity)

    def close(self) -> None:
        """Release the lock; other processes can then write to the folder.

        If nothing has been recorded, the folder is removed, unless it contains other files.
        """
        has_checkpoint = any(self.folder.glob(PATTERN))
        if self._lock.is_locked and not (_has_results(self.folder) or has_checkpoint):
            for name in OF_A_RUN:
                (self.folder / name).unlink(missing_ok=True)
            with contextlib.suppress(OSError):  # the folder contains other files
                self.folder.rmdir()
        self._lock.release()

    @property
    def n_calls(self) -> int:
        """Number of recorded calls."""
        return len(self._records)

    @property
    def replaying(self) -> bool:
        """Whether the result of the next call is recorded."""
        return self._next_call is not None and self._next_call < len(self._records)

    @property
    def seed(self) -> int | None:
        """Seed of the recorded run; None in a new folder."""
        return None if self._recorded_identity is None else self._recorded_identity["seed"]

    def begin(self, seed: int | None, algorithm: str, environment: str = "") -> None:
        """Begin a new run or, if calls are recorded, begin to replay the recorded run.

        Recorded calls are dropped from the first training call on whose weights neither it nor a
        later call saved.

        If ``environment`` or the version of a package has changed since the run was started, a
        warning is issued.

        Args:
            seed: seed of the run; must not be None.
            algorithm: description of the algorithm or training; part of the identity of the run.
            environment: description of everything that may change the last bits of a result, such
                as the device.

        Raises:
            RunMismatch: the folder contains a run with another seed or algorithm.
            ValueError: ``seed`` is None.
        """
        if seed is None:
            raise ValueError(
                "A run with a journal requires a seed, because it could not be resumed otherwise: "
                "minimize(..., seed=1)."
            )
        identity: dict[str, Any] = {"seed": int(seed), "algorithm": algorithm}
        current_versions = _versions(environment)
        if self._recorded_identity is None:
            self._recorded_identity = self._identity | identity | {"versions": current_versions}
            write_json(self.folder / IDENTITY_FILE, self._recorded_identity)
        self._check_identity(self._recorded_identity, identity)
        recorded_versions = self._recorded_identity["versions"]
        if self._records and recorded_versions != current_versions:
            changes = [
                f"{'environment' if key == ENVIRONMENT_KEY else key} "
                f"{recorded_versions.get(key)} -> {value}"
                for key, value in current_versions.items()
                if recorded_versions.get(key) != value
            ]
            warnings.warn(
                f"{self.folder} was started under different conditions ({', '.join(changes)}); "
                "results may differ from the results of an uninterrupted run.",
                stacklevel=2,
            )
        if not all("result" in record for record in self._records):  # a second run replays them
            self._records = _read_calls(self._journal_file)
        self._drop_unsaved_calls()
        self.checkpoint_folder = CheckpointFolder(self.folder, self._run_identity())
        self._next_call, self._weights_to_load = 0, None
        self._running_since = time.monotonic()

    def _run_identity(self) -> str:
        """Return everything in run.json on which results depend, as text."""
        head = self._recorded_identity
        assert head is not None
        settings = {k: v for k, v in head["settings"].items() if k not in self._free_names}
        images = (head.get(IMAGES_KEY) or {}).get("content")
        if images is not None:
            settings.pop("data", None)  # the folder of the images may have another name now
        parts = [head["problem"], settings, head["inputs"], images, head["seed"], head["algorithm"]]
        return json.dumps(parts, sort_keys=True)

    def _drop_unsaved_calls(self) -> None:
        saved = [number for number, record in enumerate(self._records) if "weights" in record]
        start = saved[-1] + 1 if saved else 0
        unsaved = [r["call"] for r in self._records[start:] if UNSAVED in r]
        if not unsaved:
            self.n_dropped = 0
            return
        kept = unsaved[0]
        self.n_dropped = len(self._records) - kept
        lines = complete_lines(self._journal_file)[:kept]
        self._journal_size = sum(len(line) + 1 for line in lines)
        os.truncate(self._journal_file, self._journal_size)
        del self._records[kept:]

    def call(
        self,
        kind: str,
        request: dict[str, Any],
        compute: Callable[[], dict[str, Any]],
        stateful: Stateful | None = None,
        saves: bool | Callable[[], bool] = False,
    ) -> dict[str, Any]:
        """Return the recorded result of a call, or compute the result and record it.

        Args:
            kind: kind of the call, such as "train".
            request: JSON-serializable arguments of the call. For a recorded call, they must equal
                the recorded arguments.
            compute: function () -> result, a dict of arrays, numbers and strings.
            stateful: object that ``compute`` trains or evaluates. Before the first computed call,
                the saved state is loaded into this object.
            saves: whether ``compute`` changes the state of ``stateful``; if so, the state is saved.
                A function is called after ``compute``, which changes the state in any case, and
                returns whether to save the state now. Until a later call saves it, an interruption
                loses the call.

        Raises:
            RunMismatch: the recorded call with this number is a different call.
            OSError: the result cannot be written; records of earlier calls remain intact.
        """
        number = self._next_call
        assert number is not None, "begin() must be called first"
        if number < len(self._records):
            record = self._records[number]
            self._check_call(number, record, kind, request)
            self._next_call = number + 1
            if not self.replaying:
                self._running_since = time.monotonic() - self._recorded_seconds()
            if "weights" in record:
                self._weights_to_load = number
            result = decode_result(record["result"])
            self._records[number] = _without_content(record)
            return result
        self.restore(stateful)
        begun, started_at = time.perf_counter(), datetime.now(timezone.utc)
        with self._checkpoints(number, kind, request, stateful if saves else None):
            result = compute()
        computed = time.perf_counter()
        record = {"call": number, "kind": kind, "request": request, "result": encode_result(result)}
        saves_now = saves() if callable(saves) else saves
        if saves_now:
            from ..files.tensors import write_tensors

            assert stateful is not None, "saves=True requires the argument stateful"
            path = self._weights_file(number)
            record["weights"] = write_tensors(path, stateful.state(), {})
            self.checkpoint = Checkpoint(path.stat().st_size, time.perf_counter() - computed)
        elif callable(saves):
            record[UNSAVED] = True
        self._append(record)
        self._partial_results_file.unlink(missing_ok=True)
        self.checkpoint_folder.remove_all()
        if saves_now:
            for path in self.folder.glob("weights-*.pt"):
                if path != self._weights_file(number):
                    path.unlink()
        times = {
            "call": number,
            "kind": kind,
            "at": started_at.isoformat(timespec="milliseconds"),
            "seconds": round(computed - begun, 6),
            "journal_seconds": round(time.perf_counter() - computed, 6),
            "elapsed": round(self.elapsed_seconds, 6),
        }
        with open(self.folder / TIMES_FILE, "a", encoding="utf-8") as file:
            file.write(json.dumps(times) + "\n")
        self._next_call = number + 1
        return decode_result(record["result"])

    @contextlib.contextmanager
    def _checkpoints(
        self, number: int, kind: str, request: dict[str, Any], training: Any
    ) -> Iterator[None]:
        """Set the attribute ``checkpoints`` of an object that a call trains, if it has one."""
        if not hasattr(training, "checkpoints"):
            yield
            return
        training.checkpoints = self.checkpoint_folder.checkpoints(number, kind, request)
        try:
            yield
        finally:
            training.checkpoints = None

    @property
    def elapsed_seconds(self) -> float:
        """How long the run has taken so far, in all processes, without the time between them."""
        return time.monotonic() - self._running_since

    def _recorded_seconds(self) -> float:
        """Return the duration of the recorded run, up to the end of its last generation."""
        try:
            times = read_times(self.folder)
        except DamagedRun:
            return 0.0
        busy = [call["seconds"] + call["journal_seconds"] for call in times]
        if not times or "elapsed" not in times[-1]:  # recorded by an earlier version
            return float(sum(busy))
        elapsed = [call.get("elapsed", 0.0) for call in times]
        # what follows the last call of a generation takes no longer than the longest such pause
        pauses = (b - a - s for a, b, s in zip(elapsed, elapsed[1:], busy[1:], strict=False))
        return float(elapsed[-1] + max(pauses, default=0.0))

    def save_partial(self, x: Any, result: dict[str, Any]) -> None:
        """Save the result of one candidate until the current call is complete.

        Args:
            x: row of the candidate, as a JSON value.
            result: columns of the candidate.
        """
        record = {"call": self._next_call, "x": x, "result": encode_result(result)}
        with open(self._partial_results_file, "ab") as file:
            file.write(encode_record(record))

    def partial_results(self) -> dict[tuple[Any, ...], dict[str, Any]]:
        """Return row -> columns of the candidates that were evaluated before an interrupt.

        Only candidates of the current call are returned.

        Raises:
            DamagedRun: the file of partial results is corrupt.
        """
        advice = "the line is corrupt. Remove the file; its results will be computed again."
        records = read_records(self._partial_results_file, repair=True, advice=advice)
        return {
            tuple(record["x"]): decode_result(record["result"])
            for record in records
            if record["call"] == self._next_call
        }

    def restore(self, stateful: Stateful | None) -> None:
        """Load the weights that the last training call saved, unless they are already loaded.

        Before the run begins, the weights at the end of the recorded run are loaded.

        Raises:
            DamagedRun: the weights file is corrupt or missing.
            ValueError: the run is being replayed, and the weights after the replayed call no longer
                exist.
        """
        if self.replaying:
            raise ValueError(
                f"The run in {self.folder} is being replayed, and its weights at this call no "
                "longer exist. Evaluate outside the algorithm only after the run has ended."
            )
        if self._next_call is None:
            saved = [record["call"] for record in self._records if "weights" in record]
            self._weights_to_load = saved[-1] if saved else None
        if self._weights_to_load is not None:
            assert stateful is not None, "recorded weights require the argument stateful"
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
                _require_same_images(self.folder, head, self._images)
                recorded = self._former_values | head["settings"]
                free = self._free_names | _free_if_equal(head, self._images)
                names = [n for n in value | recorded if n not in free]
                _require_equal(self.folder, recorded, value, names)
            elif key != IMAGES_KEY:
                _require_equal(self.folder, {key: recorded}, {key: value}, [key])

    def _check_call(self, number: int, record: Record, kind: str, request: dict[str, Any]) -> None:
        if record["kind"] == kind and record["request"] == request:
            return
        if record["kind"] == kind:
            key = next(k for k in request if record["request"].get(k) != request[k])
            difference = f"{key!r} of a {kind!r} call differs"
        else:
            difference = f"it is a {kind!r} call, but a {record['kind']!r} call is recorded"
        raise RunMismatch(
            f"Call {number} of this run does not match call {number} in {self._journal_file}: "
            f"{difference}. The algorithm, its options, the population size or the code has "
            "changed; use another folder for this run."
        )

    def _append(self, record: Record) -> None:
        data = encode_record(record)
        with open(self._journal_file, "ab", buffering=0) as file:
            if file.tell() != self._journal_size:
                raise DamagedRun(
                    f"{self._journal_file} was modified by another writer during this run."
                )
            try:
                rest = memoryview(data)
                while rest:  # a single write may be partial if the disk is full
                    rest = rest[file.write(rest) :]
                os.fsync(file.fileno())
            except BaseException:
                file.truncate(self._journal_size)
                raise
        self._journal_size += len(data)
        self._records.append(_without_content(record))

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


def options_of_earlier_version(
    folder: str | Path, settings: type[RunSettings], chosen: Iterable[str]
) -> dict[str, Any]:
    """Return the options that resume a run of an earlier version as it was started.

    A later version may have a new setting whose default changes results, or another default of a
    setting. Unless the user has chosen a value, the run keeps the value of its version.

    Args:
        folder: run folder, which may be missing.
        settings: Settings class of the stage.
        chosen: names of the settings that the user has chosen.

    Returns:
        Name -> value, for the settings whose recorded value is the former one (``formerly``, see
        :func:`moonas.settings.setting`) and not the default; empty if the folder contains no run.
    """
    identity = _recorded_run(Path(folder))
    if identity is None:
        return {}
    options, values, in_json = {}, former_values(settings), former_values_to_json(settings)
    for field in dataclasses.fields(settings):
        former, former_in_json = values.get(field.name), in_json.get(field.name)
        recorded = identity["settings"].get(field.name, former_in_json)
        if field.name not in chosen and recorded == former_in_json and former != field.default:
            options[field.name] = former
    return options


def read_run(folder: str | Path) -> tuple[dict[str, Any], list[Record]]:
    """Read the identity and the recorded calls of a run, without locking the run folder.

    Returns:
        (identity, records): content of run.json, and the recorded calls in order.

    Raises:
        ValueError: the folder contains no run.
        DamagedRun: a file in the folder is corrupt.
    """
    return read_identity(folder), _read_calls(Path(folder) / JOURNAL_FILE)


def read_identity(folder: str | Path) -> dict[str, Any]:
    """Return the content of run.json, see :func:`read_run`, without reading the journal."""
    identity = _read_identity_file(Path(folder))
    if identity is None:
        raise ValueError(f"{folder} contains no run: run.json is missing.")
    return identity


def total_seconds(folder: str | Path, kind: str) -> float:
    """Return the total duration in seconds of all calls of one kind in a run."""
    return sum((call["seconds"] for call in read_times(folder) if call["kind"] == kind), 0.0)


def read_times(folder: str | Path) -> list[dict[str, Any]]:
    """Read the start and the duration of each call of a run from times.jsonl.

    An incomplete last line, which a running process may be writing, is ignored.

    Returns:
        One dict per call, with the keys ``call`` (its number), ``kind``, ``at`` (its start in ISO
        8601 format), ``seconds`` (its duration), ``journal_seconds`` (time to record it) and, in
        new runs, ``elapsed`` (duration of the run until then, without interruptions).

    Raises:
        DamagedRun: the file is corrupt.
    """
    path = Path(folder) / TIMES_FILE
    try:
        times = [json.loads(line) for line in complete_lines(path)]
        for call in times:
            datetime.fromisoformat(call["at"])
            if not isinstance(call["kind"], str):
                raise TypeError(f"expected text as kind, got {_short(call['kind'])}")
            float(call["seconds"] + call["journal_seconds"] + call.get("elapsed", 0.0))
    except (ValueError, KeyError, TypeError) as error:
        raise DamagedRun(f"{path} is damaged: {reason(error, 200)}") from None
    return times


def check_run_folder(folder: str | Path) -> None:
    """Check that a folder is free for a run, or contains a run.

    Raises:
        ValueError: the path is a file, or the folder contains files but no run.
    """
    folder = Path(folder)
    if any(parent.is_file() for parent in (folder, *folder.parents)):
        raise ValueError(f"{folder} is a file; expected a folder.")
    if not folder.is_dir() or (folder / IDENTITY_FILE).exists():
        return
    foreign = sorted(path.name for path in folder.iterdir() if path.name not in OF_A_RUN)
    if foreign and not (folder / JOURNAL_FILE).exists():
        raise ValueError(
            f"{folder} contains files that do not belong to a run, such as {foreign[0]!r}. Choose "
            "an empty or a new folder (--out, journal=)."
        )


def recorded_seed(folder: str | Path) -> int | None:
    """Return the seed of the run in a folder; None if it contains no recorded results."""
    identity = _recorded_run(Path(folder))
    return None if identity is None else identity["seed"]


def recorded_settings(folder: str | Path) -> dict[str, Any] | None:
    """Return the settings of the run in a folder; None if it contains no recorded results."""
    identity = _recorded_run(Path(folder))
    return None if identity is None else identity["settings"]


def _recorded_run(folder: Path) -> dict[str, Any] | None:
    """Return the identity of the run in a folder; None if nothing has been recorded.

    A run that failed before its first result must not prevent the corrected run.
    """
    return _read_identity_file(folder) if _has_results(folder) else None


def _has_results(folder: Path) -> bool:
    files = (folder / JOURNAL_FILE, folder / PARTIAL_FILE)
    return any(path.exists() and path.stat().st_size for path in files)


def check_run(
    folder: str | Path,
    problem: str,
    settings: RunSettings,
    seed: int | None,
    images: ImageFolder | None = None,
) -> None:
    """Check, without changing a folder, that a run can be started or resumed in it.

    Settings that are None are not compared, because the run may set them when it starts.

    Raises:
        RunMismatch: the folder contains a different run.
        ValueError: the path is a file, or a file in the folder is corrupt.
    """
    folder = Path(folder)
    check_run_folder(folder)
    head = _recorded_run(folder)
    if head is None:
        return
    identity = {"problem": problem, "seed": seed} | to_json(settings)
    recorded = former_values_to_json(settings) | head["settings"]
    recorded |= {"problem": head["problem"], "seed": head["seed"]}
    free = free_names(settings) | _free_if_equal(head, images)
    names = [n for n, value in identity.items() if value is not None and n not in free]
    _require_same_images(folder, head, images)
    _require_equal(folder, recorded, identity, names)


def recorded_images(identity: Mapping[str, Any]) -> ImageFolder | None:
    """Return the folder of images that a run has used; None for other data.

    Args:
        identity: content of run.json; runs of earlier versions have not recorded their images.
    """
    recorded = identity.get(IMAGES_KEY)
    return None if recorded is None else ImageFolder(recorded["path"], recorded["content"])


def _free_if_equal(identity: Mapping[str, Any], images: ImageFolder | None) -> set[str]:
    """Return the settings that may differ if the images are those that the run has recorded."""
    recorded = recorded_images(identity)
    equal = recorded is not None and images is not None and recorded.content == images.content
    return {"data"} if equal else set()


def changed_images(
    folder: Path, identity: Mapping[str, Any], images: ImageFolder | None
) -> str | None:
    """Return a sentence on how images differ from those of a run; None if they do not.

    Args:
        folder: run folder.
        identity: content of its run.json.
        images: folder of images now; None for other data.
    """
    recorded = recorded_images(identity)
    if recorded is None or images is None or recorded.content == images.content:
        return None
    return (
        f"The images in {images.path} are not those that the run in {folder} has used: "
        f"{describe_differences(recorded.content, images.content)}."
    )


def _require_same_images(
    folder: Path, identity: Mapping[str, Any], images: ImageFolder | None
) -> None:
    """Raise :class:`RunMismatch` if a run has recorded other images."""
    changed = changed_images(folder, identity, images)
    if changed is not None:
        raise RunMismatch(
            f"{changed} Restore them, or use another folder for this run (--out, journal=)."
        )


def _require_equal(
    folder: Path, recorded: Mapping[str, Any], current: Mapping[str, Any], names: Iterable[str]
) -> None:
    """Raise :class:`RunMismatch` for the first name whose recorded and current values differ."""
    for name in names:
        old, new = recorded.get(name), current.get(name)
        if old != new:
            raise RunMismatch(
                f"{folder} contains a run with {name}={_short(old)}, but this run has "
                f"{name}={_short(new)}. Use another folder for this run (--out, journal=), or use "
                "the recorded value."
            )


def _short(value: Any) -> str:
    """Return ``repr(value)``, shortened to 100 characters."""
    text = repr(value)
    return text if len(text) <= 100 else f"{text[:97]}..."


def _read_identity_file(folder: Path) -> dict[str, Any] | None:
    path = folder / IDENTITY_FILE
    if not path.exists():
        return None
    try:
        head = json.loads(path.read_text(encoding="utf-8"))
        valid = _is_identity(head)
    except (ValueError, RecursionError):
        valid = False
    if not valid:
        raise DamagedRun(f"{path} is damaged: it is not a run.json that moonas wrote.")
    if head["format"] != FORMAT:
        raise RunMismatch(
            f"{path} has format {head['format']}; this version of moonas reads format {FORMAT}."
        )
    return dict(head)


def _is_identity(head: Any) -> bool:
    """Return whether the content of run.json has the structure that a journal writes."""
    types = {"problem": str, "settings": dict, "inputs": dict, "algorithm": str, "versions": dict}
    if not isinstance(head, dict) or not {"format", "seed", *types} <= set(head):
        return False
    if not all(isinstance(head[name], kind) for name, kind in types.items()):
        return False
    images = head.get(IMAGES_KEY)
    if images is not None:
        valid = isinstance(images, dict) and isinstance(images.get("path"), str)
        content = images.get("content") if valid else None
        if not isinstance(content, dict) or not all(isinstance(e, dict) for e in content.values()):
            return False
    return isinstance(head["seed"], int)


def _read_calls(path: Path, repair: bool = False) -> list[Record]:
    """Read the recorded calls in order; with ``repair``, remove an incomplete last line."""
    advice = "the line is corrupt. The run cannot be used; start it again in another folder."
    records = read_records(path, advice=advice, repair=repair)
    for number, record in enumerate(records):
        if record["call"] != number:
            raise DamagedRun(f"{path} is damaged in line {number + 1}: {advice}")
    return records


def _without_content(record: Record) -> Record:
    """Return a record without what grows with the number of candidates; the file contains it."""
    return {key: value for key, value in record.items() if key not in ("request", "result")}


def _versions(environment: str) -> dict[str, str | None]:
    return {ENVIRONMENT_KEY: environment} | installed_versions()
