"""Stages of a task: what all of them share, and those that are no pymoo problem."""

import json
from functools import partial
from pathlib import Path


class Stage:
    """A part of a task whose work a journal can record.

    Attributes:
        settings: its Settings.
        device: where networks run.
        inputs: checksums by name of files that its results depend on; never changed.
        journal: a :class:`~moonas.run.journal.Journal`, or None.
        progress: (phase, done, total, unit) -> None, told while something long runs, or None.
        remark: (text) -> None, told what a reader of the log wants to know, or None.
    """

    settings = None
    inputs = {}  # noqa: RUF012
    journal = progress = remark = None

    def tell(self, phase, done, total, unit):
        """Pass on how far something long is to ``progress``, if anyone listens.

        Args:
            phase: what is going on, in words.
            done: how many ``unit`` of it are done.
            total: of how many.
            unit: what is counted, in the plural.
        """
        if self.progress is not None:
            self.progress(phase, done, total, unit)

    def say(self, text):
        """Pass on a line for the log to ``remark``, if anyone listens."""
        if self.remark is not None:
            self.remark(text)

    def recorded(self, kind, request, compute, holder=None, saves=False):
        """The result of a call, from the journal or computed; see :meth:`.Journal.call`."""
        if self.journal is None:
            return compute()
        return self.journal.call(kind, request, compute, holder, saves)

    def where(self):
        """In words, what may change the last bits of a result."""
        return f"{self.device}, {self.settings.threads} threads"


class Preparation(Stage):
    """A stage that is no pymoo problem: it runs once, and the next stage starts from its result.

    A subclass gives

    - ``device``, and ``in_words``, what is done, for telling one run from another;
    - ``run(seed)`` -> the result, all long work through :meth:`recorded`; it begins with
      :meth:`begin`;
    - ``report(result, folder)`` -> lines to print; it writes the result into the folder, for the
      next stage to read with ``from_run=``.
    """

    in_words = ""

    def begin(self, seed):
        """Start the run, or start to replay it, see :meth:`moonas.run.journal.Journal.begin`."""
        if self.journal is not None:
            self.journal.begin(seed, self.in_words, self.where())


class EpochTraining(Preparation):
    """A preparation that trains something epoch by epoch and judges it once, in the end.

    A subclass gives, besides what a preparation gives,

    - ``phase``, what is done, in words, and ``n_epochs``;
    - ``start(seed)`` -> what is trained: ``train(epoch)`` -> a dict that tells of it, ``judge()``
      -> a dict of scores, ``state()`` -> a dict of tensors and ``load_state(state)``;
    - ``line(epoch, told)``, the line of text that every tenth epoch gets;
    - ``result(trained, scores)``, what ``run`` gives.
    """

    phase = "training"
    n_epochs = 0

    def run(self, seed):
        """Train, or go on with what the journal holds, and judge.

        Args:
            seed: of the run.

        Raises:
            SearchFailed: no step of an epoch had a finite loss.
        """
        self.begin(seed)
        training = self.start(seed)
        for epoch in range(self.n_epochs):
            self.tell(self.phase, epoch, self.n_epochs, "epochs")
            one = partial(training.train, epoch)
            told = self.recorded("train", {"epoch": epoch}, one, training, saves=True)
            if epoch % 10 == 9:
                self.say(self.line(epoch, told))
        self.tell(self.phase, self.n_epochs, self.n_epochs, "epochs")
        scores = self.recorded("final test", {}, training.judge, training)
        if self.journal is not None:
            self.journal.settle(training)
        return self.result(training, scores)


def read_left(folder, name, stage, parse):
    """What a stage has left in its run folder for others, in a JSON file.

    Args:
        folder: of the run.
        name: of the file.
        stage: whose runs leave such files, in words.
        parse: what the file holds -> the result; what is not as it should be, it raises.

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
