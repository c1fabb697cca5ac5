"""A file of decoded images on disk, and what is known about the images of a folder."""

from __future__ import annotations

import hashlib
import json
import math
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import PIL
import torch
from torch import Tensor

from ..files.atomic import write_atomically
from ..files.cache import cache_folder, cached
from ..files.image_folders import folder_content
from ..run.numbers import memory_text
from .form import ImageForm
from .pixel_statistics import sum_pixels
from .stores import READ_AT_ONCE, CacheStore, FileStore, Progress

CACHE_FORMAT = 1


class DiskCache:
    """Decoded images of a folder in the cache folder, and what is known about them.

    The names of the files are determined by the content of the folder, so the cache is also found
    if the folder has moved, and not used if an image has changed.

    Args:
        folder: path of the folder of images.
        form: form of the images.
        n: number of images.

    Attributes:
        shape: shape (n, c, h, w) of all images.
    """

    def __init__(self, folder: str, form: ImageForm, n: int) -> None:
        self.folder, self.form = folder, form.whole
        self.shape = n, form.channels, *self.form.size
        self._key: str | None = None

    @property
    def key(self) -> str:
        """Digest of the content of the folder and the form of the images."""
        if self._key is None:
            version = PIL.__version__  # decoders differ
            content = folder_content(self.folder)
            identity = [CACHE_FORMAT, version, str(self.form), self.shape, content]
            text = json.dumps(identity, sort_keys=True)
            self._key = hashlib.sha256(text.encode()).hexdigest()[:32]
        return self._key

    @property
    def pixels(self) -> Path:
        """Path of the file of pixels."""
        return cache_folder() / f"images-{self.key}.bin"

    @property
    def errors(self) -> Path:
        """Path of the file of errors; it exists if the file of pixels is complete."""
        return self.pixels.with_suffix(".json")

    @property
    def n_bytes(self) -> int:
        """Size in bytes of the file of pixels."""
        return math.prod(self.shape)

    def exists(self) -> bool:
        """Return whether the cache is complete, and this user can read it."""
        try:
            complete = self.errors.exists() and self.pixels.stat().st_size == self.n_bytes
        except OSError:
            return False
        return complete and all(os.access(path, os.R_OK) for path in (self.errors, self.pixels))

    def open(self) -> CacheStore:
        """Return the store of all images."""
        n, c, h, w = self.shape
        return CacheStore(self.pixels, n, (c, h, w))

    def build(self, store: FileStore, report: Progress) -> dict[int, str]:
        """Decode all images into the cache, unless it exists.

        Several processes may do this at the same time.

        Returns:
            Errors as :meth:`.FileStore.decode_into` returns them.

        Raises:
            ValueError: the disk is too small, or the cache folder cannot be written.
        """
        if self.exists():
            errors = _keys_to_int(json.loads(self.errors.read_text()))
            if not errors or _still_damaged(store, errors):
                return errors
        folder = cache_folder()
        advice = "Set MOONAS_CACHE to a folder on another disk, or data_in=stream."
        unfinished = folder / f"images-{uuid.uuid4().hex}.part"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            free = shutil.disk_usage(folder).free
            if free < self.n_bytes:
                raise ValueError(
                    f"The cache of decoded images needs {memory_text(self.n_bytes)}, but only "
                    f"{memory_text(free)} are free in {folder}. {advice}"
                )
            errors = self._decode(store, unfinished, report)
            os.replace(unfinished, self.pixels)
            write_atomically(self.errors, json.dumps(errors).encode())
        except OSError as error:
            raise ValueError(
                f"The cache of decoded images cannot be written: {error}. {advice}"
            ) from None
        finally:
            with suppress(OSError):
                unfinished.unlink(missing_ok=True)
        return errors

    def _decode(self, store: FileStore, path: Path, report: Progress) -> dict[int, str]:
        """Decode all images into a file, which is closed afterwards; return errors."""
        content = np.memmap(path, np.uint8, "w+", shape=self.shape)
        errors = store.decode_into(torch.from_numpy(content), report)
        content.flush()
        return errors

    def scan(
        self, store: FileStore, rows: Tensor, measured: Tensor, report: Progress
    ) -> tuple[dict[int, str], Tensor]:
        """Check and measure images without keeping their pixels; the result is cached.

        Args:
            store: all images.
            rows: positions of the images to check.
            measured: positions of those whose pixels are summed.
            report: called with (phase, done, total, unit).

        Returns:
            Errors as :meth:`.FileStore.decode_into` returns them, and the sums of
            :func:`sum_pixels`.
        """

        def compute() -> bytes:
            errors: dict[int, str] = {}

            def batches() -> Iterator[Tensor]:
                batches = torch.split(rows, READ_AT_ONCE)
                done = 0
                for positions, (pixels, failed) in zip(
                    batches, store.batches_and_errors(batches), strict=True
                ):
                    report("checking images", done, len(rows), "images")
                    done += len(positions)
                    found = {int(positions[i]): str(error) for i, error in failed.items()}
                    errors.update(found)
                    yield pixels[torch.isin(positions, without(measured, found))]
                report("checking images", done, len(rows), "images")

            sums = sum_pixels(batches(), self.shape[1])
            return json.dumps({"errors": errors, "sums": sums.tolist()}).encode()

        name = f"scan-{self.key}-{len(rows)}.json"
        found = json.loads(cached(name, compute))
        errors = _keys_to_int(found["errors"])
        if errors and not _still_damaged(store, errors):
            (cache_folder() / name).unlink(missing_ok=True)
            found = json.loads(cached(name, compute))
            errors = _keys_to_int(found["errors"])
        return errors, torch.tensor(found["sums"])


def _keys_to_int(errors: dict[str, Any]) -> dict[int, str]:
    return {int(position): message for position, message in errors.items()}


def _still_damaged(store: FileStore, errors: dict[int, str]) -> bool:
    """Return whether no file with a recorded error can be read by now.

    The cause may have been another one than the file, such as a lack of memory.
    """
    rows = torch.tensor(list(errors))
    ((_, found),) = store.batches_and_errors([rows])
    return len(found) == len(errors)


def without(rows: Tensor, errors: dict[int, str]) -> Tensor:
    """Return the rows, (n,) ints, at which there is no error."""
    return rows[~torch.isin(rows, torch.tensor(list(errors), dtype=torch.int64))]
