"""Choice of where the images of a folder are kept, and preparation of the stores."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..files.atomic import write_atomically
from ..files.cache import cache_folder, cached
from ..files.image_folders import folder_content
from ..run.numbers import memory_text
from .form import ImageForm
from .image_files import damaged_images_error
from .listing import Listing
from .stores import CacheStore, FileStore, ImageStore, MemoryStore, default_workers

Progress = Callable[[str, int, int, str], None]  # (phase, done, total, unit)

MEMORY_SHARE = 0.25  # of the machine's memory that images may take by default
READ_AT_ONCE = 64  # images that a process decodes at a time
MOST_MEASURED = 60_000  # training images that determine mean and standard deviation; of larger sets
N_MEASURED = 10_000  # this many, evenly spaced
CACHE_FORMAT = 1


@dataclass(frozen=True)
class Held:
    """The images of a folder, and what reading them has shown.

    Args:
        train: training images.
        test: test images.
        errors: position -> message about a file that cannot be read; test images follow the
            training images. The stores contain these images, with undefined pixels.
        sums: (channels, 2) sums of the pixel values and of their squares, over the readable ones of
            the images of :func:`measured_rows`.
        n_measured: number of these images.
        reason: why the images are where they are, as a sentence.
    """

    train: ImageStore
    test: ImageStore
    errors: dict[int, str]
    sums: Tensor
    n_measured: int
    reason: str


def hold(
    folder: str,
    files: Listing,
    form: ImageForm,
    *,
    data_in: str = "auto",
    workers: int | None = None,
    skip: bool = False,
    on_progress: Progress | None = None,
) -> Held:
    """Prepare the images of a folder for reading.

    Args:
        folder: path of the folder.
        files: its images.
        form: form of the images.
        data_in: "memory", "stream" to decode files whenever they are needed, "cache" to decode them
            once into a file on disk, or "auto": memory if the 8-bit pixels take at most a quarter
            of the machine's memory, otherwise the cache if it exists, or the files.
        workers: number of processes that decode images; by default one per CPU, at most 8.
        skip: whether all files are checked, although only some of a large set are measured.
        on_progress: called with (phase, done, total, unit) while images are read.

    Raises:
        ValueError: the disk is too small for the cache.
    """
    n_train, n_test = len(files.train_paths), len(files.test_paths)
    shape = form.channels, form.stored_side, form.stored_side
    n_bytes = (n_train + n_test) * int(np.prod(shape))
    store = FileStore(
        [*files.train_paths, *files.test_paths],
        form,
        default_workers() if workers is None else workers,
    )
    cache = DiskCache(folder, form, (n_train + n_test, *shape))
    place, reason = choose_place(data_in, n_train + n_test, n_bytes, cache)
    report = on_progress or (lambda *args: None)
    measured = measured_rows(n_train)
    pixels: ImageStore
    if place == "stream":
        everything = skip or n_train <= MOST_MEASURED
        rows = torch.arange(len(store)) if everything else measured
        errors, sums = cache.scan(store, rows, measured, report)
        pixels = store
    else:
        if place == "cache":
            errors = cache.build(store, report)
            pixels = cache.open()
        else:
            content = torch.empty(len(store), *shape, dtype=torch.uint8)
            errors = decode(store, content, report)
            pixels = MemoryStore(content)
        kept = _without(measured, errors)
        parts = (pixels.read(rows) for rows in torch.split(kept, READ_AT_ONCE))
        sums = sum_pixels(parts, form.channels)
    return Held(
        pixels.subset(torch.arange(n_train)),
        pixels.subset(torch.arange(n_train, n_train + n_test)),
        errors,
        sums,
        len(_without(measured, errors)),
        reason,
    )


def hold_files(paths: Sequence[Path], form: ImageForm) -> ImageStore:
    """Return a store of image files: in memory if they take at most a quarter of it.

    Args:
        paths: paths of the files.
        form: form of the images.

    Raises:
        ValueError: files cannot be read as images; the message lists them.
    """
    store = FileStore(paths, form, default_workers())
    return in_memory(store) if fits_into_memory(store) else store


def fits_into_memory(store: ImageStore) -> bool:
    """Return whether the images of a store take at most a quarter of the memory."""
    return len(store) * int(np.prod(store.shape)) <= MEMORY_SHARE * machine_memory()


def in_memory(store: FileStore) -> MemoryStore:
    """Decode the images of a store into memory.

    Raises:
        ValueError: files cannot be read as images; the message lists them.
    """
    pixels = torch.empty(len(store), *store.shape, dtype=torch.uint8)
    errors = decode(store, pixels, lambda *args: None)
    if errors:
        raise damaged_images_error({i: ValueError(e) for i, e in errors.items()}, len(store))
    return MemoryStore(pixels)


def choose_place(data_in: str, n: int, n_bytes: int, cache: DiskCache) -> tuple[str, str]:
    """Return where images are kept, and why.

    Args:
        data_in: see :func:`hold`.
        n: number of images.
        n_bytes: their size as 8-bit pixels.
        cache: the cache of these images, which may not exist.

    Returns:
        "memory", "stream" or "cache"; and a sentence for the log.
    """
    limit, size = int(MEMORY_SHARE * machine_memory()), memory_text(n_bytes)
    place = data_in
    if data_in == "auto":
        place = "memory" if n_bytes <= limit else "cache" if cache.exists() else "stream"
    where = {
        "memory": "are kept in memory",
        "stream": "are decoded from their files whenever they are needed",
        "cache": "are read from the cache on disk",
    }[place]
    quarter = f"a quarter of the memory is {memory_text(limit)}"
    return place, f"{n:,} images {where}; as 8-bit pixels, they take {size}, and {quarter}."


def machine_memory() -> int:
    """Return the memory in bytes that this process may use at most."""
    limits = []
    if hasattr(os, "sysconf"):
        limits.append(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
        import resource

        limits.append(resource.getrlimit(resource.RLIMIT_AS)[0])
    for name in ("memory.max", "memory/memory.limit_in_bytes"):  # of containers
        try:
            limits.append(int((Path("/sys/fs/cgroup") / name).read_text()))
        except (OSError, ValueError):
            continue
    return min((limit for limit in limits if limit > 0), default=2**33)


def measured_rows(n: int) -> Tensor:
    """Return the positions of the training images that determine mean and standard deviation.

    Args:
        n: number of training images.
    """
    if n <= MOST_MEASURED:
        return torch.arange(n)
    return torch.from_numpy(np.arange(N_MEASURED) * n // N_MEASURED)


def decode(store: FileStore, out: Tensor, report: Progress) -> dict[int, str]:
    """Decode all images of a store.

    Args:
        store: the images.
        out: (n, c, h, w) uint8, to which the pixels are written.
        report: called with (phase, done, total, unit).

    Returns:
        Position -> message about each file that cannot be read.
    """
    errors: dict[int, str] = {}
    batches = torch.split(torch.arange(len(store)), READ_AT_ONCE)
    for rows, (pixels, failed) in zip(batches, store.batches_and_errors(batches), strict=True):
        first, after = int(rows[0]), int(rows[-1]) + 1
        report("reading images", first, len(store), "images")
        out[first:after] = pixels
        errors |= {first + i: str(error) for i, error in failed.items()}
    report("reading images", len(store), len(store), "images")
    return errors


def sum_pixels(batches: Iterator[Tensor], channels: int) -> Tensor:
    """Return the sums of pixel values and of their squares, exact int64 (channels, 2).

    Args:
        batches: uint8 (b, channels, h, w) pixels.
        channels: number of channels.
    """
    sums = torch.zeros(channels, 2, dtype=torch.int64)
    for pixels in batches:
        values = pixels.transpose(0, 1).flatten(1)
        for sums_of_channel, of_channel in zip(sums, values, strict=True):
            counts = torch.bincount(of_channel, minlength=256)
            levels = torch.arange(256)
            sums_of_channel += torch.stack([(counts * levels).sum(), (counts * levels**2).sum()])
    return sums


def mean_and_std(sums: Tensor, n_pixels: int, levels: int) -> tuple[Tensor, Tensor]:
    """Return mean and standard deviation of pixels in [0, 1], each (1, channels, 1, 1).

    Args:
        sums: (channels, 2) sums of pixel values and of their squares.
        n_pixels: number of pixels of a channel.
        levels: pixel value of white.
    """
    total, squares = sums.double().unbind(1)
    mean = total / n_pixels
    variance = (squares - n_pixels * mean**2) / max(1, n_pixels - 1)
    std = variance.clamp_min(0).sqrt() / levels
    return (
        (mean / levels).float()[None, :, None, None],
        std.float().clamp_min(1e-6)[None, :, None, None],
    )


def _without(rows: Tensor, errors: dict[int, str]) -> Tensor:
    return rows[~torch.isin(rows, torch.tensor(list(errors), dtype=torch.int64))]


class DiskCache:
    """Decoded images of a folder in the cache folder, and what is known about them.

    The names of the files are determined by the content of the folder, so the cache is also found
    if the folder has moved, and not used if an image has changed.

    Args:
        folder: path of the folder of images.
        form: form of the images.
        shape: shape (n, c, h, w) of all images.
    """

    def __init__(self, folder: str, form: ImageForm, shape: tuple[int, ...]) -> None:
        self.folder, self.form, self.shape = folder, form.whole, shape
        self._key: str | None = None

    @property
    def key(self) -> str:
        """Digest of the content of the folder and the form of the images."""
        if self._key is None:
            identity = [CACHE_FORMAT, str(self.form), self.shape, folder_content(self.folder)]
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
        return int(np.prod(self.shape))

    def exists(self) -> bool:
        """Return whether the cache is complete."""
        try:
            return self.errors.exists() and self.pixels.stat().st_size == self.n_bytes
        except OSError:
            return False

    def open(self) -> CacheStore:
        """Return the store of all images."""
        n, c, h, w = self.shape
        return CacheStore(self.pixels, n, (c, h, w))

    def build(self, store: FileStore, report: Progress) -> dict[int, str]:
        """Decode all images into the cache, unless it exists; return errors as :func:`decode`.

        Several processes may do this at the same time.

        Raises:
            ValueError: the disk is too small, or the cache folder cannot be written.
        """
        if self.exists():
            return _keys_to_int(json.loads(self.errors.read_text()))
        folder = cache_folder()
        advice = "Set MOONAS_CACHE to a folder on another disk, or data_in=stream."
        try:
            folder.mkdir(parents=True, exist_ok=True)
            free = shutil.disk_usage(folder).free
            if free < self.n_bytes:
                raise ValueError(
                    f"The cache of decoded images needs {memory_text(self.n_bytes)}, but only "
                    f"{memory_text(free)} are free in {folder}. {advice}"
                )
            handle, name = tempfile.mkstemp(prefix="images-", suffix=".part", dir=folder)
        except OSError as error:
            raise ValueError(
                f"The cache of decoded images cannot be written: {error}. {advice}"
            ) from None
        os.close(handle)
        try:
            content = np.memmap(name, np.uint8, "w+", shape=self.shape)
            errors = decode(store, torch.from_numpy(content), report)
            content.flush()
            os.replace(name, self.pixels)
        finally:
            Path(name).unlink(missing_ok=True)
        write_atomically(self.errors, json.dumps(errors).encode())
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
            Errors as :func:`decode` returns them, and the sums of :func:`sum_pixels`.
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
                    yield pixels[torch.isin(positions, _without(measured, found))]
                report("checking images", done, len(rows), "images")

            sums = sum_pixels(batches(), self.shape[1])
            return json.dumps({"errors": errors, "sums": sums.tolist()}).encode()

        found = json.loads(cached(f"scan-{self.key}-{len(rows)}.json", compute))
        return _keys_to_int(found["errors"]), torch.tensor(found["sums"])


def _keys_to_int(errors: dict[str, Any]) -> dict[int, str]:
    return {int(position): message for position, message in errors.items()}
