"""Readers of images: digits, torchvision's data sets, folders, and CSV files of labels.

Images are float32 (n, c, h, w) with pixels in [0, 1]. Readers return ``TrainAndTestTensors``, a
list of four tensors: training images, training labels, test images and test labels. Labels of
images without labels have the shape (n, 0).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from sklearn.datasets import load_digits
from torch.nn import functional as F

from ..files.image_folders import is_image
from . import tables
from .splits import split

if TYPE_CHECKING:
    from PIL import Image

    from .images import DataInfo

N_TEST_DIGITS = 360  # number of test images of scikit-learn's digits
CHUNK = 1000  # images that are converted at a time

TrainAndTestTensors = list[torch.Tensor]


def read_digits() -> tuple[TrainAndTestTensors, tuple[str, ...]]:
    """Read scikit-learn's digits, 8x8 pixels; return the tensors and the class names."""
    digits = load_digits()
    images = torch.tensor(digits.images, dtype=torch.float32)[:, None] / 16  # gray values 0 to 16
    labels = torch.tensor(digits.target, dtype=torch.int64)
    train, test = split(labels, len(labels) - N_TEST_DIGITS)
    parts = [images[train], labels[train], images[test], labels[test]]
    return parts, tuple(map(str, digits.target_names))


def read_torchvision(
    info: DataInfo, root: str | Path, download: bool
) -> tuple[TrainAndTestTensors, tuple[str, ...]]:
    """Read a data set of torchvision; return the tensors and class names.

    Without labels, the training images of STL-10 include the 100,000 unlabeled images.

    Args:
        info: a :class:`~moonas.data.images.DataInfo` with a ``source``. Only images without labels
            are resized to its ``side``; all others have their original size.
        root: folder of torchvision's files.
        download: whether torchvision downloads a missing data set.

    Raises:
        ValueError: if the data set is missing.
    """
    from torchvision import datasets

    cls = getattr(datasets, info.source)
    has_split_argument = info.source in ("STL10", "SVHN")
    training_split = "train" if info.labeled else "train+unlabeled"
    parts = []
    for train in (True, False):
        split_name = training_split if train else "test"
        part = {"split": split_name} if has_split_argument else {"train": train}
        try:
            data = cls(root, download=download, **part)
        except RuntimeError as error:
            raise ValueError(
                f"Data set {info.name} is missing in {Path(root).resolve()}. Set root (--root) to "
                "the folder that contains it, or set download=True (--set download=true). "
                f"torchvision's error: {error}"
            ) from None
        images = torch.as_tensor(np.asarray(data.data))
        if images.ndim == 3:  # grayscale images, (n, h, w)
            images = images[:, None]
        elif images.shape[-1] == 3:  # CIFAR, (n, h, w, c)
            images = images.permute(0, 3, 1, 2)
        if not info.labeled:
            parts += [_to_pixels(images, info.side), torch.empty(len(images), 0)]
            continue
        labels = data.labels if has_split_argument else data.targets
        parts += [images.float() / 255, torch.as_tensor(np.asarray(labels), dtype=torch.int64)]
    if not info.labeled:
        return parts, ()
    classes = getattr(data, "classes", None) or range(info.n_classes)
    return parts, tuple(map(str, classes))


def _to_pixels(images: torch.Tensor, side: int) -> torch.Tensor:
    """Convert uint8 images (n, c, h, w) to pixels in [0, 1], and resize them to side x side.

    The images are converted in chunks, because all of them in their original size may not fit into
    memory as float32.
    """
    pixels = torch.empty(len(images), images.shape[1], side, side)
    for i in range(0, len(images), CHUNK):
        pixels[i : i + CHUNK] = resize_images(images[i : i + CHUNK].float() / 255, side)
    return pixels


def class_folders(folder: Path) -> list[Path]:
    """Return the subfolders that contain images, one per class, sorted by name."""
    return sorted(
        p for p in folder.iterdir() if p.is_dir() and any(is_image(f) for f in p.iterdir())
    )


def has_images(folder: Path) -> bool:
    """Return whether a folder or a subfolder of any depth contains an image."""
    return any(is_image(path) for path in folder.rglob("*"))


