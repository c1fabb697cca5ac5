"""Batches of images as float32 tensors on a device, from wherever the pixels are kept."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from .stores import Change, ImageStore

LOADED_AT_ONCE = 256  # images that are converted at a time by Images.tensor


class Images:
    """n images that are read and converted in batches.

    ``images[rows]``, ``images.split(b)`` and ``images.tensor_split(k)`` return what the same
    expressions return for a tensor (n, c, h, w), but only the requested batches are in memory.

    Args:
        store: where the 8-bit pixels are kept.
        convert: (b, c, h, w) float32 pixels in [0, 1] -> (b, c', h', w') float32, such as a
            normalization, which may change its argument; None to keep the pixels.
        device: device of the batches.
        channels_last: whether batches are in PyTorch's channels-last memory format.
        change: random change of training images before the conversion, see
            :meth:`.ImageStore.batches`; only :meth:`batches` with a key applies it.
    """

    def __init__(
        self,
        store: ImageStore,
        convert: Callable[[Tensor], Tensor] | None = None,
        device: torch.device | str = "cpu",
        channels_last: bool = False,
        change: Change | None = None,
    ) -> None:
        self.store, self.convert, self.device = store, convert, torch.device(device)
        self.channels_last, self.change = channels_last, change

    def __len__(self) -> int:
        return len(self.store)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape (n, c, h, w) of all images."""
        example = self._converted(torch.zeros(1, *self.store.shape, dtype=torch.uint8), 255)
        return len(self), *example.shape[1:]

    def __getitem__(self, rows: Tensor | np.ndarray | slice) -> Tensor:
        """Return a batch of images, float32 (b, c, h, w) on the device.

        Args:
            rows: (b,) ints, positions of the images, or a slice.
        """
        if isinstance(rows, slice):
            rows = torch.arange(len(self))[rows]
        return self._converted(self.store.read(torch.as_tensor(rows)), self.store.levels)

    def batches(self, rows: Sequence[Tensor], key: int | None = None) -> Iterator[Tensor]:
        """Return several batches, which are read in advance if they are read from files.

        Args:
            rows: positions of the images of each batch, (b,) ints.
            key: number that determines, with the position of an image, its random change; None to
                leave images unchanged.

        Yields:
            (b, c, h, w) float32 on the device.
        """
        change = None if key is None else self.change
        levels = self.store.levels if change is None else 255
        for pixels in self.store.batches(rows, change, key or 0):
            yield self._converted(pixels, levels)

    def split(self, batch: int) -> Iterator[Tensor]:
        """Return batches of all images in order, of ``batch`` images but for the last one."""
        return self.batches(torch.split(torch.arange(len(self)), batch))

    def tensor_split(self, n_batches: int) -> Iterator[Tensor]:
        """Return ``n_batches`` batches of all images in order, whose sizes differ by at most 1."""
        return self.batches(torch.arange(len(self)).tensor_split(n_batches))

    def tensor(self) -> Tensor:
        """Return all images, float32 (n, c, h, w) on the device; they must fit into its memory."""
        images = torch.empty(self.shape, device=self.device)
        for rows in torch.split(torch.arange(len(self)), LOADED_AT_ONCE):
            images[rows[0] : rows[-1] + 1] = self[rows]
        layout = torch.channels_last if self.channels_last else torch.contiguous_format
        return images.contiguous(memory_format=layout)

    def subset(self, rows: Tensor | np.ndarray) -> Images:
        """Return some of the images, without copying pixels.

        Args:
            rows: (m,) ints, positions of the images.
        """
        return self._with(store=self.store.subset(torch.as_tensor(rows)))

    def map(self, function: Callable[[Tensor], Tensor]) -> Images:
        """Return the images converted by a further function of batches."""
        first = self.convert
        return self._with(convert=function if first is None else _Composition(first, function))

    def to(self, device: torch.device | str, *, channels_last: bool = False) -> Images:
        """Return the images on a device, to which 8-bit pixels in memory are copied.

        Args:
            device: device of the batches.
            channels_last: whether batches are in PyTorch's channels-last memory format.
        """
        device = torch.device(device)
        store = self.store.to(device)
        return self._with(store=store, device=device, channels_last=channels_last)

    def kept_in(self, store: ImageStore) -> Images:
        """Return the images with the same pixels in another store."""
        return self._with(store=store)

    def changed_by(self, change: Change | None) -> Images:
        """Return the images with a random change, see the class."""
        return self._with(change=change)

    def _with(self, **arguments: object) -> Images:
        names = ("store", "convert", "device", "channels_last", "change")
        return Images(**{name: getattr(self, name) for name in names} | arguments)

    def _converted(self, pixels: Tensor, levels: int) -> Tensor:
        layout = torch.channels_last if self.channels_last else torch.contiguous_format
        pixels = pixels.to(self.device, non_blocking=True).contiguous(memory_format=layout)
        images = pixels.float().div_(levels)
        if self.convert is not None:
            images = self.convert(images)
        return images.contiguous(memory_format=layout)


class _Composition:
    """A function of batches that applies two functions in turn."""

    def __init__(
        self, first: Callable[[Tensor], Tensor], second: Callable[[Tensor], Tensor]
    ) -> None:
        self.first, self.second = first, second

    def __call__(self, images: Tensor) -> Tensor:
        return self.second(self.first(images))


def read_batches(
    images: Tensor | Images, rows: Sequence[Tensor], key: int | None = None
) -> Iterator[Tensor]:
    """Return several batches of images, see :meth:`Images.batches`.

    Args:
        images: images, or a tensor (n, c, h, w).
        rows: positions of the images of each batch, (b,) ints.
        key: see :meth:`Images.batches`; a tensor has no random changes.
    """
    if isinstance(images, Images):
        yield from images.batches(rows, key)
    else:
        for batch in rows:
            yield images[batch.to(images.device)]


def take(images: Tensor | Images, rows: Tensor) -> Tensor | Images:
    """Return some of the images, which are copied only from a tensor.

    Args:
        images: images, or a tensor (n, c, h, w).
        rows: (m,) ints, positions of the images.
    """
    return images.subset(rows) if isinstance(images, Images) else images[rows]


def move(images: Tensor | Images, device: torch.device | str) -> Tensor | Images:
    """Return images on a device, in channels-last memory format."""
    if isinstance(images, Images):
        return images.to(device, channels_last=True)
    return images.to(device).contiguous(memory_format=torch.channels_last)
