"""Labelled images: by name, or from a folder with a folder of images a class or a CSV of labels."""

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from . import tables
from .readers import (
    class_folders,
    read_digits,
    read_folder,
    read_labelled,
    read_torchvision,
    resized,
)

FOLDER_SIDE = 32  # pixels that images from a folder are brought to when nothing else is said


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
    classes = class_folders(folder / "train" if (folder / "train").is_dir() else folder)
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
        parts, classes = read_digits()
    elif info.source:
        parts, classes = read_torchvision(info, root or "data", download)
    elif info.multi_label:
        parts, classes, groups = read_labelled(Path(name), info.side)
    else:
        parts, classes = read_folder(Path(name), info.side)
    images, labels, test_images, test_labels = parts
    images, test_images = resized(images, info.side), resized(test_images, info.side)
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
