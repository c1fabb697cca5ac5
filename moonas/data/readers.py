"""Readers of images: digits, torchvision's data sets, folders, and CSV files of labels.

Images are float32 (n, c, h, w) with pixels in [0, 1]. Readers return ``TrainAndTestTensors``, a
list of four tensors: training images, training labels, test images and test labels. Labels of
images without labels have the shape (n, 0).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from sklearn.datasets import load_digits

from ..run.numbers import plural
from . import tables
from .form import ImageForm
from .image_files import class_folders, has_images, images_in, read_images
from .splits import split

if TYPE_CHECKING:
    from .images import DataInfo

N_TEST_DIGITS = 360  # number of test images of scikit-learn's digits
VALIDATION_FOLDERS = ("val", "valid", "validation")
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
            parts += [_to_pixels(images, info.form), torch.empty(len(images), 0)]
            continue
        labels = data.labels if has_split_argument else data.targets
        parts += [images.float() / 255, torch.as_tensor(np.asarray(labels), dtype=torch.int64)]
    if not info.labeled:
        return parts, ()
    classes = getattr(data, "classes", None) or range(info.n_classes)
    return parts, tuple(map(str, classes))


def _to_pixels(images: torch.Tensor, form: ImageForm) -> torch.Tensor:
    """Convert uint8 images (n, c, h, w) to pixels in [0, 1] in a form.

    The images are converted in chunks, because all of them in their original size may not fit into
    memory as float32.
    """
    pixels = torch.empty(len(images), form.channels, form.side, form.side)
    for i in range(0, len(images), CHUNK):
        pixels[i : i + CHUNK] = form.fit(images[i : i + CHUNK].float() / 255)
    return pixels


def read_folder(
    folder: Path, form: ImageForm
) -> tuple[TrainAndTestTensors, tuple[str, ...], np.ndarray | None]:
    """Read a folder with a subfolder of images per class.

    Args:
        folder: folder that contains a subfolder per class; or train/ and test/ with such
            subfolders, and optionally val/ (also valid/ or validation/). Without test/, val/ is the
            test set. Without train/, a fifth of each class becomes the test set.
        form: size and channels of the images.

    Returns:
        The tensors, the class names, and a mask of the training images that are in val/ and
        validate candidates of a search, (n,) bool; None if the search chooses them.

    Raises:
        ValueError: if train/ exists but neither test/ nor val/, these folders have different
            classes, or a class has too few images.
    """
    if not (folder / "train").is_dir():
        paths, labels = _paths_of_classes(folder)
        classes = tuple(path.name for path in class_folders(folder))
        _require_five_images(folder, classes, labels)
        train, test = split(labels, len(labels) - len(labels) // 5)
        parts = []
        for rows in (train, test):
            parts += [read_images([paths[i] for i in rows], form), labels[rows]]
        return parts, classes, None
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
    parts = [read_images(train_paths, form), train_labels]
    return [*parts, read_images(test_paths, form), test_labels], classes, is_validation


def read_class_folders(
    folder: Path, form: ImageForm, classes: Sequence[str]
) -> tuple[torch.Tensor, torch.Tensor]:
    """Read all images of a folder with a subfolder per class, without splitting them.

    Args:
        folder: folder that contains a subfolder per class. Classes may have no subfolder.
        form: size and channels of the images.
        classes: names of all classes.

    Returns:
        (n, channels, side, side) images, and their (n,) labels, which are positions in ``classes``.

    Raises:
        ValueError: if a subfolder with images is not named like a class.
    """
    found = class_folders(folder)
    unknown = sorted({path.name for path in found} - set(classes))
    if unknown:
        raise ValueError(
            f"{folder} is invalid: expected subfolders with the names of the classes "
            f"{list(classes)}, got {unknown}."
        )
    positions = torch.tensor([classes.index(path.name) for path in found])
    paths, labels = _paths_of_classes(folder)
    return read_images(paths, form), positions[labels]


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


def read_unlabeled_folder(folder: Path, form: ImageForm) -> TrainAndTestTensors:
    """Read all images of a folder and its subfolders, which have no labels.

    Args:
        folder: folder that contains the images, or train/ and test/ with the images. Without
            train/ and test/, a fifth of the images becomes the test set.
        form: size and channels of the images.

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
    parts = [read_images(part, form) for part in paths]
    labels = [torch.empty(len(images), 0) for images in parts]
    return [parts[0], labels[0], parts[1], labels[1]]


def read_listed_folder(
    folder: Path, form: ImageForm
) -> tuple[TrainAndTestTensors, tuple[str, ...], np.ndarray | None]:
    """Read images with a CSV file of labels, see :mod:`moonas.data.tables`.

    Args:
        folder: folder that contains the images and the CSV file.
        form: size and channels of the images.

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
    parts = []
    for rows in (train, test):
        parts += [read_images([paths[i] for i in rows], form), labels[rows]]
    return parts, table.classes, None if groups is None else groups[train]
