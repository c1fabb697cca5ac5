"""Loading of images from a data set with a known name, or from a folder.

A folder contains either a subfolder of images per class, or images and a CSV file of labels. Tasks
that need no labels accept any folder of images.
"""

from __future__ import annotations

import hashlib
import warnings
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from ..files.image_folders import IMAGE_ENDINGS
from ..nets.devices import repeatable
from ..settings import ON_BAD_IMAGE, RESIZE
from . import tables
from .form import ImageForm
from .image_files import (
    class_folders,
    damaged_images_error,
    has_images,
    read_images_or_errors,
)
from .listing import Listing, list_folder, list_table, list_unlabeled_folder
from .readers import read_digits, read_torchvision

FOLDER_SIDE = 32  # default side length in pixels of images from a folder


@dataclass(frozen=True)
class DataInfo:
    """Properties of a data set that are known without loading its images.

    Args:
        name: name of the data set, or path of the folder.
        n_classes: number of classes; the number of labels if an image can have several labels.
        channels: number of channels of an image.
        side: side length of an image in pixels.
        padding: maximum shift of an image in pixels during augmentation.
        flip: whether augmentation flips images horizontally.
        source: name of a class in ``torchvision.datasets``; empty for other data sets.
        multi_label: whether an image can have any number of labels.
        labeled: whether images have labels; if not, ``n_classes`` is 0.
        labels_in_table: whether a CSV file contains the labels.
        resize: how images that are not square are fitted, see
            :class:`~moonas.data.form.ImageForm`.
        on_bad_image: "stop" raises an error if files cannot be read as images, "skip" leaves them
            out with a warning.
    """

    name: str
    n_classes: int
    channels: int
    side: int
    padding: int = 0
    flip: bool = False
    source: str = ""
    multi_label: bool = False
    labeled: bool = True
    labels_in_table: bool = False
    resize: str = "crop"
    on_bad_image: str = "stop"

    @property
    def form(self) -> ImageForm:
        """Form of the images."""
        return ImageForm(self.side, self.channels, self.resize)


