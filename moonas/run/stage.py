"""Stages of a task: what searches and trainings share, and those that are no pymoo problem."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .callbacks import Callbacks
from .session import Session

if TYPE_CHECKING:
    import torch

    from ..settings import RunSettings
    from .journal import Journal


class Stage:
    """A part of a task whose work a journal can record.

    Attributes:
        settings: its Settings.
        device: where networks run, a ``torch.device``.
        inputs: checksums by name of the files that results depend on.
    """

    settings: RunSettings
    device: torch.device
    inputs: Mapping[str, str] = {}

    @cached_property
    def session(self) -> Session:
        """What belongs to one run: journal, callbacks and seed."""
        return Session()

    @property
    def journal(self) -> Journal | None:
        """What records the run, or None."""
        return self.session.journal

    @property
    def callbacks(self) -> Callbacks:
        """List of :class:`~moonas.run.callbacks.RunCallback` that are called during a run."""
        return self.session.callbacks

    def report_progress(self, phase: str, done: int, total: int, unit: str) -> None:
        """Call the callbacks' :meth:`~moonas.run.callbacks.RunCallback.on_progress`."""
        self.callbacks.on_progress(phase, done, total, unit)

    def log(self, text: str) -> None:
        """Call the callbacks' :meth:`~moonas.run.callbacks.RunCallback.on_log`."""
        self.callbacks.on_log(text)

    def recorded(self, kind, request, compute, stateful=None, saves=False):
        """The result of a call, from the journal or computed; see :meth:`.Journal.call`."""
        return self.session.recorded(kind, request, compute, stateful, saves)

    def environment(self) -> str:
        """Device and threads: what may change the last bits of a result."""
        return f"{self.device}, {self.settings.threads} threads"


class TrainingStage(Stage):
    """A stage that is no pymoo problem: it runs once, and the next stage starts from its result.

    A subclass gives

    - ``device``, and ``description``, the kind of training, which the journal records;
    - ``run(seed)``, which returns the result and does all long work through :meth:`recorded`; it
      begins with :meth:`begin`;
    - ``report(result, folder)``, which writes the result into the folder, where the next stage
      reads it (``from_run=``), and returns the lines to print.
    """

    description = ""

    def begin(self, seed: int) -> None:
        """Start the run, or start to replay it, see :meth:`moonas.run.journal.Journal.begin`."""
        self.session.begin(seed, self.description, self.environment())

    def run(self, seed: int) -> Any:
        """Do the work and return the result."""
        raise NotImplementedError

    def report(self, result: Any, folder: Path) -> list[str]:
        """Write the result into the run folder; the lines to print."""
        raise NotImplementedError


class EpochTraining(TrainingStage):
    """A stage that trains for some epochs, with a checkpoint after each, and evaluates once.

    A subclass gives, besides what :class:`TrainingStage` asks for,

    - ``phase``, the name of the work for progress bars, and ``n_epochs``;
    - ``start(seed)``, which returns a trainer with ``train(epoch)`` -> metrics, a dict,
      ``evaluate()`` -> scores, a dict, ``state()`` -> a dict of tensors and ``load_state(state)``;
    - ``line(epoch, metrics)``, the line of the log after every tenth epoch;
    - ``result(trainer, scores)``, what ``run`` returns.
    """

    phase = "training"
    n_epochs = 0

    def start(self, seed: int) -> Any:
        """The trainer, with untrained weights."""
        raise NotImplementedError

    def line(self, epoch: int, metrics: dict[str, Any]) -> str:
        """The line of the log on an epoch."""
        raise NotImplementedError

    def result(self, trainer: Any, scores: dict[str, Any]) -> Any:
        """What :meth:`run` returns."""
        raise NotImplementedError

    def run(self, seed: int) -> Any:
        """Train, or resume from the journal, and evaluate.

        Args:
            seed: of the run.

        Raises:
            SearchFailed: no step of an epoch had a finite loss.
        """
        self.begin(seed)
        trainer = self.start(seed)
        for epoch in range(self.n_epochs):
            self.report_progress(self.phase, epoch, self.n_epochs, "epochs")
            one = partial(trainer.train, epoch)
            metrics = self.recorded("train", {"epoch": epoch}, one, trainer, saves=True)
            if epoch % 10 == 9:
                self.log(self.line(epoch, metrics))
        self.report_progress(self.phase, self.n_epochs, self.n_epochs, "epochs")
        scores = self.recorded("final test", {}, trainer.evaluate, trainer)
        if self.journal is not None:
            self.journal.restore(trainer)
        return self.result(trainer, scores)


def read_stage_result(
    folder: str | Path, name: str, stage: str, parse: Callable[[Any], Any]
) -> Any:
    """The result that a stage left in its run folder, in a JSON file.

    Args:
        folder: run folder.
        name: name of the file.
        stage: the stages that write such files, for messages.
        parse: turns the content of the file into the result; raises if something is missing.

    Raises:
        ValueError: there is no such file, or it is damaged.
    """
    path = Path(folder) / name
    if not path.exists():
        raise ValueError(
            f"{folder} holds no {name}: it is no run of {stage}, or that has not ended. A search "
            "of several stages has each in a folder of its own."
        )
    try:
        return parse(json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path} is damaged: {error}") from None
