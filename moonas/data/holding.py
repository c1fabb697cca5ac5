"""Choice of where the images of a folder are kept, and preparation of their stores."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from ..errors import UnreadableImages
from ..run.numbers import memory_text
from .disk_cache import DiskCache, without
from .form import ImageForm
from .image_files import damaged_images_error
from .listing import Listing
from .pixel_statistics import measured_rows, sum_pixels
from .stores import READ_AT_ONCE, FileStore, ImageStore, MemoryStore, Progress, default_workers

MEMORY_SHARE = 0.25  # of the machine's memory that images may take by default


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
    n_train = len(files.train_paths)
    store = FileStore(
        [*files.train_paths, *files.test_paths],
        form,
        default_workers() if workers is None else workers,
    )
    cache = DiskCache(folder, form, len(store))
    place, reason = choose_place(data_in, cache)
    report = on_progress or (lambda *args: None)
    measured = measured_rows(n_train)
    pixels: ImageStore
    if place == "stream":
        everything = skip or len(measured) == n_train
        rows = torch.arange(len(store)) if everything else measured
        errors, sums = cache.scan(store, rows, measured, report)
        pixels = store
    else:
        if place == "cache":
            errors = cache.build(store, report)
            pixels = cache.open()
        else:
            content = torch.empty(cache.shape, dtype=torch.uint8)
            errors = store.decode_into(content, report)
            pixels = MemoryStore(content)
        batches = torch.split(without(measured, errors), READ_AT_ONCE)
        parts = (pixels.read(rows) for rows in batches)
        sums = sum_pixels(parts, form.channels)
    return Held(
        pixels.subset(torch.arange(n_train)),
        pixels.subset(torch.arange(n_train, len(store))),
        errors,
        sums,
        len(without(measured, errors)),
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
    return len(store) * math.prod(store.shape) <= MEMORY_SHARE * machine_memory()


def in_memory(store: FileStore, advice: str = "") -> MemoryStore:
    """Decode the images of a store into memory.

    Args:
        store: the images.
        advice: last sentence of an error message.

    Raises:
        UnreadableImages: files cannot be read as images; the message lists them.
    """
    pixels, errors = decode(store)
    if errors:
        error = damaged_images_error([ValueError(e) for e in errors.values()], len(store))
        raise UnreadableImages(f"{error}. {advice}" if advice else str(error))
    return MemoryStore(pixels)


def decode(store: FileStore) -> tuple[Tensor, dict[int, str]]:
    """Decode the images of a store.

    Returns:
        The pixels, uint8 (n, c, h, w); and position -> message about each file that cannot be read,
        whose pixels are undefined.
    """
    pixels = torch.empty(len(store), *store.shape, dtype=torch.uint8)
    return pixels, store.decode_into(pixels, lambda *args: None)


def choose_place(data_in: str, cache: DiskCache) -> tuple[str, str]:
    """Return where images are kept, and why.

    Args:
        data_in: see :func:`hold`.
        cache: the cache of the images, which may not exist.

    Returns:
        "memory", "stream" or "cache"; and a sentence for the log.
    """
    limit, size = int(MEMORY_SHARE * machine_memory()), memory_text(cache.n_bytes)
    place = data_in
    if data_in == "auto":
        place = "memory" if cache.n_bytes <= limit else "cache" if cache.exists() else "stream"
    where = {
        "memory": "are kept in memory",
        "stream": "are decoded from their files whenever they are needed",
        "cache": "are read from the cache on disk",
    }[place]
    quarter = f"a quarter of the memory is {memory_text(limit)}"
    chosen = f"{cache.shape[0]:,} images {where} (data_in={data_in})"
    return place, f"{chosen}; as 8-bit pixels, they take {size}, and {quarter}."


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
