"""Stages of a task, and base classes for stages that are not pymoo problems."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from ..deprecation import RenamedAttribute, rename_class_attributes, renamed_names
from .callbacks import Callbacks
from .numbers import plural
from .session import Session

if TYPE_CHECKING:
    import torch

    from ..settings import RunSettings
    from .journal import Checkpoint, Journal


class Stage:
    """A stage of a task; a journal can record its run.

    Attributes:
        settings: settings of the stage.
        device: device on which networks run.
        inputs: name -> checksum of each file on which results depend.
    """

    settings: RunSettings
    device: torch.device
    inputs: Mapping[str, str] = {}

    @cached_property
    def session(self) -> Session:
        """State of the run: journal, callbacks and seed."""
        return Session()

    @property
    def journal(self) -> Journal | None:
        """Journal that records the run, or None."""
        return self.session.journal

    @property
    def callbacks(self) -> Callbacks:
        """List of :class:`~moonas.run.callbacks.RunCallback`, called during a run."""
        return self.session.callbacks

    def report_progress(self, phase: str, done: int, total: int, unit: str) -> None:
        """Report progress to the callbacks; see :meth:`.RunCallback.on_progress`."""
        self.callbacks.on_progress(phase, done, total, unit)

    def log(self, text: str) -> None:
        """Pass a log message to the callbacks; see :meth:`.RunCallback.on_log`."""
        self.callbacks.on_log(text)

    def recorded(
        self,
        kind: str,
        request: dict[str, Any],
        compute: Callable[[], dict[str, Any]],
        stateful: Any = None,
        saves: bool | Callable[[], bool] = False,
    ) -> dict[str, Any]:
        """Compute a call, or return its recorded result; see :meth:`.Journal.call`."""
        return self.session.recorded(kind, request, compute, stateful, saves)

    def environment(self) -> str:
        """Describe the device and number of threads; both may change the last bits of results."""
        return f"{self.device}, {self.settings.threads} threads"


class TrainingStage(Stage):
    """A stage that is not a pymoo problem; the next stage uses its result.

    A subclass defines

    - ``device``;
    - ``description``, which the journal records: a short description of the training;
    - ``run(seed)``, which first calls :meth:`begin`, then computes all long calls through
      :meth:`recorded`, and returns the result;
    - ``report(result, folder)``, which writes the result to the run folder and returns lines to
      print. The next stage reads the result from this folder (``from_run=``).
    """

    description = ""

    in_words = RenamedAttribute("in_words", "description")

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        rename_class_attributes(cls)

    def begin(self, seed: int) -> None:
        """Begin or resume the run; see :meth:`.Journal.begin`."""
        self.session.begin(seed, self.description, self.environment())

    def run(self, seed: int) -> Any:
        """Run or resume the stage, and return its result.

        Args:
            seed: seed of the run.
        """
        raise NotImplementedError

    def report(self, result: Any, folder: Path) -> list[str]:
        """Write a result to the run folder.

        Args:
            result: result of :meth:`run`.
            folder: run folder.

        Returns:
            Lines to print.
        """
        raise NotImplementedError


class Trainer(Protocol):
    """Trains and evaluates one or more networks; see :class:`EpochTraining`.

    A trainer whose epochs may take long has an attribute ``checkpoints``, which is initially None;
    while ``train`` runs, it is the :class:`.LoopCheckpoints` for the state within the epoch.
    """

    def state(self) -> dict[str, torch.Tensor]:
        """Return all tensors that training changes, by name."""

    def load_state(self, state: dict[str, torch.Tensor]) -> None:
        """Restore a state that :meth:`state` returned."""

    def train(self, epoch: int) -> dict[str, Any]:
        """Train for one epoch.

        Args:
            epoch: index of the epoch, starting at 0.

        Returns:
            Metrics of the epoch, a JSON-serializable dict.
        """

    def evaluate(self) -> dict[str, Any]:
        """Evaluate the trained networks, and return name -> score."""


class EpochTraining(TrainingStage):
    """A stage that trains for several epochs, saves its state in between, and then evaluates.

    After an interruption, the training resumes from the saved state, and its result is the same.

    Besides the members that :class:`TrainingStage` requires, a subclass defines

    - ``phase``, the name of the training in progress bars;
    - ``n_epochs``, the number of epochs;
    - ``start(seed)``, which returns a :class:`Trainer`;
    - ``line(epoch, metrics)``, which returns a line for the log, called after every tenth epoch
      unless :meth:`log_epoch` is overridden;
    - ``result(trainer, scores)``, which returns the result of ``run``.

    It may define ``checkpoint_minutes``, the number of minutes between two saved states; by
    default, the state is saved after each epoch.
    """

    phase: str = "training"
    checkpoint_minutes: float = 0.0

    @property
    def n_epochs(self) -> int:
        """Number of epochs."""
        raise NotImplementedError

    def start(self, seed: int) -> Trainer:
        """Return a :class:`Trainer` with untrained weights."""
        raise NotImplementedError

    def line(self, epoch: int, metrics: dict[str, Any]) -> str:
        """Format the metrics of an epoch as a line for the log.

        Args:
            epoch: index of the epoch, starting at 0.
            metrics: dict that ``trainer.train`` returned.
        """
        raise NotImplementedError

    def log_epoch(self, epoch: int, metrics: dict[str, Any]) -> None:
        """Log the metrics of an epoch; by default, of every tenth epoch.

        Args:
            epoch: index of the epoch, starting at 0.
            metrics: dict that ``trainer.train`` returned.
        """
        if epoch % 10 == 9:
            self.log(self.line(epoch, metrics))

    def after_epoch(self, trainer: Any, epoch: int, metrics: dict[str, Any], new: bool) -> None:
        """Called after each epoch, for example to save pictures.

        Args:
            trainer: trainer after the epoch; before it, if the epoch was recorded by an earlier
                process.
            epoch: index of the epoch, starting at 0.
            metrics: dict that ``trainer.train`` returned.
            new: whether this process trained the epoch.
        """

    def result(self, trainer: Any, scores: dict[str, Any]) -> Any:
        """Return the result of :meth:`run`.

        Args:
            trainer: trainer after the last epoch.
            scores: dict that ``trainer.evaluate`` returned.
        """
        raise NotImplementedError

    def run(self, seed: int) -> Any:
        """Train, or resume training from the journal, and evaluate.

        Args:
            seed: seed of the run.

        Raises:
            SearchFailed: no training step of an epoch had a finite loss.
        """
        self.begin(seed)
        journal = self.journal
        if journal is not None and journal.n_dropped:
            self.log(
                f"Resuming from the last checkpoint; {plural(journal.n_dropped, 'epoch')} after it "
                "had no checkpoint and must be trained again."
            )
        trainer = self.start(seed)
        saved_at = time.monotonic()
        for epoch in range(self.n_epochs):
            self.report_progress(self.phase, epoch, self.n_epochs, "epochs")
            train, new = partial(trainer.train, epoch), journal is None or not journal.replaying
            saves = partial(self._saves, epoch, saved_at) if self.checkpoint_minutes else True
            checkpoint = None if journal is None else journal.checkpoint
            metrics = self.recorded("train", {"epoch": epoch}, train, trainer, saves=saves)
            self.log_epoch(epoch, metrics)
            if journal is not None and journal.checkpoint is not checkpoint:
                saved_at = time.monotonic()
                self._log_checkpoint(epoch, journal.checkpoint)
            self.after_epoch(trainer, epoch, metrics, new)
        self.report_progress(self.phase, self.n_epochs, self.n_epochs, "epochs")
        scores = self.recorded("final test", {}, trainer.evaluate, trainer)
        if self.journal is not None:
            self.journal.restore(trainer)
        return self.result(trainer, scores)

    def _saves(self, epoch: int, saved_at: float) -> bool:
        """Return whether the state is saved after an epoch.

        Args:
            epoch: index of the epoch, starting at 0.
            saved_at: time when the state was last saved, or when the process started to train.
        """
        is_due = time.monotonic() - saved_at >= 60 * self.checkpoint_minutes
        return is_due or epoch == self.n_epochs - 1

    def _log_checkpoint(self, epoch: int, checkpoint: Checkpoint | None) -> None:
        if checkpoint is None or not self.checkpoint_minutes:
            return
        self.log(
            f"  checkpoint after epoch {epoch + 1}: {checkpoint.size / 1e6:,.1f} MB, written in "
            f"{checkpoint.seconds:.1f} s"
        )


def read_stage_result(
    folder: str | Path, name: str, stage: str, parse: Callable[[Any], Any]
) -> Any:
    """Read the result of a stage from a JSON file in its run folder.

    Args:
        folder: run folder of the stage.
        name: name of the file.
        stage: name of the stage that writes the file, for error messages.
        parse: function that converts the JSON value to the result; it raises ``ValueError``,
            ``KeyError``, ``TypeError`` or ``AttributeError`` if the value is invalid.

    Raises:
        ValueError: the file is missing or damaged.
    """
    path = Path(folder) / name
    if not path.exists():
        raise ValueError(
            f"{folder} contains no {name}: it is not the run folder of {stage}, or that run has "
            "not ended. In a search with several stages, each stage has its own run folder."
        )
    try:
        return parse(json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path} is damaged: {error}") from None


__getattr__ = renamed_names(__name__, Preparation="TrainingStage")
