"""Where the pixels of a data set are kept: in memory, in image files, or in a cache on disk.

All stores return the same 8-bit pixels for the same images, so results do not depend on the store.
"""

from __future__ import annotations

import math
import multiprocessing
import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, get_worker_info

from ..errors import UnreadableImages, reason
from ..nets.randomness import derived_seed
from .form import ImageForm
from .image_files import damaged_images_error, read_images_or_errors

MAX_WORKERS = 8  # processes that decode images by default
GPU_SHARE = 0.25  # of a GPU's memory that images may take
PREFETCHED = 2  # batches that each of them decodes in advance
READ_AT_ONCE = 64  # images that a process decodes at a time if all are read
SKIP_ADVICE = "To leave such files out, set on_bad_image=skip."

Progress = Callable[[str, int, int, str], None]  # (phase, done, total, unit)
# (c, h, w) uint8 pixels from 0 to 255, seed -> changed pixels of the same shape
Change = Callable[[Tensor, int], Tensor]


class ImageStore(ABC):
    """n images of one form, from which batches are read.

    Args:
        shape: shape (c, h, w) of an image.
        levels: pixel value of white.
    """

    def __init__(self, shape: tuple[int, int, int], levels: int = 255) -> None:
        self.shape, self.levels = shape, levels

    @abstractmethod
    def __len__(self) -> int:
        """Return the number of images."""

    @abstractmethod
    def read(self, rows: Tensor) -> Tensor:
        """Read images.

        Args:
            rows: (b,) ints, positions of the images.

        Returns:
            (b, c, h, w) uint8 pixels from 0 to ``levels``.

        Raises:
            ValueError: a file cannot be read as an image.
        """

    @abstractmethod
    def subset(self, rows: Tensor) -> ImageStore:
        """Return the store of some of the images, without copying pixels.

        Args:
            rows: (m,) ints, positions of the images.
        """

    def batches(
        self, rows: Sequence[Tensor], change: Change | None = None, key: int = 0
    ) -> Iterator[Tensor]:
        """Read several batches.

        Args:
            rows: positions of the images of each batch, (b,) ints.
            change: random change of an image, such as RandAugment; its seed is determined by
                ``key`` and the position of the image, so it does not depend on processes. None for
                no change.
            key: number that differs between epochs.

        Yields:
            (b, c, h, w) uint8 pixels of each batch, from 0 to ``levels`` or, after a change, from 0
            to 255.
        """
        for batch in rows:
            pixels = self.read(batch)
            yield pixels if change is None else changed(pixels, self.levels, batch, change, key)

    def to(self, device: torch.device) -> ImageStore:
        """Return the store on a device if its images are in memory, otherwise itself."""
        return self


def changed(pixels: Tensor, levels: int, rows: Tensor, change: Change, key: int) -> Tensor:
    """Change each image of a batch at random, see :meth:`ImageStore.batches`.

    Args:
        pixels: (b, c, h, w) uint8, from 0 to ``levels``.
        levels: pixel value of white.
        rows: (b,) ints, positions of the images.
        change: random change of an image.
        key: number that differs between epochs.

    Returns:
        (b, c, h, w) uint8, from 0 to 255.
    """
    images = pixels.cpu()
    if levels != 255:
        images = (images.float() * (255 / levels)).round().to(torch.uint8)
    pairs = zip(images, rows.tolist(), strict=True)
    return torch.stack([change(image, derived_seed(key, row)) for image, row in pairs]).to(
        pixels.device
    )


