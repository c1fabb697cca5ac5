"""Labelled images: by name, or from a folder with a folder of images a class or a CSV of labels."""

import hashlib
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import GroupShuffleSplit, train_test_split
from torch.nn import functional as F

from . import tables

FOLDER_SIDE = 32  # pixels that images from a folder are brought to when nothing else is said
DIGITS_TEST = 360  # images
SPLIT_SEED = 0  # of every split; the same for all runs, so that their scores compare
IMAGE_ENDINGS = (".png", ".jpg", ".jpeg", ".bmp", ".ppm", ".pgm", ".tif", ".tiff", ".webp")


@dataclass(frozen=True)
class DataInfo:
    """What is known of a data set without loading its images."""

    name: str
    n_classes: int
    channels: int
    side: int  # pixels
    padding: int = 0  # pixels that augmentation shifts by, at most
    flip: bool = False  # whether augmentation mirrors left and right
    source: str = ""  # class of torchvision.datasets
    multi_label: bool = False  # any number of labels an image


@dataclass(frozen=True)
class ImageData:
    """Images to search with and images for the final test, which no search touches.

    Both are float32 (n, channels, side, side): pixels from 0 to 1, less ``mean``, by ``std``, each
    (1, channels, 1, 1) and of the images to search with. Labels are int64 (n,), or float32
    (n, n_classes) of zeros and ones where an image may have several. ``groups`` (n,) are ints:
    images to search with that no split may part have one number; None where all may be parted.
    """

    info: DataInfo
    classes: tuple[str, ...]
    images: torch.Tensor
    labels: torch.Tensor
    test_images: torch.Tensor
    test_labels: torch.Tensor
    mean: torch.Tensor
    std: torch.Tensor
    groups: np.ndarray | None = None


DATA_SETS = {
    info.name: info
    for info in (
        DataInfo("digits", 10, 1, 8),
        DataInfo("cifar10", 10, 3, 32, 4, True, "CIFAR10"),
        DataInfo("cifar100", 100, 3, 32, 4, True, "CIFAR100"),
        DataInfo("stl10", 10, 3, 96, 12, True, "STL10"),
        DataInfo("svhn", 10, 3, 32, 4, False, "SVHN"),
        DataInfo("mnist", 10, 1, 28, 2, False, "MNIST"),
        DataInfo("fashion-mnist", 10, 1, 28, 2, True, "FashionMNIST"),
    )
}


def describe(name, image_size=None):
    """The :class:`DataInfo` of a data set or a folder; nothing is loaded or downloaded.

    Raises:
        ValueError: the name is unknown and no folder, or the folder is not one of images.
    """
    info = DATA_SETS[name] if name in DATA_SETS else _describe_folder(Path(name))
    if image_size is not None and image_size < 1:
        raise ValueError(f"image_size={image_size} will not do: at least 1 pixel.")
    return replace(info, side=image_size) if image_size else info


def checksums(info):
    """SHA-256 by name of the small files that say what a data set is: a CSV of labels, a test list.

    A run notices by them that its labels have changed; images themselves are not looked at.
    """
    if not info.multi_label:
        return {}
    folder = Path(info.name)
    files = [tables.find_table(folder), folder / "test_list.txt"]
    return {f.name: hashlib.sha256(f.read_bytes()).hexdigest() for f in files if f.exists()}


def _describe_folder(folder):
    if not folder.is_dir():
        raise ValueError(
            f"Data set {str(folder)!r} is not there: it is neither a folder nor one of "
            f"{list(DATA_SETS)}."
        )
    classes = _class_folders(folder / "train" if (folder / "train").is_dir() else folder)
    if len(classes) >= 2 and not (folder / "labels.csv").exists():
        return DataInfo(str(folder), len(classes), 3, FOLDER_SIDE, 4, True)
    table = tables.find_table(folder)
    if table is None:
        raise ValueError(
            f"{folder} should hold a folder of images for each class (or train/ and test/ with "
            f"such folders), or images and a CSV of their labels; found {len(classes)} such "
            "folders and no CSV."
        )
    n_labels = len(tables.read_table(table).classes)
    return DataInfo(str(folder), n_labels, 3, FOLDER_SIDE, 4, True, multi_label=True)


