"""Unpaired images of two domains, A and B, read from a folder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from moonas.data.form import ImageForm
from moonas.data.holding import decode, fits_into_memory
from moonas.data.image_files import damaged_images_error, open_image, read_images_or_errors
from moonas.data.splits import split
from moonas.data.stores import FileStore, ImageStore, MemoryStore, default_workers
from moonas.files.image_folders import is_image
from moonas.run.numbers import plural

from .folders import domain_folders, maps_folder

IGNORED = 255  # class in a label map that excludes a pixel from segmentation scores


@dataclass(frozen=True)
class Domain:
    """Images of one domain, uint8 (n, channels, height, width).

    Args:
        train: training set, or a store from which it is read. Height and width include a margin
            for random crops.
        validation: validation set, on which candidates are evaluated, with the same margin.
        test: test set, without a margin. The search does not use it.
        labeled: images for training a classifier of this domain; None if there are no labels.
        labels: int64 (n,) labels of ``labeled``, or None.
        test_labels: int64 (n,) labels of ``test``, which a correct translation preserves, or None.
        test_maps: uint8 (n, height, width) class of each pixel in a correct translation of ``test``
            (``IGNORED`` for pixels without a class), or None.
        validation_files: files of ``validation``, in order; empty if there are none.
    """

    train: torch.Tensor | FileStore
    validation: torch.Tensor
    test: torch.Tensor
    labeled: torch.Tensor | None = None
    labels: torch.Tensor | None = None
    test_labels: torch.Tensor | None = None
    test_maps: torch.Tensor | None = None
    validation_files: tuple[Path, ...] = ()

    @property
    def known(self) -> torch.Tensor | FileStore:
        """The training and the validation set, with the margin."""
        if isinstance(self.train, torch.Tensor):
            return torch.cat([self.train, self.validation])
        train = self.train
        return FileStore([*train.paths, *self.validation_files], train.form, train.workers)


def load_domains(
    folder: str | Path,
    size: tuple[int, int],
    *,
    image_channels: int = 3,
    resize: str = "crop",
    margin: int = 0,
    train_share: float = 0.8,
    data_in: str = "auto",
    loader_workers: int | None = None,
) -> tuple[Domain, Domain]:
    """Read both domains of a folder.

    Test images may have label maps: single-channel PNG files that contain the class of each pixel.
    They have the names of the images and are in a folder ``test_labels`` next to ``test`` (or
    ``test_labelsA`` next to ``testA``, or ``test_labels/A`` for images in ``test/A``).

    Args:
        folder: see :func:`.folders.find_layout`.
        size: height and width of test images in pixels.
        image_channels: 1 for gray images, 3 for color images.
        resize: how images of other proportions are fitted, see
            :class:`~moonas.data.form.ImageForm`.
        margin: number of pixels by which the height and the width of training and validation images
            exceed ``size``.
        train_share: share of the images for training, of each domain, that form the training set;
            the rest form the validation set.
        data_in: "memory", "stream" to read training images from their files whenever they are
            needed, or "auto" to do so if those of a domain take more than a quarter of the memory.
        loader_workers: number of processes that decode image files of a domain; by default one per
            CPU, at most 8.

    Raises:
        ValueError: a folder or a label map is missing, an image cannot be read, or a
            folder contains too few images.
    """
    form = ImageForm.of_size(size, image_channels, resize)
    workers = default_workers() if loader_workers is None else loader_workers
    reader = _Reader()
    a, b = (_read_domain(folder, d, form, margin, train_share, workers, reader) for d in "AB")
    if data_in == "memory" or (data_in == "auto" and all(map(_fits, (a, b)))):
        a, b = (replace(d, train=reader.decode(d.train)) for d in (a, b))
    reader.check()
    return a, b


class _Reader:
    """Reads images, and collects the errors of all that cannot be read."""

    def __init__(self) -> None:
        self._errors: list[ValueError] = []
        self._n = 0

    def read(self, paths: Sequence[Path], form: ImageForm) -> torch.Tensor:
        """Return the images of files, uint8 (n, channels, *form.size)."""
        images, errors = read_images_or_errors(paths, form)
        self._errors += errors.values()
        self._n += len(paths)
        return images

    def decode(self, store: torch.Tensor | FileStore) -> torch.Tensor:
        """Return the images of a store, uint8 (n, channels, height, width)."""
        assert isinstance(store, FileStore)
        images, errors = decode(store)
        self._errors += map(ValueError, errors.values())
        self._n += len(store)
        return images

    def check(self) -> None:
        """Raise a ValueError that lists the images that cannot be read, if there are any."""
        if self._errors:
            raise damaged_images_error(self._errors, self._n)


def _fits(domain: Domain) -> bool:
    assert isinstance(domain.train, FileStore)
    return fits_into_memory(domain.train)


def join(a: torch.Tensor | FileStore, b: torch.Tensor | FileStore) -> ImageStore:
    """Return a store of two sets of images, both in memory or both in files."""
    if isinstance(a, FileStore) and isinstance(b, FileStore):
        return FileStore([*a.paths, *b.paths], a.form, a.workers)
    assert isinstance(a, torch.Tensor) and isinstance(b, torch.Tensor)
    return MemoryStore(torch.cat([a, b]))


def _read_domain(
    folder: str | Path,
    domain: str,
    form: ImageForm,
    margin: int,
    train_share: float,
    workers: int,
    reader: _Reader,
) -> Domain:
    folders = domain_folders(folder)
    train_folder, test_folder = folders[domain, "train"], folders[domain, "test"]
    paths = _image_paths(train_folder)
    n_train = round(train_share * len(paths))
    if not 1 <= n_train < len(paths):
        raise ValueError(
            f"{train_folder} contains {plural(len(paths), 'image')}, too few to split into a "
            f"training set and a validation set with train_share={train_share:g}."
        )
    rows = torch.arange(len(paths))[:, None]  # no class labels, so the split is not stratified
    train_rows, validation_rows = split(rows, n_train)
    test = _image_paths(test_folder)
    if not test:
        raise ValueError(f"{test_folder} contains no images.")
    maps, larger = maps_folder(folder, domain), form.larger(margin)
    train = FileStore([paths[i] for i in train_rows], larger, workers)
    validation_paths = tuple(paths[i] for i in validation_rows)
    return Domain(
        train,
        reader.read(validation_paths, larger),
        reader.read(test, form),
        test_maps=_read_maps(maps, test, form) if maps.is_dir() else None,
        validation_files=validation_paths,
    )


def _image_paths(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if is_image(path))


def _read_maps(folder: Path, images: Sequence[Path], form: ImageForm) -> torch.Tensor:
    """Read the label maps of images, fitted as the images are."""
    maps = []
    for image in images:
        path = folder / f"{image.stem}.png"
        if not path.exists():
            raise ValueError(f"{path} is missing: {image.name} has no label map.")
        with open_image(path) as file:
            mode, labels = file.mode, np.array(file)
        if mode not in ("L", "P"):
            raise ValueError(
                f"{path} is not a label map: expected one 8-bit channel with the class of "
                f"each pixel; got mode {mode}."
            )
        maps.append(form.fit_map(torch.from_numpy(labels)[None], IGNORED))
    return torch.cat(maps)
