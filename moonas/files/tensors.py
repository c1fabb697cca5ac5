"""The file format for tensors: a JSON header, a fingerprint and the tensors.

A file contains a dict that ``torch.save`` writes, with the keys

    format     1
    about      header, a dict as JSON text
    check      fingerprint of the tensors
    tensors    dict of tensors by name

Files are read with ``weights_only=True``, so reading a file never executes code from it. Two older
formats can be read as well: the same dict without ``format``, and a plain dict of tensors, without
a header and a fingerprint.
"""

from __future__ import annotations

import hashlib
import io
import json
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from .atomic import write_atomically

FORMAT = 1


def tensor_bytes(tensor: Tensor) -> bytes:
    """Return the elements of a tensor as bytes, in row-major order."""
    flat = tensor.detach().cpu().contiguous().reshape(-1)
    return flat.view(torch.uint8).numpy().tobytes()


def fingerprint(tensors: Mapping[str, Tensor]) -> str:
    """Return the SHA-256 digest of named tensors as hexadecimal text.

    The digest depends on the names, data types, shapes and elements of the tensors, but not on
    the order of the names or on the device.
    """
    digest = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor_bytes(tensor))
    return digest.hexdigest()


def write_tensors(path: str | Path, tensors: Mapping[str, Tensor], about: dict[str, Any]) -> str:
    """Write tensors and a header to a file, atomically.

    If the file already contains the same header and tensors, in this or an older format, the file
    is not rewritten, because a later stage may have recorded its checksum.

    Args:
        path: path of the file.
        tensors: tensors by name, on any device.
        about: header, a JSON-serializable dict.

    Returns:
        The :func:`fingerprint` of the tensors.

    Raises:
        TypeError: the header is not JSON-serializable.
        OSError: the disk is full, or the folder is not writable.
    """
    tensors, header = _to_cpu(tensors), json.dumps(about)
    digest = fingerprint(tensors)
    if not _is_up_to_date(path, json.loads(header), digest):
        _save(path, {"format": FORMAT, "about": header, "check": digest, "tensors": tensors})
    return digest


def write_state_dict(path: str | Path, tensors: Mapping[str, Tensor]) -> None:
    """Write a plain state dict, atomically, which other programs can read with ``torch.load``."""
    _save(path, _to_cpu(tensors))


def read_tensors(
    path: str | Path,
    *,
    content: str = "tensors of moonas",
    expected_fingerprint: str | None = None,
) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Read the header and the tensors of a file to the CPU, without executing code from the file.

    Args:
        path: path of the file.
        content: description of the expected content, for error messages.
        expected_fingerprint: fingerprint that the tensors must have; by default the fingerprint in
            the file. A plain dict of tensors has no fingerprint, and is then not checked.

    Returns:
        (header, tensors by name). The header of a plain dict of tensors is {}.

    Raises:
        ValueError: the file is missing or corrupt, or contains something else.
    """
    try:
        with open(path, "rb") as file:
            loaded = torch.load(file, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise ValueError(f"{path} is missing.") from None
    except pickle.UnpicklingError:  # whose message gives advice on the arguments of torch.load
        cause = ValueError("it is another file, is damaged, or contains more than tensors")
        raise unreadable_file_error(path, content, cause) from None
    except Exception as error:  # torch.load raises many exception types for a corrupt archive
        raise unreadable_file_error(path, content, error) from None
    try:
        about, tensors = {}, loaded
        if isinstance(loaded.get("about"), str):
            if loaded.get("format", FORMAT) != FORMAT:
                raise ValueError(f"it has format {loaded['format']}; expected {FORMAT}")
            about, tensors = json.loads(loaded["about"]), loaded["tensors"]
            expected_fingerprint = expected_fingerprint or loaded["check"]
        matches = expected_fingerprint in (None, fingerprint(tensors))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise unreadable_file_error(path, content, error) from None
    if not matches:
        raise ValueError(f"{path} is damaged: it does not contain the tensors that were saved.")
    return about, tensors


def part_of_state(state: Mapping[str, Tensor], part: str) -> dict[str, Tensor]:
    """Return NAME -> tensor for the keys ``PART.NAME`` of a flat dict, where PART is ``part``."""
    start = f"{part}."
    return {key[len(start) :]: t for key, t in state.items() if key.startswith(start)}


def unreadable_file_error(path: str | Path, content: str, error: BaseException) -> ValueError:
    """Return an exception for a file that does not contain the expected content.

    Args:
        path: path of the file.
        content: description of the expected content.
        error: exception that was raised while reading the file.
    """
    return ValueError(f"{path} does not contain {content}: {first_line(error)}")


def first_line(error: BaseException) -> str:
    """Return the first line of the message of an exception; PyTorch messages are often long."""
    return (str(error) or repr(error)).splitlines()[0]


def _is_up_to_date(path: str | Path, about: dict[str, Any], digest: str) -> bool:
    try:
        return Path(path).exists() and read_tensors(path, expected_fingerprint=digest)[0] == about
    except ValueError:
        return False


def _to_cpu(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}


def _save(path: str | Path, value: dict[str, Any]) -> None:
    buffer = io.BytesIO()
    torch.save(value, buffer)
    write_atomically(path, buffer.getvalue())