@dataclass(frozen=True)
class ImageData:
    """The training images and the test images of a data set.

    A search splits the training images into a training set and a validation set. It does not use
    the test images, except that searches for GANs report how well discriminators recognize them;
    this number does not affect the search.

    Args:
        info: properties of the data set.
        classes: names of the classes, or of the labels.
        images: (n, channels, side, side) float32 training images, (pixels - mean) / std, with
            pixels in [0, 1].
        labels: (n,) int64 classes; (n, n_classes) float32 zeros and ones if images can have several
            labels; (n, 0) float32 if they have none.
        test_images: test images, normalized like the training images.
        test_labels: labels of the test images.
        mean: (1, channels, 1, 1) mean of the training images' pixels.
        std: (1, channels, 1, 1) standard deviation of the training images' pixels.
        groups: (n,) ints that identify, for example, patients; a split must not separate training
            images of the same group. None if there are no groups.
        is_validation: (n,) bool, True for the training images that validate candidates of a search;
            None if the search chooses them at random.
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
    is_validation: np.ndarray | None = None


DATA_SETS = {
    info.name: info
    for info in (
        DataInfo("digits", 10, 1, 8),
        DataInfo("cifar10", 10, 3, 32, 4, True, "CIFAR10"),
        DataInfo("cifar100", 100, 3, 32, 4, True, "CIFAR100"),
        DataInfo("stl10", 10, 3, 96, 12, True, "STL10"),
        DataInfo("stl10-unlabeled", 0, 3, 96, 12, True, "STL10", labeled=False),
        DataInfo("svhn", 10, 3, 32, 4, False, "SVHN"),
        DataInfo("mnist", 10, 1, 28, 2, False, "MNIST"),
        DataInfo("fashion-mnist", 10, 1, 28, 2, True, "FashionMNIST"),
    )
}


def describe(
    name: str,
    image_size: int | None = None,
    *,
    image_channels: int | None = None,
    resize: str = "crop",
    on_bad_image: str = "stop",
    labels_required: bool = True,
) -> DataInfo:
    """Return the properties of a data set or folder, without loading or downloading images.

    Args:
        name: a key of ``DATA_SETS``, or the path of a folder.
        image_size: side length of images in pixels; by default, the data set's side length.
        image_channels: 1 for gray images, 3 for color images; by default, the channels of the data
            set's images, and 3 for folders.
        resize: how images that are not square are fitted, see
            :class:`~moonas.data.form.ImageForm`.
        on_bad_image: "stop" or "skip", see :class:`DataInfo`.
        labels_required: whether images without labels are rejected.

    Raises:
        ValueError: if the data set is unknown, the folder contains no images or no labels although
            they are required, or a property of the images is invalid.
    """
    info = DATA_SETS[name] if name in DATA_SETS else _describe_folder(Path(name), labels_required)
    if labels_required and not info.labeled:
        raise ValueError(
            f"{name} contains images without labels, but this task requires labels. Only GANs can "
            "learn from images without labels."
        )
    if image_size is not None and image_size < 1:
        raise ValueError(f"image_size={image_size} is invalid: expected at least 1 pixel.")
    if image_channels not in (None, 1, 3):
        raise ValueError(
            f"image_channels={image_channels!r} is invalid: expected 1 (gray) or 3 (color)."
        )
    if resize not in RESIZE:
        raise ValueError(f"resize={resize!r} is unknown; choose from {list(RESIZE)}.")
    if on_bad_image not in ON_BAD_IMAGE:
        raise ValueError(
            f"on_bad_image={on_bad_image!r} is unknown; choose from {list(ON_BAD_IMAGE)}."
        )
    info = replace(info, side=image_size or info.side, resize=resize, on_bad_image=on_bad_image)
    return replace(info, channels=image_channels or info.channels)


def checksums(info: DataInfo) -> dict[str, str]:
    """Compute checksums of the files that define labels and test set: CSV file and test list.

    A resumed run compares checksums to detect changed labels. Images have no checksums.

    Returns:
        File name -> SHA-256 in hexadecimal digits; empty unless a CSV file contains the labels.
    """
    if not info.labels_in_table:
        return {}
    folder = Path(info.name)
    files = [tables.find_table(folder), folder / "test_list.txt"]
    return {
        f.name: hashlib.sha256(f.read_bytes()).hexdigest()
        for f in files
        if f is not None and f.exists()
    }


def _describe_folder(folder: Path, labels_required: bool) -> DataInfo:
    if not folder.is_dir():
        known = [info.name for info in DATA_SETS.values() if info.labeled or not labels_required]
        raise ValueError(
            f"Unknown data set {str(folder)!r}: expected an existing folder or one of {known}."
        )
    classes = class_folders(folder / "train" if (folder / "train").is_dir() else folder)
    if len(classes) >= 2 and not (folder / "labels.csv").exists():
        return DataInfo(str(folder), len(classes), 3, FOLDER_SIDE, 4, True)
    table = tables.find_table(folder)
    if table is None and not labels_required:
        if not has_images(folder):
            endings = ", ".join(IMAGE_ENDINGS)
            raise ValueError(f"{folder} contains no images: expected files that end in {endings}.")
        return DataInfo(str(folder), 0, 3, FOLDER_SIDE, 4, True, labeled=False)
    if table is None:
        hint = " Only GANs can learn from images without labels." if has_images(folder) else ""
        raise ValueError(
            f"{folder} contains no labeled images: expected a subfolder of images for each class, "
            "train/ and test/ with such subfolders, or images and a CSV file of their labels; got "
            f"{len(classes)} such subfolders and no CSV file.{hint}"
        )
    content = tables.read_table(table)
    info = DataInfo(str(folder), len(content.classes), 3, FOLDER_SIDE, 4, True)
    return replace(info, multi_label=content.multi_label, labels_in_table=True)


def load(
    name: str,
    *,
    root: str | Path | None = None,
    download: bool = False,
    image_size: int | None = None,
    image_channels: int | None = None,
    resize: str = "crop",
    on_bad_image: str = "stop",
    labels_required: bool = True,
) -> ImageData:
    """Load a data set.

    Args:
        name: a key of ``DATA_SETS``, or the path of a folder. The folder contains either a
            subfolder of images per class (a fifth of each class becomes the test set), or
            ``train/``, ``test/`` and optionally ``val/`` with such subfolders, or images and a CSV
            file, see :mod:`moonas.data.tables`. Without labels, it contains images, possibly in
            subfolders (a fifth becomes the test set), or ``train/`` and ``test/`` with images.
        root: folder with torchvision's files; by default, ``data`` in the working directory.
        download: whether torchvision downloads a missing data set.
        image_size: side length of images in pixels; by default, the data set's side length (32 for
            folders).
        image_channels: 1 or 3, see :func:`describe`.
        resize: how images that are not square are fitted, see :func:`describe`.
        on_bad_image: "stop" or "skip", see :func:`describe`.
        labels_required: whether images without labels are rejected.

    Raises:
        ValueError: if the data set is unknown, missing or unreadable, or has no labels although
            they are required.
    """
    info = describe(
        name,
        image_size,
        image_channels=image_channels,
        resize=resize,
        on_bad_image=on_bad_image,
        labels_required=labels_required,
    )
    with repeatable(1):  # the number of threads must not affect the last bits
        files = list_images(info) if is_folder(info) else None
        train = _read(info, files, True, root, download)
        test = _read(info, files, False, root, download)
        mean = train.images.mean((0, 2, 3), keepdim=True)
        std = train.images.std((0, 2, 3), keepdim=True).clamp_min(1e-6)
        for part in (train, test):  # in place, because a copy may not fit into memory
            part.images.sub_(mean).div_(std)

    def kept(values: np.ndarray | None) -> np.ndarray | None:
        return values if values is None or train.kept is None else values[train.kept]

    return ImageData(
        info,
        train.classes,
        train.images,
        train.labels,
        test.images,
        test.labels,
        mean,
        std,
        None if files is None else kept(files.groups),
        None if files is None else kept(files.is_validation),
    )


def load_test_set(
    name: str,
    form: ImageForm,
    *,
    root: str | Path | None = None,
    download: bool = False,
    include_training_set: bool = False,
) -> tuple[torch.Tensor, torch.Tensor, tuple[str, ...]]:
    """Load the test images of a data set, without reading its training images.

    Args:
        name: a key of ``DATA_SETS``, or the path of a folder, see :func:`load`.
        form: size and channels of the images.
        root: folder with torchvision's files, see :func:`load`.
        download: whether torchvision downloads a missing data set.
        include_training_set: whether to load the training images as well, before the test images.

    Returns:
        (n, channels, side, side) images with pixels in [0, 1], their labels as in
        :class:`ImageData`, and the names of the classes.

    Raises:
        ValueError: if the data set is unknown, missing or unreadable, or has no labels.
    """
    info = describe(name, form.side, image_channels=form.channels, resize=form.resize)
    with repeatable(1):
        files = list_images(info) if is_folder(info) else None
        parts = [True, False] if include_training_set else [False]
        read = [_read(info, files, train, root, download) for train in parts]
    images, labels = (torch.cat([getattr(part, n) for part in read]) for n in ("images", "labels"))
    return images, labels, read[0].classes


def list_images(info: DataInfo) -> Listing:
    """List the image files of a folder with their labels.

    Args:
        info: description of the folder.

    Raises:
        ValueError: if a part of the folder is missing, or has too few images.
    """
    folder = Path(info.name)
    if not info.labeled:
        return list_unlabeled_folder(folder)
    return list_table(folder) if info.labels_in_table else list_folder(folder)


def is_folder(info: DataInfo) -> bool:
    """Return whether a data set is a folder of image files."""
    return info.name != "digits" and not info.source


@dataclass(frozen=True)
class _Part:
    """The training or the test images of a data set, with pixels in [0, 1].

    Args:
        images: (n, channels, side, side).
        labels: labels of the images.
        classes: names of the classes.
        kept: positions of the images among the listed files; None if all files could be read.
    """

    images: torch.Tensor
    labels: torch.Tensor
    classes: tuple[str, ...]
    kept: np.ndarray | None = None


def _read(
    info: DataInfo, files: Listing | None, train: bool, root: str | Path | None, download: bool
) -> _Part:
    """Read the training or the test images in the form of ``info``."""
    if files is not None:
        paths = files.train_paths if train else files.test_paths
        labels = files.train_labels if train else files.test_labels
        images, errors = read_images_or_errors(paths, info.form)
        if not errors:
            return _Part(images, labels, files.classes)
        damaged = damaged_images_error(errors, len(paths))
        kept = np.setdiff1d(np.arange(len(paths)), list(errors))
        if len(kept) == 0:
            raise damaged
        if info.on_bad_image == "stop":
            raise ValueError(f"{damaged}. To leave such files out, set on_bad_image=skip.")
        warnings.warn(f"Skipped: {damaged}", stacklevel=4)
        return _Part(images[kept], labels[kept], files.classes, kept)
    if info.name == "digits":
        images, labels, classes = read_digits(train)
    else:
        images, labels, classes = read_torchvision(info, root or "data", download, train)
    return _Part(info.form.fit(images), labels, classes)
