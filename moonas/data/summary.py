"""What a data set contains: classes, sizes, kinds of pixels, damaged files, and samples."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from ..errors import reason
from .disk_cache import DiskCache
from .form import ImageForm
from .holding import choose_place
from .image_files import REASON_LENGTH, open_image, read_image
from .images import DataInfo, describe, is_folder, list_images, load

N_SAMPLES = 6  # images of each class that are drawn
MOST_CLASSES = 20  # classes of which images are drawn
KINDS = {
    "1": "black and white",
    "L": "gray",
    "P": "palette",
    "RGB": "color",
    "RGBA": "color with transparency",
    "CMYK": "CMYK",
    "LA": "gray with transparency",
}


@dataclass(frozen=True)
class DataSummary:
    """What a data set contains.

    Args:
        info: properties of the data set, with the form in which a network sees its images.
        classes: names of the classes, or of the labels.
        counts: part, "train", "val" or "test" -> (n_classes,) images of each class or label.
        totals: part -> number of images.
        sizes: (width, height) of images in files -> number of images; empty for data sets that are
            not folders.
        kinds: kind of pixels, such as "gray" -> number of images; empty as well.
        errors: messages about files that cannot be read as images.
        seconds: time for reading all images.
        samples: class -> (k, channels, side, side) training images, pixels in [0, 1], as a network
            sees them; one entry with an empty name if there are no labels.
        place: where a search would keep the images, see :func:`.holding.choose_place`; empty for
            data sets that are not folders.
    """

    info: DataInfo
    classes: tuple[str, ...]
    counts: dict[str, np.ndarray]
    totals: dict[str, int]
    sizes: Counter[tuple[int, int]]
    kinds: Counter[str]
    errors: tuple[str, ...]
    seconds: float
    samples: dict[str, torch.Tensor]
    place: str = ""

    @property
    def n_bytes(self) -> int:
        """Memory in bytes that the images need as 8-bit pixels."""
        return sum(self.totals.values()) * self.info.channels * self.info.side**2


def summarize(
    name: str,
    *,
    root: str | None = None,
    download: bool = False,
    image_size: int | None = None,
    image_channels: int | None = None,
    resize: str = "crop",
    on_progress: Callable[[str, int, int, str], None] | None = None,
) -> DataSummary:
    """Read all images of a data set or a folder, and summarize them.

    Args:
        name: name of a data set, or the path of a folder, see :func:`moonas.data.load`.
        root: folder of downloaded data sets.
        download: whether a missing data set is downloaded.
        image_size: see :func:`moonas.data.load`, as the next two.
        image_channels: see there.
        resize: see there.
        on_progress: called with (phase, done, total, unit) after some images.

    Raises:
        ValueError: the data set is unknown, or the folder contains no images or too few.
    """
    info = describe(
        name,
        image_size,
        image_channels=image_channels,
        resize=resize,
        labels_required=False,
    )
    if is_folder(info):
        return _summarize_folder(info, on_progress)
    start = time.perf_counter()
    data = load(
        name,
        root=root,
        download=download,
        labels_required=False,
        image_size=image_size,
        image_channels=image_channels,
        resize=resize,
    )
    labels = {"train": data.labels, "test": data.test_labels}
    pixels = (data.images[:1000] * data.std + data.mean).clamp(0, 1)
    return DataSummary(
        data.info,
        data.classes,
        {part: _count(of_part, data.info.n_classes) for part, of_part in labels.items()},
        {part: len(of_part) for part, of_part in labels.items()},
        Counter(),
        Counter(),
        (),
        time.perf_counter() - start,
        _samples(pixels, data.labels[:1000], data.classes),
    )


def _summarize_folder(
    info: DataInfo, on_progress: Callable[[str, int, int, str], None] | None
) -> DataSummary:
    files = list_images(info)
    validates = files.is_validation
    if validates is None:
        validates = np.zeros(len(files.train_paths), bool)
    parts = {
        "train": (files.train_paths, files.train_labels, ~validates),
        "val": (files.train_paths, files.train_labels, validates),
        "test": (files.test_paths, files.test_labels, np.ones(len(files.test_paths), bool)),
    }
    total = len(files.train_paths) + len(files.test_paths)
    start, done = time.perf_counter(), 0
    sizes: Counter[tuple[int, int]] = Counter()
    kinds: Counter[str] = Counter()
    errors: list[str] = []
    counts: dict[str, np.ndarray] = {}
    totals: dict[str, int] = {}
    drawn: list[torch.Tensor] = []
    drawn_labels: list[torch.Tensor] = []
    n_drawn: Counter[int] = Counter()
    for part, (paths, labels, chosen) in parts.items():
        kept = []
        for i in np.flatnonzero(chosen).tolist():
            try:
                pixels, size, kind = _inspect(paths[i], info.form)
            except ValueError as error:
                errors.append(reason(error, REASON_LENGTH + 80))
            else:
                kept.append(i)
                sizes[size] += 1
                kinds[kind] += 1
                key = int(labels[i]) if labels.ndim == 1 else 0
                if part == "train" and n_drawn[key] < N_SAMPLES * (1 if labels.ndim == 1 else 20):
                    n_drawn[key] += 1
                    drawn.append(pixels)
                    drawn_labels.append(labels[i])
            done += 1
            if on_progress is not None and (done % 50 == 0 or done == total):
                on_progress("reading", done, total, "images")
        if kept or part != "val":
            counts[part] = _count(labels[kept], info.n_classes)
            totals[part] = len(kept)
    samples = {}
    if drawn:
        samples = _samples(torch.cat(drawn), torch.stack(drawn_labels), files.classes)
    return DataSummary(
        info,
        files.classes,
        counts,
        totals,
        sizes,
        kinds,
        tuple(errors),
        time.perf_counter() - start,
        samples,
        _place_of(info, total),
    )


def _place_of(info: DataInfo, n: int) -> str:
    """Return where a search would keep the images of a folder, as a sentence."""
    return choose_place("auto", DiskCache(info.name, info.form, n))[1]


def _inspect(path: Path, form: ImageForm) -> tuple[torch.Tensor, tuple[int, int], str]:
    """Return an image in a form, the size in its file, and the kind of its pixels."""
    with open_image(path) as image:
        size, mode = image.size, image.mode
    kind = "gray with 16 bits" if mode.startswith("I") else KINDS.get(mode, mode)
    return read_image(path, form).float() / 255, size, kind


def _count(labels: torch.Tensor, n_classes: int) -> np.ndarray:
    """Return the number of images of each class or label, (n_classes,)."""
    if labels.ndim == 1:
        return torch.bincount(labels, minlength=n_classes).numpy()
    counts: np.ndarray = labels.sum(0).int().numpy()
    return counts


def _samples(
    pixels: torch.Tensor, labels: torch.Tensor, classes: Sequence[str]
) -> dict[str, torch.Tensor]:
    if not classes:
        return {"": pixels[: 4 * N_SAMPLES]}
    belongs = [labels == i if labels.ndim == 1 else labels[:, i] > 0 for i in range(len(classes))]
    return {
        name: pixels[of_class][:N_SAMPLES]
        for name, of_class in zip(classes[:MOST_CLASSES], belongs, strict=False)
    }