class MemoryStore(ImageStore):
    """Images in memory, on the CPU or on a GPU.

    Args:
        pixels: (n, c, h, w) uint8 pixels from 0 to ``levels``.
        levels: pixel value of white.
        rows: (m,) ints, positions in ``pixels`` of the images of this store; None for all.
    """

    def __init__(self, pixels: Tensor, levels: int = 255, rows: Tensor | None = None) -> None:
        c, h, w = pixels.shape[1:]
        super().__init__((c, h, w), levels)
        self.pixels, self.rows = pixels, rows

    def __len__(self) -> int:
        return len(self.pixels if self.rows is None else self.rows)

    def read(self, rows: Tensor) -> Tensor:
        """Return images, see :meth:`ImageStore.read`."""
        rows = rows.to(self.pixels.device)
        return self.pixels[rows if self.rows is None else self.rows[rows]]

    def subset(self, rows: Tensor) -> MemoryStore:
        """Return the store of some of the images."""
        rows = rows.to(self.pixels.device)
        return MemoryStore(self.pixels, self.levels, rows if self.rows is None else self.rows[rows])

    def to(self, device: torch.device) -> MemoryStore:
        """Return the store on a device.

        A copy on a GPU has only the images of this store. If they take more than a quarter of the
        GPU's memory, they stay where they are, and each batch is copied.
        """
        n_bytes = len(self) * self.pixels[0].numel() if len(self) else 0
        if self.pixels.device.type == device.type or n_bytes > largest_on(device):
            return self
        pixels = self.pixels if self.rows is None else self.pixels[self.rows]
        return MemoryStore(pixels.to(device), self.levels)


class FileStore(ImageStore):
    """Images that are decoded from their files whenever they are read.

    Args:
        paths: paths of n files.
        form: form of the images; they are stored before their center is cropped.
        workers: number of processes that decode batches in advance; 0 for none.
    """

    def __init__(self, paths: Sequence[Path], form: ImageForm, workers: int) -> None:
        self.form = form.whole
        super().__init__((form.channels, *self.form.size))
        self.paths, self.workers = paths, workers

    def __len__(self) -> int:
        return len(self.paths)

    def read(self, rows: Tensor) -> Tensor:
        """Decode images, see :meth:`ImageStore.read`."""
        return _checked(_Decoder(self.paths, self.form)[rows])

    def subset(self, rows: Tensor) -> FileStore:
        """Return the store of some of the images."""
        return FileStore([self.paths[i] for i in rows.tolist()], self.form, self.workers)

    def batches(
        self, rows: Sequence[Tensor], change: Change | None = None, key: int = 0
    ) -> Iterator[Tensor]:
        """Decode and change batches in other processes, see :meth:`ImageStore.batches`."""
        for decoded in self._decode(rows, change, key):
            yield _checked(decoded)

    def batches_and_errors(
        self, rows: Sequence[Tensor]
    ) -> Iterator[tuple[Tensor, dict[int, ValueError]]]:
        """Read several batches like :meth:`batches`, but return errors.

        Yields:
            The pixels of each batch, and position in the batch -> error of each file that cannot be
            read; its pixels are undefined.
        """
        return self._decode(rows)

    def decode_into(self, out: Tensor, report: Progress) -> dict[int, str]:
        """Decode all images.

        Args:
            out: (n, c, h, w) uint8, to which the pixels are written.
            report: called with (phase, done, total, unit).

        Returns:
            Position -> message about each file that cannot be read.
        """
        errors: dict[int, str] = {}
        batches = torch.split(torch.arange(len(self)), READ_AT_ONCE)
        for rows, (pixels, failed) in zip(batches, self.batches_and_errors(batches), strict=True):
            first, after = int(rows[0]), int(rows[-1]) + 1
            report("reading images", first, len(self), "images")
            out[first:after] = pixels
            errors |= {first + i: str(error) for i, error in failed.items()}
        report("reading images", len(self), len(self), "images")
        return errors

    def _decode(
        self, rows: Sequence[Tensor], change: Change | None = None, key: int = 0
    ) -> Iterator[tuple[Tensor, dict[int, ValueError]]]:
        rows = [batch.cpu() for batch in rows]  # workers must not use a GPU
        decoder = _Decoder(self.paths, self.form, change, key)
        workers = min(self.workers, len(rows))
        if workers <= 0 or multiprocessing.current_process().daemon:  # these have no children
            yield from map(decoder.__getitem__, rows)
            return
        loader = DataLoader(
            decoder,
            batch_size=None,  # an item of the dataset is a batch
            sampler=rows,
            num_workers=workers,
            prefetch_factor=PREFETCHED,
            generator=torch.Generator(),  # the global one must not advance
        )
        yield from loader


