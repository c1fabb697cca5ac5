"""Loading of images from a data set with a known name, or from a folder.

A folder contains either a subfolder of images per class, or images and a CSV file of labels. Tasks
that need no labels accept any folder of images.
"""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from ..files.image_folders import IMAGE_ENDINGS
from ..nets.devices import repeatable
from ..settings import DATA_IN, ON_BAD_IMAGE, RESIZE
from . import tables
from .batches import Images
from .form import ImageForm
from .holding import hold, hold_files
from .image_files import class_folders, damaged_images_error, has_images, to_bytes
from .listing import Listing, list_folder, list_table, list_unlabeled_folder
from .pixel_statistics import mean_and_std, sum_pixels
from .readers import DIGIT_LEVELS, read_digits, read_torchvision
from .stores import SKIP_ADVICE, CacheStore, ImageStore, MemoryStore, Progress

CHUNK = 1000  # images that are converted at a time
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
        stored: side length in pixels to which images are fitted before their center is cropped to
            ``side``; None for ``side``.
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
    stored: int | None = None

    @property
    def form(self) -> ImageForm:
        """Form of the images."""
        return ImageForm(self.side, self.channels, self.resize, self.stored)


@dataclass(frozen=True)
class ImageData:
    """The training images and the test images of a data set.

    A search splits the training images into a training set and a validation set. It does not use
    the test images, except that searches for GANs report how well discriminators recognize them;
    this number does not affect the search.

    Args:
        info: properties of the data set.
        classes: names of the classes, or of the labels.
        images: n training images, whose batches are float32 (b, channels, stored, stored),
            (pixels - mean) / std with pixels in [0, 1], where ``stored`` is ``info.stored`` or the
            side length.
        labels: (n,) int64 classes; (n, n_classes) float32 zeros and ones if images can have several
            labels; (n, 0) float32 if they have none.
        test_images: test images, in the same form.
        test_labels: labels of the test images.
        mean: (1, channels, 1, 1) mean of the training images' pixels.
        std: (1, channels, 1, 1) standard deviation of the training images' pixels.
        groups: (n,) ints that identify, for example, patients; a split must not separate training
            images of the same group. None if there are no groups.
        is_validation: (n,) bool, True for the training images that validate candidates of a search;
            None if the search chooses them at random.
        place: where the images of a folder are kept, and why, as a sentence.
    """

    info: DataInfo
    classes: tuple[str, ...]
    images: Images
    labels: torch.Tensor
    test_images: Images
    test_labels: torch.Tensor
    mean: torch.Tensor
    std: torch.Tensor
    groups: np.ndarray | None = None
    is_validation: np.ndarray | None = None
    place: str = ""


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
    stored_size: int | None = None,
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
        stored_size: side length in pixels to which images are fitted before their center is
            cropped, at least ``image_size``; by default, ``image_size``.
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
    side = image_size or info.side
    if stored_size is not None and stored_size < side:
        raise ValueError(
            f"stored_size={stored_size} is invalid: expected at least image_size, {side} pixels."
        )
    return replace(
        info,
        side=side,
        channels=image_channels or info.channels,
        resize=resize,
        on_bad_image=on_bad_image,
        stored=stored_size if stored_size != side else None,
    )


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
    stored_size: int | None = None,
    labels_required: bool = True,
    data_in: str = "auto",
    loader_workers: int | None = None,
    on_progress: Progress | None = None,
) -> ImageData:
    """Load a data set, or prepare the images of a folder for reading.

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
        stored_size: side length before the center is cropped, see :func:`describe`.
        labels_required: whether images without labels are rejected.
        data_in: where the images of a folder are kept, see :func:`moonas.data.holding.hold`. Other
            data sets are always in memory. The images are the same.
        loader_workers: number of processes that decode image files; by default one per CPU, at most
            8.
        on_progress: called with (phase, done, total, unit) while images are read.

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
        stored_size=stored_size,
        labels_required=labels_required,
    )
    if data_in not in DATA_IN:
        raise ValueError(f"data_in={data_in!r} is unknown; choose from {list(DATA_IN)}.")
    with repeatable(1):  # the number of threads must not affect the last bits
        if is_folder(info):
            return _load_folder(info, data_in, loader_workers, on_progress)
        if data_in not in ("auto", "memory"):
            raise ValueError(
                f"data_in={data_in} is invalid: expected auto or memory, since only the images of "
                f"a folder can be read from their files, and {name} is no folder."
            )
        train, test = (_read_part(info, part, root, download) for part in (True, False))
        sums = sum_pixels(
            train.store.batches(torch.split(torch.arange(len(train.labels)), CHUNK)), info.channels
        )
        mean, std = mean_and_std(sums, train.store.pixels[:, 0].numel(), train.store.levels)
    normalize = Normalization(mean, std)
    images, test_images = (Images(part.store, normalize) for part in (train, test))
    classes, labels = train.classes, train.labels
    return ImageData(info, classes, images, labels, test_images, test.labels, mean, std)


def _load_folder(
    info: DataInfo, data_in: str, workers: int | None, on_progress: Progress | None
) -> ImageData:
    """Prepare the images of a folder for reading, see :func:`load`."""
    files = list_images(info)
    held = hold(
        info.name,
        files,
        info.form,
        data_in=data_in,
        workers=workers,
        skip=info.on_bad_image == "skip",
        on_progress=on_progress,
    )
    n_train, n_test = len(files.train_paths), len(files.test_paths)
    rows = _readable_rows(info, held.errors, n_train, n_test)
    train, test = (
        store if kept is None else store.subset(kept)
        for store, kept in zip((held.train, held.test), rows, strict=True)
    )
    labels, test_labels = (
        values if kept is None else values[kept]
        for values, kept in zip((files.train_labels, files.test_labels), rows, strict=True)
    )
    mean, std = mean_and_std(held.sums, held.n_measured * info.form.whole.side**2, 255)
    normalize = Normalization(mean, std)

    def of_training(values: np.ndarray | None) -> np.ndarray | None:
        return values if values is None or rows[0] is None else values[rows[0].numpy()]

    return ImageData(
        info,
        files.classes,
        Images(train, normalize),
        labels,
        Images(test, normalize),
        test_labels,
        mean,
        std,
        of_training(files.groups),
        of_training(files.is_validation),
        held.reason,
    )


def _readable_rows(
    info: DataInfo, errors: Mapping[int, str], n_train: int, n_test: int
) -> tuple[torch.Tensor | None, torch.Tensor | None]:
    """Return the positions of the training and of the test images that can be read.

    Args:
        info: description of the folder.
        errors: position -> message about a file that cannot be read; test images follow the
            training images.
        n_train: number of training images.
        n_test: number of test images.

    Returns:
        Positions among the training images, and among the test images; None if all can be read.

    Raises:
        ValueError: a file cannot be read and must not be skipped, or none of the training or of the
            test images can be read.
    """
    if not errors:
        return None, None
    n = n_train + n_test
    readable = torch.from_numpy(np.setdiff1d(np.arange(n), list(errors)))
    train, test = readable[readable < n_train], readable[readable >= n_train] - n_train
    damaged = damaged_images_error([ValueError(message) for message in errors.values()], n)
    for part, kept, count in (("training", train, n_train), ("test", test, n_test)):
        if count and not len(kept):
            raise ValueError(f"No {part} image can be read: {damaged}")
    if info.on_bad_image == "stop":
        raise ValueError(f"{damaged}. {SKIP_ADVICE}")
    warnings.warn(f"Skipped: {damaged}", stacklevel=4)
    return train if len(train) < n_train else None, test if len(test) < n_test else None


class Normalization:
    """Normalizes pixels in [0, 1] in place: subtracts a mean, divides by a standard deviation.

    Args:
        mean: (1, channels, 1, 1).
        std: (1, channels, 1, 1).
    """

    def __init__(self, mean: torch.Tensor, std: torch.Tensor) -> None:
        self._on_device = {mean.device: (mean, std)}
        self.mean, self.std = mean, std

    def __call__(self, pixels: torch.Tensor) -> torch.Tensor:
        """Normalize pixels (b, channels, h, w)."""
        device = pixels.device
        if device not in self._on_device:
            self._on_device[device] = self.mean.to(device), self.std.to(device)
        mean, std = self._on_device[device]
        return pixels.sub_(mean).div_(std)  # in place, since a new tensor takes as long as this


def build_cache(
    folder: str,
    *,
    image_size: int | None = None,
    image_channels: int | None = None,
    resize: str = "crop",
    on_progress: Progress | None = None,
) -> Path:
    """Decode the images of a folder into the cache, unless they are in it; return its file.

    Files that cannot be read are left out.

    Args:
        folder: path of the folder.
        image_size: see :func:`load`, as the next two.
        image_channels: see there.
        resize: see there.
        on_progress: called with (phase, done, total, unit) while images are read.

    Raises:
        ValueError: the data set is no folder, or the disk is too small.
    """
    form = dict(image_size=image_size, image_channels=image_channels, resize=resize)
    info = describe(folder, **form, labels_required=False)  # type: ignore[arg-type]
    if not is_folder(info):
        raise ValueError(f"{folder} is always in memory: only a folder of images can be cached.")
    held = hold(info.name, list_images(info), info.form, data_in="cache", on_progress=on_progress)
    assert isinstance(held.train, CacheStore)
    return held.train.path


def load_test_set(
    name: str,
    form: ImageForm,
    *,
    root: str | Path | None = None,
    download: bool = False,
    include_training_set: bool = False,
) -> tuple[Images, torch.Tensor, tuple[str, ...]]:
    """Load the test images of a data set, without reading its training images.

    Args:
        name: a key of ``DATA_SETS``, or the path of a folder, see :func:`load`.
        form: size and channels of the images.
        root: folder with torchvision's files, see :func:`load`.
        download: whether torchvision downloads a missing data set.
        include_training_set: whether to load the training images as well, before the test images.

    Returns:
        n images, whose batches are (b, channels, side, side) pixels in [0, 1]; their labels as in
        :class:`ImageData`; and the names of the classes.

    Raises:
        ValueError: if the data set is unknown, missing or unreadable, or has no labels.
    """
    info = describe(
        name,
        form.side,
        image_channels=form.channels,
        resize=form.resize,
        stored_size=form.stored,
    )
    with repeatable(1):
        if is_folder(info):
            files = list_images(info)
            paths, labels = [*files.test_paths], files.test_labels
            if include_training_set:
                paths = [*files.train_paths, *paths]
                labels = torch.cat([files.train_labels, labels])
            store: ImageStore = hold_files(paths, form)
            classes = files.classes
        else:
            parts = [True, False] if include_training_set else [False]
            read = [_read_part(info, train, root, download) for train in parts]
            pixels = torch.cat([part.store.pixels for part in read])
            store, classes = MemoryStore(pixels, read[0].store.levels), read[0].classes
            labels = torch.cat([part.labels for part in read])
    return Images(store, form.center), labels, classes


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
    """The training or the test images of a data set that is not a folder.

    Args:
        store: the images, in memory.
        labels: labels of the images.
        classes: names of the classes.
    """

    store: MemoryStore
    labels: torch.Tensor
    classes: tuple[str, ...]


def _read_part(info: DataInfo, train: bool, root: str | Path | None, download: bool) -> _Part:
    """Read the training or the test images of a data set in the form of ``info``."""
    if info.name == "digits":
        pixels, labels, classes = read_digits(train)
        levels = DIGIT_LEVELS
    else:
        pixels, labels, classes = read_torchvision(info, root or "data", download, train)
        levels = 255
    return _Part(_fitted(pixels, levels, info.form.whole), labels, classes)


def _fitted(pixels: torch.Tensor, levels: int, form: ImageForm) -> MemoryStore:
    """Convert uint8 images (n, c, h, w) to a form.

    They are converted in chunks, because all of them may not fit into memory as float32.
    """
    if pixels.shape[1:] == (form.channels, *form.size):
        return MemoryStore(pixels.contiguous(), levels)
    fitted = torch.empty(len(pixels), form.channels, *form.size, dtype=torch.uint8)
    for rows in torch.split(torch.arange(len(pixels)), CHUNK):
        fitted[rows] = to_bytes(form.fit(pixels[rows].float() / levels))
    return MemoryStore(fitted)