def load(name, *, root=None, download=False, image_size=None):
    """An :class:`ImageData`.

    Args:
        name: a key of ``DATA_SETS``, or a folder. A folder holds one folder of images a class, or
            ``train/`` and ``test/`` with such folders; without them a fifth of each class is kept
            for the test. Or it holds images and a CSV, see :mod:`moonas.data.tables`.
        root: folder with torchvision's files; by default ``data`` in the working directory.
        download: let torchvision download what is not there.
        image_size: side in pixels that images are brought to; by default their own (folders: 32).

    Raises:
        ValueError: the data set is not there, or cannot be read.
    """
    info = describe(name, image_size)
    groups = None
    if name == "digits":
        parts, classes = _digits(), tuple(map(str, range(10)))
    elif info.source:
        parts, classes = _torchvision(info, root or "data", download)
    elif info.multi_label:
        parts, classes, groups = _table(Path(name), info.side)
    else:
        parts, classes = _folder(Path(name), info.side)
    images, labels, test_images, test_labels = parts
    images, test_images = _resized(images, info.side), _resized(test_images, info.side)
    mean = images.mean((0, 2, 3), keepdim=True)
    std = images.std((0, 2, 3), keepdim=True).clamp_min(1e-6)
    return ImageData(
        info,
        classes,
        (images - mean) / std,
        labels,
        (test_images - mean) / std,
        test_labels,
        mean,
        std,
        groups,
    )


def split(labels, n_first, groups=None):
    """Two index arrays, shuffled, the same every time; stratified where each image has one label.

    Args:
        labels: (n,) ints or (n, n_labels), a tensor or an array.
        n_first: length of the first part; about that where there are groups.
        groups: (n,) ints; equal ones go into the same part.
    """
    rows = np.arange(len(labels))
    if groups is not None:
        share = n_first / len(rows)
        (parts,) = GroupShuffleSplit(1, train_size=share, random_state=SPLIT_SEED).split(
            rows, groups=groups
        )
        return parts
    stratify = np.asarray(labels) if labels.ndim == 1 else None
    first, second = train_test_split(
        rows, train_size=n_first, stratify=stratify, random_state=SPLIT_SEED
    )
    return first, second


def shift_and_flip(images, rng, padding, flip):
    """Each image shifted by up to ``padding`` pixels, zeros coming in, and mirrored half the time.

    Args:
        images: (b, c, h, w).
        rng: ``torch.Generator`` of the CPU.
        padding: pixels.
        flip: whether to mirror left and right.

    Returns:
        A new tensor, (b, c, h, w).
    """
    return crop_and_flip(F.pad(images, [padding] * 4), rng, images.shape[2:], flip)


def crop_and_flip(images, rng, size, flip):
    """A random part of each image, mirrored half the time.

    Args:
        images: (b, c, h, w).
        rng: ``torch.Generator`` of the CPU.
        size: (rows, columns) of the parts; all places where they fit are equally likely.
        flip: whether to mirror left and right.

    Returns:
        A new tensor, (b, c, *size).
    """
    b, c, h, w = images.shape
    device, (height, width) = images.device, size
    dy = torch.randint(0, h - height + 1, (b, 1), generator=rng).to(device)
    dx = torch.randint(0, w - width + 1, (b, 1), generator=rng).to(device)
    columns = torch.arange(width, device=device).expand(b, width)
    if flip:
        mirrored = torch.randint(0, 2, (b, 1), generator=rng, dtype=torch.bool).to(device)
        columns = torch.where(mirrored, width - 1 - columns, columns)
    rows = (torch.arange(height, device=device) + dy)[:, None, :, None]
    columns = (columns + dx)[:, None, None, :]
    batch = torch.arange(b, device=device)[:, None, None, None]
    channels = torch.arange(c, device=device)[None, :, None, None]
    return images[batch, channels, rows, columns]


