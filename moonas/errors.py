"""Exceptions and warnings of moonas, and the messages of exceptions on one line."""

import errno
import textwrap

REASON_LENGTH = 600  # characters of a message of PyTorch, which can list hundreds of tensors
# parts of messages about exhausted memory: the loader of libraries, PyTorch, C++ and threads
MEMORY_MESSAGES = (
    "failed to map segment",
    "cannot allocate memory",
    "can't allocate memory",
    "not enough memory",
    "cannot create shared object",
    "std::bad_alloc",
    "bad allocation",
    "can't start new thread",
)
# of oneDNN, which says no more if it cannot allocate memory
ONEDNN_MESSAGES = ("could not create a primitive", "could not execute a primitive")


class SearchFailed(RuntimeError):
    """A run cannot continue: the evaluation of every candidate failed, or training diverged."""


class UnreadableImages(ValueError):
    """Image files cannot be read, so no candidate can be evaluated."""


class UnknownSetting(ValueError, TypeError):
    """A setting does not exist; a ``TypeError``, too, as for any unknown keyword argument."""


class TrainingWarning(UserWarning):
    """A training has learned nothing so far, so scores that depend on it are not meaningful."""


class TimingWarning(UserWarning):
    """Latencies were measured while other work used the device, so they may be too high."""


def reason(error: BaseException, length: int = REASON_LENGTH, *, without: str = "") -> str:
    """Return the message of an exception on one line, shortened to ``length`` characters.

    Args:
        error: the exception.
        length: number of characters.
        without: text that is left out of the message, such as a path that is known.
    """
    message = str(error) or repr(error)
    if without:
        message = message.replace(without, "")
    return textwrap.shorten(message, length, placeholder=" ...")


def memory_error(error: BaseException) -> BaseException | None:
    """Return the exception which shows that the memory of this machine is exhausted, or None.

    It is ``error`` or an exception that led to it; of several, the first that was raised. An
    exhausted memory of a GPU does not count.
    """
    found, seen = None, set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        if _is_memory_error(current):
            found = current
        seen.add(id(current))
        context = None if current.__suppress_context__ else current.__context__
        current = current.__cause__ or context
    return found


def _is_memory_error(error: BaseException) -> bool:
    if isinstance(error, MemoryError):
        return True
    if isinstance(error, OSError) and error.errno == errno.ENOMEM:
        return True
    text = str(error).lower()
    named = text in ONEDNN_MESSAGES or any(message in text for message in MEMORY_MESSAGES)
    return named and isinstance(error, ImportError | OSError | RuntimeError)