def read_folder(folder: Path, side: int) -> tuple[TrainAndTestTensors, tuple[str, ...]]:
    """Read a folder with a subfolder of images per class; return the tensors and class names.

    Args:
        folder: folder that contains a subfolder per class, or train/ and test/ with such
            subfolders. Without train/, a fifth of each class becomes the test set.
        side: side length in pixels to which images are resized.

    Raises:
        ValueError: if train/ exists but test/ is missing, train/ and test/ have different classes,
            or a class has too few images.
    """
    if (folder / "train").is_dir():
        if not (folder / "test").is_dir():
            raise ValueError(f"{folder} contains train/ but no test/.")
        classes = [p.name for p in class_folders(folder / "train")]
        test_classes = [p.name for p in class_folders(folder / "test")]
        if classes != test_classes:
            raise ValueError(
                f"train/ and test/ in {folder} have different classes: only one of them contains "
                f"{sorted(set(classes) ^ set(test_classes))}."
            )
        parts = [*_read_classes(folder / "train", side), *_read_classes(folder / "test", side)]
        return parts, tuple(classes)
    images, labels = _read_classes(folder, side)
    fewest = int(torch.bincount(labels).min())
    if fewest < 5:
        raise ValueError(f"{folder} has a class with {fewest} images; at least 5 are required.")
    train, test = split(labels, len(labels) - len(labels) // 5)
    parts = [images[train], labels[train], images[test], labels[test]]
    return parts, tuple(p.name for p in class_folders(folder))


def _read_classes(folder: Path, side: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return images (n, 3, side, side) and labels (n,) of a folder with a subfolder per class."""
    images, labels = [], []
    for label, class_folder in enumerate(class_folders(folder)):
        for path in sorted(p for p in class_folder.iterdir() if is_image(p)):
            images.append(read_image(path, side))
            labels.append(label)
    return torch.cat(images), torch.tensor(labels)


def read_unlabeled_folder(folder: Path, side: int) -> TrainAndTestTensors:
    """Read all images of a folder and its subfolders, which have no labels.

    Args:
        folder: folder that contains the images, or train/ and test/ with the images. Without
            train/ and test/, a fifth of the images becomes the test set.
        side: side length in pixels to which images are resized.

    Raises:
        ValueError: if there are too few images.
    """
    train, test = folder / "train", folder / "test"
    if train.is_dir() and test.is_dir() and has_images(train) and has_images(test):
        parts = [_read_all(sorted(part.rglob("*")), side) for part in (train, test)]
    else:
        images = _read_all(sorted(folder.rglob("*")), side)
        if len(images) < 10:
            raise ValueError(f"{folder} contains {len(images)} images; at least 10 are required.")
        rows = split(torch.empty(len(images), 0), len(images) - len(images) // 5)
        parts = [images[part] for part in rows]
    labels = [torch.empty(len(images), 0) for images in parts]
    return [parts[0], labels[0], parts[1], labels[1]]


def _read_all(paths: Sequence[Path], side: int) -> torch.Tensor:
    """Return the images (n, 3, side, side) among some files, in their order."""
    paths = [path for path in paths if is_image(path)]
    images = torch.empty(len(paths), 3, side, side)
    for i, path in enumerate(paths):
        images[i] = read_image(path, side)[0]
    return images


def read_multi_label_folder(
    folder: Path, side: int
) -> tuple[TrainAndTestTensors, tuple[str, ...], np.ndarray | None]:
    """Read images with a CSV file of labels, see :mod:`moonas.data.tables`.

    Args:
        folder: folder that contains the images and the CSV file.
        side: side length in pixels to which images are resized.

    Returns:
        The tensors, the names of the labels, and (n,) ints that identify the patient of each
        training image, or None if the CSV file has no patient column.

    Raises:
        ValueError: if the CSV file is missing or invalid, or lists too few images or patients.
    """
    path = tables.find_table(folder)
    if path is None:
        raise ValueError(f"{folder} contains no CSV file of labels.")
    table = tables.read_table(path)
    images = torch.cat([read_image(p, side) for p in tables.find_images(table, folder)])
    labels, groups = torch.from_numpy(table.labels), table.patients
    is_test = tables.read_test_list(table, folder)
    if is_test is None:
        if len(labels) < 10:
            raise ValueError(f"{path} lists {len(labels)} images; at least 10 are required.")
        if groups is not None and len(np.unique(groups)) < 5:
            raise ValueError(
                f"{path} lists {len(np.unique(groups))} patients; at least 5 are required."
            )
        train, test = split(labels, len(labels) - len(labels) // 5, groups)
    else:
        train, test = np.flatnonzero(~is_test), np.flatnonzero(is_test)
    parts = [images[train], labels[train], images[test], labels[test]]
    return parts, table.classes, None if groups is None else groups[train]


@contextmanager
def open_image(path: Path) -> Iterator[Image.Image]:
    """Open an image file in a context; errors are raised as a ``ValueError`` with the path."""
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path) as image:
            yield image
    except (UnidentifiedImageError, OSError) as error:
        raise ValueError(f"{path} cannot be read as an image: {error}") from None


def read_image(path: Path, side: int) -> torch.Tensor:
    """Read an image file, and resize the image to (1, 3, side, side), pixels in [0, 1].

    Raises:
        ValueError: if the file cannot be read as an image.
    """
    with open_image(path) as image:
        pixels = np.array(image.convert("RGB"))
    return resize_images(torch.from_numpy(pixels).permute(2, 0, 1)[None].float() / 255, side)


def resize_images(images: torch.Tensor, side: int) -> torch.Tensor:
    """Resize images (n, c, h, w) to (n, c, side, side) by antialiased bilinear interpolation."""
    if images.shape[2:] == (side, side):
        return images
    return F.interpolate(images, (side, side), mode="bilinear", antialias=True)
