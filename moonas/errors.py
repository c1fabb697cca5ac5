"""Exceptions and warnings of moonas, and the messages of exceptions on one line."""

import textwrap

REASON_LENGTH = 600  # characters of a message of PyTorch, which can list hundreds of tensors


class SearchFailed(RuntimeError):
    """A run cannot continue: the evaluation of every candidate failed, or training diverged."""


class UnknownSetting(ValueError, TypeError):
    """A setting does not exist; a ``TypeError``, too, as for any unknown keyword argument."""


class TrainingWarning(UserWarning):
    """A training has learned nothing so far, so scores that depend on it are not meaningful."""


class TimingWarning(UserWarning):
    """Latencies were measured while other work used the device, so they may be too high."""


def reason(error: BaseException, length: int = REASON_LENGTH) -> str:
    """Return the message of an exception on one line, shortened to ``length`` characters."""
    return textwrap.shorten(str(error) or repr(error), length, placeholder=" ...")