class _Decoder(Dataset[Any]):
    """Maps the positions of a batch, (b,) ints, to its pixels and the errors of unreadable files.

    Args:
        paths: paths of n files.
        form: form of the images.
        change: see :meth:`ImageStore.batches`.
        key: see there.
    """

    def __init__(
        self,
        paths: Sequence[Path],
        form: ImageForm,
        change: Change | None = None,
        key: int = 0,
    ) -> None:
        self.paths, self.form, self.change, self.key = paths, form, change, key

    def __getitem__(self, rows: Tensor) -> tuple[Tensor, dict[int, ValueError]]:
        paths = [self.paths[i] for i in rows.tolist()]
        # a worker would copy other memory into shared memory only after the next batch has begun,
        # which fragments the heap: workers grew by up to a gigabyte
        shared = get_worker_info() is not None
        pixels, errors = read_images_or_errors(paths, self.form, shared=shared)
        if self.change is not None and not errors:
            pixels = changed(pixels, 255, rows, self.change, self.key)
        return pixels, errors


def _checked(decoded: tuple[Tensor, dict[int, ValueError]]) -> Tensor:
    """Return the pixels of a batch, or raise an error that lists the unreadable files."""
    pixels, errors = decoded
    if errors:
        error = damaged_images_error(list(errors.values()), len(pixels))
        raise UnreadableImages(f"{error}. {SKIP_ADVICE}")
    return pixels


class CacheStore(ImageStore):
    """Images in a file of decoded pixels on disk.

    Args:
        path: file that contains (n, c, h, w) uint8 pixels from 0 to 255, without a header.
        n: number of images in the file.
        shape: shape (c, h, w) of an image.
        rows: (m,) ints, positions in the file of the images of this store; None for all.
    """

    def __init__(
        self, path: Path, n: int, shape: tuple[int, int, int], rows: np.ndarray | None = None
    ) -> None:
        super().__init__(shape)
        self.path, self.n, self.rows = path, n, rows
        try:
            self._pixels = np.memmap(path, np.uint8, "r", shape=(n, *shape))
        except (OSError, ValueError) as error:
            raise ValueError(f"The cache {path} cannot be read: {reason(error)}") from None

    def __len__(self) -> int:
        return self.n if self.rows is None else len(self.rows)

    def read(self, rows: Tensor) -> Tensor:
        """Read images, see :meth:`ImageStore.read`."""
        positions = rows.cpu().numpy()
        if self.rows is not None:
            positions = self.rows[positions]
        return torch.from_numpy(self._pixels[positions])

    def subset(self, rows: Tensor) -> CacheStore:
        """Return the store of some of the images."""
        positions = rows.cpu().numpy()
        if self.rows is not None:
            positions = self.rows[positions]
        return CacheStore(self.path, self.n, self.shape, positions)

    def __reduce__(self) -> tuple[Any, ...]:
        return CacheStore, (self.path, self.n, self.shape, self.rows)


def largest_on(device: torch.device) -> float:
    """Return the size in bytes up to which images are kept on a device."""
    if device.type != "cuda":
        return math.inf
    return GPU_SHARE * torch.cuda.get_device_properties(device).total_memory


def default_workers() -> int:
    """Return the default number of processes that decode images.

    Where processes are not forked, as on macOS and Windows, it is 0, since each would import the
    main script again, which must then guard its code by ``if __name__ == "__main__"``.
    """
    start_method = multiprocessing.get_start_method(allow_none=True)
    if (start_method or multiprocessing.get_all_start_methods()[0]) != "fork":
        return 0
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return min(MAX_WORKERS, cpus or 1)
