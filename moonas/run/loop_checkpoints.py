"""Checkpoints within a call: the state of a training loop, saved every few minutes.

The journal records a call when it is complete, but a call may train for hours: the warm-up of a
supernet, an epoch on a large data set, or a candidate that is trained from scratch. Its training
loop therefore saves its state in the run folder from time to time. If the run is interrupted and
started again, the loop continues from there, with the same results.

The name of the file depends on the identity of the run and of the call, so a checkpoint is never
used for another training. Each checkpoint is removed when its call has been recorded.
"""

from __future__ import annotations

import hashlib
import json
import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from torch import Tensor

SECONDS_BETWEEN_CHECKPOINTS = 240.0  # so that, with a long step, at most five minutes are lost
PATTERN = "unfinished-*.pt"  # names of the files
_TRAINING, _LOOP = "training", "loop"  # parts of the tensors in a file


class Stateful(Protocol):
    """An object whose state training changes; checkpoints save and restore the state."""

    def state(self) -> dict[str, Tensor]:
        """Return all tensors that training changes, by name."""

    def load_state(self, state: dict[str, Tensor]) -> None:
        """Restore a state that :meth:`state` returned."""


@dataclass(frozen=True)
class CheckpointFolder:
    """A folder for the checkpoints of one run.

    Args:
        path: run folder.
        run: text that identifies the run; it must change with everything that results depend on.
    """

    path: Path
    run: str

    def checkpoints(self, *identity: Any) -> LoopCheckpoints:
        """Return the checkpoints of a training.

        Args:
            identity: JSON-serializable values that identify the training within the run.
        """
        text = json.dumps([self.run, *identity])
        digest = hashlib.sha256(text.encode()).hexdigest()
        return LoopCheckpoints(self.path / PATTERN.replace("*", digest[:12]), digest)

    def remove_all(self) -> None:
        """Remove all checkpoints of the folder."""
        for path in self.path.glob(PATTERN):
            path.unlink(missing_ok=True)


class LoopCheckpoints:
    """Saves and restores the training loops of one call.

    A call may contain several loops, one after the other, which have different names.

    Args:
        path: path of the file.
        identity: identity of the training; the file of another training is ignored.
    """

    def __init__(self, path: Path, identity: str) -> None:
        self._path, self._identity = path, identity
        self._saved_at = time.monotonic()
        self._reports: dict[str, dict[str, Any]] = {}  # loop -> report of a finished loop
        self._loop: str | None = None  # loop of the tensors in the file
        self._tensors: dict[str, Tensor] = {}
        self._read()

    def _read(self) -> None:
        if not self._path.exists():
            return
        from ..files.tensors import read_tensors

        try:
            about, tensors = read_tensors(self._path, content="a checkpoint")
        except ValueError as error:
            warnings.warn(f"{error} The training of this call starts again.", stacklevel=4)
            return
        if about.get("identity") == self._identity:
            self._loop, self._reports, self._tensors = about["loop"], about["reports"], tensors

    def report(self, loop: str) -> dict[str, Any] | None:
        """Return the report of a loop that had finished before the interruption, else None."""
        return self._reports.get(loop)

    def finish(self, loop: str, report: dict[str, Any]) -> None:
        """Note that a loop has finished.

        Args:
            loop: name of the loop.
            report: JSON-serializable result of the loop.
        """
        self._reports[loop] = report

    def restore(self, loop: str, training: Stateful) -> dict[str, Tensor]:
        """Restore the state that a loop had at its last checkpoint.

        Args:
            loop: name of the loop.
            training: object whose state is restored, if there is a checkpoint.

        Returns:
            The values that the loop passed to :meth:`save_if_due`; empty without a checkpoint.
        """
        if loop != self._loop:
            return {}
        from ..files.tensors import part_of_state

        self._loop, tensors, self._tensors = None, self._tensors, {}
        training.load_state(part_of_state(tensors, _TRAINING))
        return part_of_state(tensors, _LOOP)

    def save_if_due(
        self, loop: str, training: Stateful, values: Callable[[], Mapping[str, Tensor]]
    ) -> None:
        """Save the state of a loop if the last checkpoint is old enough.

        If the file cannot be written, the training goes on, with a warning.

        Args:
            loop: name of the loop.
            training: object whose state is saved.
            values: function that returns what the loop has computed so far, and its position.
        """
        if time.monotonic() - self._saved_at < SECONDS_BETWEEN_CHECKPOINTS:
            return
        from ..files.tensors import write_tensors

        about = {"identity": self._identity, "loop": loop, "reports": self._reports}
        parts = ((_TRAINING, training.state()), (_LOOP, values()))
        tensors = {f"{part}.{name}": t for part, state in parts for name, t in state.items()}
        try:
            write_tensors(self._path, tensors, about)
        except OSError as error:
            warnings.warn(f"The checkpoint {self._path} was not written: {error}.", stacklevel=3)
        self._saved_at = time.monotonic()
