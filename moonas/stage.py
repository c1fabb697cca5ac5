"""Stages of a task: what all of them share, and those that are no pymoo problem."""

import json
from pathlib import Path


class Stage:
    """A part of a task whose work a journal can record.

    Attributes:
        settings: its Settings.
        device: where networks run.
        inputs: checksums by name of files that its results depend on; never changed.
        journal: a :class:`~moonas.journal.Journal`, or None.
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
        """The result of a call, see :meth:`moonas.journal.Journal.call`; without one, computed."""
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
        """Start the run, or start to replay it, see :meth:`moonas.journal.Journal.begin`."""
        if self.journal is not None:
            self.journal.begin(seed, self.in_words, self.where())


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
