"""Lists of the image files of a folder with their labels, split into training and test images.

A folder contains a subfolder of images per class, or images and a CSV file of labels, or images
without labels. Listing reads no pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from ..run.numbers import plural
from . import tables
from .image_files import class_folders, has_images, images_in
from .splits import split

VALIDATION_FOLDERS = ("val", "valid", "validation")


@dataclass(frozen=True)
class Listing:
    """Files and labels of the training and test images of a folder.

    Args:
        train_paths: paths of n training images.
        train_labels: (n,) int64 classes; (n, n_classes) float32 zeros and ones if images can have
            several labels; (n, 0) if they have none.
        test_paths: paths of the test images.
        test_labels: labels of the test images.
        classes: names of the classes, or of the labels.
        groups: (n,) ints that identify, for example, patients; None if there are no groups.
        is_validation: (n,) bool, True for the training images that validate candidates of a search;
            None if the search chooses them.
    """

    train_paths: Sequence[Path]
    train_labels: torch.Tensor
    test_paths: Sequence[Path]
    test_labels: torch.Tensor
    classes: tuple[str, ...] = ()
    groups: np.ndarray | None = None
    is_validation: np.ndarray | None = None


def list_folder(folder: Path) -> Listing:
    """List a folder with a subfolder of images per class.

    Args:
        folder: folder that contains a subfolder per class; or train/ and test/ with such
            subfolders, and optionally val/ (also valid/ or validation/). Without test/, val/ is the
            test set. Without train/, a fifth of each class becomes the test set.

    Raises:
        ValueError: if train/ exists but neither test/ nor val/, these folders have different
            classes, or a class has too few images.
    """
    if not (folder / "train").is_dir():
        paths, labels = _paths_of_classes(folder)
        classes = tuple(path.name for path in class_folders(folder))
        _require_five_images(folder, classes, labels)
        return _split(paths, labels, *split(labels, len(labels) - len(labels) // 5), classes)
    validation, test_folder = validation_folder(folder), folder / "test"
    if not test_folder.is_dir():
        if validation is None:
            raise ValueError(f"{folder} contains train/ but no test/ and no val/.")
        test_folder, validation = validation, None
    classes = tuple(p.name for p in class_folders(folder / "train"))
    train_paths, train_labels = _paths_of_classes(folder / "train")
    is_validation = None
    if validation is not None:
        _require_classes(folder, classes, validation)
        more_paths, more_labels = _paths_of_classes(validation)
        is_validation = np.arange(len(train_paths) + len(more_paths)) >= len(train_paths)
        train_paths, train_labels = train_paths + more_paths, torch.cat([train_labels, more_labels])
    _require_classes(folder, classes, test_folder)
    test_paths, test_labels = _paths_of_classes(test_folder)
    return Listing(
        train_paths, train_labels, test_paths, test_labels, classes, is_validation=is_validation
    )


def list_class_folders(folder: Path, classes: Sequence[str]) -> tuple[list[Path], torch.Tensor]:
    """List all images of a folder with a subfolder per class, without splitting them.

    Args:
        folder: folder that contains a subfolder per class. Classes may have no subfolder. If the
            names of the subfolders are numbers and no classes, they are positions in ``classes``,
            as in ImageNet-V2.
        classes: names of all classes.

    Returns:
        The paths of n images, and their (n,) labels, which are positions in ``classes``.

    Raises:
        ValueError: if a subfolder with images is not named like a class.
    """
    found = class_folders(folder)
    if not {path.name for path in found} & set(classes):
        numbers = [int(path.name) for path in found if path.name.isdecimal()]
        if numbers and len(numbers) == len(found) and max(numbers) < len(classes):
            paths, labels = _paths_of_classes(folder)
            return paths, torch.tensor(numbers)[labels]
    unknown = sorted({path.name for path in found} - set(classes))
    if unknown:
        raise ValueError(
            f"{folder} is invalid: expected subfolders with the names of the classes "
            f"{list(classes)}, got {unknown}."
        )
    positions = torch.tensor([classes.index(path.name) for path in found])
    paths, labels = _paths_of_classes(folder)
    return paths, positions[labels]


def validation_folder(folder: Path) -> Path | None:
    """Return the subfolder with validation images, or None if there is none."""
    for name in VALIDATION_FOLDERS:
        if (folder / name).is_dir():
            return folder / name
    return None


def _require_five_images(source: Path, classes: Sequence[str], labels: torch.Tensor) -> None:
    """Raise a ``ValueError`` if a class has too few images for a training and a test set.

    Args:
        source: path of the images or of the table of their labels, for the message.
        classes: names of the classes.
        labels: (n,) ints, positions in ``classes``.
    """
    counts = torch.bincount(labels, minlength=len(classes)).tolist()
    few = [
        f"{name!r} has {plural(n, 'image')}"
        for name, n in zip(classes, counts, strict=True)
        if n < 5
    ]
    if few:
        more = f" and {plural(len(few) - 5, 'other class', 'other classes')}" if few[5:] else ""
        raise ValueError(
            f"{source} has too few images: at least 5 per class are required, but "
            f"{', '.join(few[:5])}{more}."
        )


def _require_classes(folder: Path, classes: tuple[str, ...], part: Path) -> None:
    """Raise a ``ValueError`` if a part of a folder has other classes than train/."""
    actual = tuple(p.name for p in class_folders(part))
    if not actual:
        raise ValueError(
            f"{part} contains no subfolder with images: expected one per class, as in train/."
        )
    if actual != classes:
        raise ValueError(
            f"train/ and {part.name}/ in {folder} have different classes: only one of them "
            f"contains {sorted(set(classes) ^ set(actual))}."
        )


def _paths_of_classes(folder: Path) -> tuple[list[Path], torch.Tensor]:
    """Return the n images of a folder with a subfolder per class, and their labels, (n,)."""
    paths: list[Path] = []
    labels: list[int] = []
    for label, class_folder in enumerate(class_folders(folder)):
        images = images_in(class_folder)
        paths += images
        labels += [label] * len(images)
    return paths, torch.tensor(labels)


def list_unlabeled_folder(folder: Path) -> Listing:
    """List all images of a folder and its subfolders, which have no labels.

    Args:
        folder: folder that contains the images, or train/ and test/ with the images. Without
            train/ and test/, a fifth of the images becomes the test set.

    Raises:
        ValueError: if there are too few images.
    """
    train, test = folder / "train", folder / "test"
    if train.is_dir() and test.is_dir() and has_images(train) and has_images(test):
        paths = [images_in(train), images_in(test)]
    else:
        found = images_in(folder)
        if len(found) < 10:
            raise ValueError(f"{folder} contains {len(found)} images; at least 10 are required.")
        rows = split(torch.empty(len(found), 0), len(found) - len(found) // 5)
        paths = [[found[i] for i in part] for part in rows]
    train_labels, test_labels = (torch.empty(len(part), 0) for part in paths)
    return Listing(paths[0], train_labels, paths[1], test_labels)


def list_table(folder: Path) -> Listing:
    """List images with a CSV file of labels, see :mod:`moonas.data.tables`.

    Their groups are the patients, if the CSV file has a column of patients.

    Args:
        folder: folder that contains the images and the CSV file.

    Raises:
        ValueError: if the CSV file is missing or invalid, or lists too few images or patients.
    """
    path = tables.find_table(folder)
    if path is None:
        raise ValueError(f"{folder} contains no CSV file of labels.")
    table = tables.read_table(path)
    paths = tables.find_images(table, folder)
    labels, groups = torch.from_numpy(table.labels), table.patients
    is_test = tables.read_test_list(table, folder)
    if is_test is None:
        if len(labels) < 10:
            raise ValueError(f"{path} lists {len(labels)} images; at least 10 are required.")
        if not table.multi_label:
            _require_five_images(path, table.classes, labels)
        if groups is not None and len(np.unique(groups)) < 5:
            raise ValueError(
                f"{path} lists {len(np.unique(groups))} patients; at least 5 are required."
            )
        train, test = split(labels, len(labels) - len(labels) // 5, groups)
    else:
        train, test = np.flatnonzero(~is_test), np.flatnonzero(is_test)
    return _split(paths, labels, train, test, table.classes, groups)


def _split(
    paths: Sequence[Path],
    labels: torch.Tensor,
    train: np.ndarray,
    test: np.ndarray,
    classes: tuple[str, ...],
    groups: np.ndarray | None = None,
) -> Listing:
    """Return the listing whose training and test images have given positions in ``paths``."""
    return Listing(
        [paths[i] for i in train],
        labels[train],
        [paths[i] for i in test],
        labels[test],
        classes,
        None if groups is None else groups[train],
    )
