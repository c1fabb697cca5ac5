"""Readers of labelled images: digits, torchvision's data sets, folders, and CSVs of labels.

Images are float32 (n, channels, h, w), pixels from 0 to 1. A reader gives ``Parts``, four tensors:
images and labels to search with, then those for the final test.
"""

from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from sklearn.datasets import load_digits
from torch.nn import functional as F

from . import tables
from .splits import split

DIGITS_TEST = 360  # images
IMAGE_ENDINGS = (".png", ".jpg", ".jpeg", ".bmp", ".ppm", ".pgm", ".tif", ".tiff", ".webp")

Parts = list[torch.Tensor]


def read_digits() -> tuple[Parts, tuple[str, ...]]:
    """Parts and classes of scikit-learn's digits, 8x8 pixels."""
    digits = load_digits()
    images = torch.tensor(digits.images, dtype=torch.float32)[:, None] / 16  # grey values 0 to 16
    labels = torch.tensor(digits.target, dtype=torch.int64)
    search, test = split(labels, len(labels) - DIGITS_TEST)
    parts = [images[search], labels[search], images[test], labels[test]]
    return parts, tuple(map(str, digits.target_names))


def read_torchvision(info, root: str | Path, download: bool) -> tuple[Parts, tuple[str, ...]]:
    """Parts and classes of a data set of torchvision, each image of its own size.

    Args:
        info: a :class:`~moonas.data.images.DataInfo` with a ``source``.
        root: folder of torchvision's files.
        download: let torchvision download what is not there.

    Raises:
        ValueError: the data set is not there.
    """
    from torchvision import datasets

    cls = getattr(datasets, info.source)
    by_split = info.source in ("STL10", "SVHN")
    parts = []
    for train in (True, False):
        which = {"split": "train" if train else "test"} if by_split else {"train": train}
        try:
            data = cls(root, download=download, **which)
        except RuntimeError as error:
            raise ValueError(
                f"{info.name} is not in {Path(root).resolve()}. Name the folder that holds it "
                f"(root=, --root), or let it be downloaded (download=True, --set download=true). "
                f"torchvision says: {error}"
            ) from None
        images = torch.as_tensor(np.asarray(data.data))
        if images.ndim == 3:  # grey images, (n, h, w)
            images = images[:, None]
        elif images.shape[-1] == 3:  # CIFAR, (n, h, w, c)
            images = images.permute(0, 3, 1, 2)
        labels = data.labels if by_split else data.targets
        parts += [images.float() / 255, torch.as_tensor(np.asarray(labels), dtype=torch.int64)]
    classes = getattr(data, "classes", None) or range(info.n_classes)
    return parts, tuple(map(str, classes))


def class_folders(folder: Path) -> list[Path]:
    """The folders in a folder that hold images, by name: one a class."""
    return sorted(
        p for p in folder.iterdir() if p.is_dir() and any(is_image(f) for f in p.iterdir())
    )


def is_image(path: Path) -> bool:
    """Whether a file is an image, by the ending of its name."""
    return path.suffix.lower() in IMAGE_ENDINGS


def read_folder(folder: Path, side: int) -> tuple[Parts, tuple[str, ...]]:
    """Parts and classes of a folder with a folder of images a class.

    Args:
        folder: holds such folders, or train/ and test/ that hold them; without these, a fifth of
            each class is for the test.
        side: pixels that images are resized to.

    Raises:
        ValueError: classes of train/ and test/ differ, or a class has too few images.
    """
    if (folder / "train").is_dir():
        if not (folder / "test").is_dir():
            raise ValueError(f"{folder} holds train/ but no test/.")
        names = [p.name for p in class_folders(folder / "train")]
        others = [p.name for p in class_folders(folder / "test")]
        if names != others:
            raise ValueError(
                f"train/ and test/ of {folder} hold different classes: "
                f"{sorted(set(names) ^ set(others))} are in one of them only."
            )
        parts = [*_read_classes(folder / "train", side), *_read_classes(folder / "test", side)]
        return parts, tuple(names)
    images, labels = _read_classes(folder, side)
    if torch.bincount(labels).min() < 5:
        raise ValueError(f"Each class in {folder} needs at least 5 images.")
    search, test = split(labels, len(labels) - len(labels) // 5)
    parts = [images[search], labels[search], images[test], labels[test]]
    return parts, tuple(p.name for p in class_folders(folder))


def _read_classes(folder, side):
    images, labels = [], []
    for label, place in enumerate(class_folders(folder)):
        for path in sorted(p for p in place.iterdir() if is_image(p)):
            images.append(read_image(path, side))
            labels.append(label)
    return torch.cat(images), torch.tensor(labels)


def read_labelled(folder: Path, side: int) -> tuple[Parts, tuple[str, ...], np.ndarray | None]:
    """Parts, classes and groups of images with a CSV of labels, see :mod:`moonas.data.tables`.

    Args:
        folder: holds the images and the CSV.
        side: pixels that images are resized to.

    Returns:
        Parts; names of the labels; and the patient of each image to search with, (n,) ints, or
        None.

    Raises:
        ValueError: the CSV is damaged or lists too few images or patients.
    """
    table = tables.read_table(tables.find_table(folder))
    paths = tables.find_images(table, folder)
    images = torch.cat([read_image(path, side) for path in paths])
    labels, groups = torch.from_numpy(table.labels), table.patients
    chosen = tables.rows_for_the_test(table, folder)
    if chosen is None:
        if len(labels) < 10:
            raise ValueError(f"{table.path} lists {len(labels)} images; at least 10 are needed.")
        if groups is not None and len(np.unique(groups)) < 5:
            raise ValueError(f"{table.path} is of {len(np.unique(groups))} patients; 5 are needed.")
        search, test = split(labels, len(labels) - len(labels) // 5, groups)
    else:
        search, test = np.flatnonzero(~chosen), np.flatnonzero(chosen)
    parts = [images[search], labels[search], images[test], labels[test]]
    return parts, table.classes, None if groups is None else groups[search]


@contextmanager
def open_image(path: Path):
    """An open image file; an error in the block that reads it becomes a ``ValueError`` on it."""
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path) as image:
            yield image
    except (UnidentifiedImageError, OSError) as error:
        raise ValueError(f"{path} cannot be read as an image: {error}") from None


def read_image(path: Path, side: int) -> torch.Tensor:
    """An image file, resized: (1, 3, side, side), pixels from 0 to 1.

    Raises:
        ValueError: it cannot be read.
    """
    with open_image(path) as image:
        pixels = np.array(image.convert("RGB"))
    return resized(torch.from_numpy(pixels).permute(2, 0, 1)[None].float() / 255, side)


def resized(images: torch.Tensor, side: int) -> torch.Tensor:
    """(n, c, h, w) images -> (n, c, side, side), by bilinear interpolation with antialiasing."""
    if images.shape[2:] == (side, side):
        return images
    return F.interpolate(images, (side, side), mode="bilinear", antialias=True)