def cutout(images, rng, size):
    """A square of each image set to zero, the mean where images are normalised.

    After DeVries and Taylor (2017). Its centre is anywhere in the image, so that a part of it may
    lie outside.

    Args:
        images: (b, c, h, w).
        rng: ``torch.Generator`` of the CPU.
        size: pixels a side of the square, even.

    Returns:
        A new tensor, (b, c, h, w).
    """
    b, _, h, w = images.shape
    inside = []
    for side in (h, w):
        centre = torch.randint(0, side, (b, 1), generator=rng).to(images.device)
        place = torch.arange(side, device=images.device)
        inside.append((place >= centre - size // 2) & (place < centre + size // 2))
    hole = inside[0][:, None, :, None] & inside[1][:, None, None, :]
    return images.masked_fill(hole, 0)


def _digits():
    digits = load_digits()
    images = torch.tensor(digits.images, dtype=torch.float32)[:, None] / 16  # grey values 0 to 16
    labels = torch.tensor(digits.target, dtype=torch.int64)
    search, test = split(labels, len(labels) - DIGITS_TEST)
    return images[search], labels[search], images[test], labels[test]


def _torchvision(info, root, download):
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


def _class_folders(folder):
    return sorted(
        p for p in folder.iterdir() if p.is_dir() and any(is_image(f) for f in p.iterdir())
    )


def is_image(path):
    """Whether a file is one of images, by the ending of its name."""
    return path.suffix.lower() in IMAGE_ENDINGS


def _folder(folder, side):
    if (folder / "train").is_dir():
        if not (folder / "test").is_dir():
            raise ValueError(f"{folder} holds train/ but no test/.")
        names = [p.name for p in _class_folders(folder / "train")]
        others = [p.name for p in _class_folders(folder / "test")]
        if names != others:
            raise ValueError(
                f"train/ and test/ of {folder} hold different classes: "
                f"{sorted(set(names) ^ set(others))} are in one of them only."
            )
        parts = [*_read_classes(folder / "train", side), *_read_classes(folder / "test", side)]
        return parts, tuple(names)
    images, labels = _read_classes(folder, side)
    if torch.bincount(labels).min() < 5:
        raise ValueError(f"Each class in {folder} wants 5 images at least.")
    search, test = split(labels, len(labels) - len(labels) // 5)
    parts = [images[search], labels[search], images[test], labels[test]]
    return parts, tuple(p.name for p in _class_folders(folder))


def _read_classes(folder, side):
    images, labels = [], []
    for label, place in enumerate(_class_folders(folder)):
        for path in sorted(p for p in place.iterdir() if is_image(p)):
            images.append(read_image(path, side))
            labels.append(label)
    return torch.cat(images), torch.tensor(labels)


def _table(folder, side):
    table = tables.read_table(tables.find_table(folder))
    paths = tables.find_images(table, folder)
    images = torch.cat([read_image(path, side) for path in paths])
    labels, groups = torch.from_numpy(table.labels), table.patients
    chosen = tables.rows_for_the_test(table, folder)
    if chosen is None:
        if len(labels) < 10:
            raise ValueError(f"{table.path} lists {len(labels)} images; 10 are wanted at least.")
        if groups is not None and len(np.unique(groups)) < 5:
            raise ValueError(f"{table.path} is of {len(np.unique(groups))} patients; 5 are wanted.")
        search, test = split(labels, len(labels) - len(labels) // 5, groups)
    else:
        search, test = np.flatnonzero(~chosen), np.flatnonzero(chosen)
    parts = [images[search], labels[search], images[test], labels[test]]
    return parts, table.classes, None if groups is None else groups[search]


@contextmanager
def open_image(path):
    """An image file, open; what goes wrong with it inside is a ``ValueError`` that names it."""
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path) as image:
            yield image
    except (UnidentifiedImageError, OSError) as error:
        raise ValueError(f"{path} cannot be read as an image: {error}") from None


def read_image(path, side):
    """An image file, brought to a side: (1, 3, side, side), pixels from 0 to 1.

    Raises:
        ValueError: it cannot be read.
    """
    with open_image(path) as image:
        pixels = np.array(image.convert("RGB"))
    return _resized(torch.from_numpy(pixels).permute(2, 0, 1)[None].float() / 255, side)


def _resized(images, side):
    if images.shape[2:] == (side, side):
        return images
    return F.interpolate(images, (side, side), mode="bilinear", antialias=True)
