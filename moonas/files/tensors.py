"""The file format for tensors: a JSON header, a checksum and the tensors.

A file is what ``torch.save`` makes of

    format     1
    about      the header, a dict as JSON text
    check      the fingerprint of the tensors
    tensors    a dict of tensors by name

and is read with ``weights_only=True``, so opening it runs no code. Two older kinds are read as
well: the same dict without ``format``, and a plain dict of tensors, which has neither header nor
checksum.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from .atomic import write_atomically

FORMAT = 1


def tensor_bytes(tensor: Tensor) -> bytes:
    """The elements of a tensor as bytes, in row-major order."""
    flat = tensor.detach().cpu().contiguous().reshape(-1)
    return flat.view(torch.uint8).numpy().tobytes()


def fingerprint(tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 of named tensors: their names, types, shapes and bits, in hexadecimal digits."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor_bytes(tensor))
    return digest.hexdigest()


def write_tensors(path: str | Path, tensors: Mapping[str, Tensor], about: dict[str, Any]) -> str:
    """Write tensors and a header to a file, atomically.

    A file that holds the same already, in whatever kind of format, stays as it is: a later stage
    may have recorded its checksum.

    Args:
        path: of the file.
        tensors: by name, on any device.
        about: the header, a dict that JSON can hold.

    Returns:
        The :func:`fingerprint` of the tensors.

    Raises:
        TypeError: JSON cannot hold the header.
        OSError: the disk is full, or the folder cannot be written.
    """
    tensors, header = _plain(tensors), json.dumps(about)
    check = fingerprint(tensors)
    if not _holds(path, json.loads(header), check):
        _save(path, {"format": FORMAT, "about": header, "check": check, "tensors": tensors})
    return check


def write_state_dict(path: str | Path, tensors: Mapping[str, Tensor]) -> None:
    """Write tensors alone, atomically, for programs that read them with ``torch.load``."""
    _save(path, _plain(tensors))


def read_tensors(
    path: str | Path, *, holds: str = "tensors of moonas", check: str | None = None
) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """The header and the tensors of a file, on the CPU. Reading it runs no code.

    Args:
        path: of the file.
        holds: what the file should hold, for messages.
        check: the fingerprint that the tensors must have. By default it is the one in the file; a
            plain dict of tensors has none, and passes unchecked.

    Returns:
        (about, tensors); ``about`` is {} for a plain dict of tensors.

    Raises:
        ValueError: the file is missing or damaged, or holds something else.
    """
    try:
        with open(path, "rb") as file:
            found = torch.load(file, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise ValueError(f"{path} is missing.") from None
    except Exception as error:  # whatever a damaged archive makes torch raise
        raise unreadable_file_error(path, holds, error) from None
    try:
        about, tensors = {}, found
        if isinstance(found.get("about"), str):
            if found.get("format", FORMAT) != FORMAT:
                raise ValueError(f"it has format {found['format']}, expected {FORMAT}")
            about, tensors = json.loads(found["about"]), found["tensors"]
            check = check or found["check"]
        good = check in (None, fingerprint(tensors))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise unreadable_file_error(path, holds, error) from None
    if not good:
        raise ValueError(f"{path} is damaged: it does not hold the tensors that were saved.")
    return about, tensors


def unreadable_file_error(path: str | Path, holds: str, error: BaseException) -> ValueError:
    """The exception for a file whose content is of another kind than expected.

    Args:
        path: of the file.
        holds: what it should hold.
        error: what went wrong.
    """
    return ValueError(f"{path} holds no {holds}: {first_line(error)}")


def first_line(error: BaseException) -> str:
    """The first line of an exception's message; torch's have many."""
    return (str(error) or repr(error)).splitlines()[0]


def _holds(path: str | Path, about: dict[str, Any], check: str) -> bool:
    try:
        return Path(path).exists() and read_tensors(path, check=check)[0] == about
    except ValueError:
        return False


def _plain(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}


def _save(path: str | Path, value: dict[str, Any]) -> None:
    buffer = io.BytesIO()
    torch.save(value, buffer)
    write_atomically(path, buffer.getvalue())
