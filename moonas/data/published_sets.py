"""Published test sets of CIFAR and ImageNet, in the files in which they are published.

- CIFAR-10.1 (Recht et al., 2018): ``cifar10.1_v6_data.npy`` and ``cifar10.1_v6_labels.npy``.
- ImageNet-V2 (Recht et al., 2019): a subfolder per class, named by the number of the class.
- CIFAR-10-C and CIFAR-100-C (Hendrycks and Dietterich, 2019): an array per corruption with the
  images of all strengths, one after another, such as ``fog.npy``, and ``labels.npy``.
- ImageNet-C (same paper): folders ``CORRUPTION/STRENGTH/CLASS``, possibly in folders of groups of
  corruptions.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from ..errors import reason
from .form import ImageForm
from .image_files import read_images, to_bytes
from .listing import list_class_folders

N_STRENGTHS = 5
CHUNK = 2000  # images that are read at a time
LABELS = "labels.npy"
DATA_ENDING, LABELS_ENDING = "_data.npy", "_labels.npy"


@dataclass(frozen=True)
class CorruptedSet:
    """A published test set whose images were corrupted at five strengths.

    Args:
        name: name of its folder.
        sources: name of a corruption -> the file or the folder of its images.
        form: form in which the images are read.
        classes: names of the classes, in the order of the labels.
    """

    name: str
    sources: dict[str, Path]
    form: ImageForm
    classes: tuple[str, ...]

    def chunks(self, corruption: str, strength: int) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Yield the images of a corruption with their labels, at most ``CHUNK`` at a time.

        Args:
            corruption: a key of ``sources``.
            strength: 1 to 5.

        Yields:
            (n, channels, side, side) pixels in [0, 1], and (n,) labels.

        Raises:
            ValueError: a file is missing or damaged, or a label is no class.
        """
        source = self.sources[corruption]
        if source.is_dir():
            paths, labels = list_class_folders(source / str(strength), self.classes)
            for i in range(0, len(paths), CHUNK):
                images = read_images(paths[i : i + CHUNK], self.form)
                yield images.float() / 255, labels[i : i + CHUNK]
            return
        labels = _read_labels(source.parent / LABELS, len(self.classes))
        pixels = _read_pixels(source, len(labels))
        if len(labels) % N_STRENGTHS:
            raise ValueError(
                f"{source} is invalid: expected the images of {N_STRENGTHS} strengths, got "
                f"{len(labels)} images, which is no multiple of {N_STRENGTHS}."
            )
        n = len(labels) // N_STRENGTHS
        for i in range((strength - 1) * n, strength * n, CHUNK):
            part = slice(i, min(i + CHUNK, strength * n))
            yield _to_form(pixels[part], self.form), labels[part]


def find_corrupted_set(folder: str | Path, form: ImageForm, classes: Sequence[str]) -> CorruptedSet:
    """Find the corruptions of CIFAR-10-C, CIFAR-100-C or ImageNet-C in a folder.

    Args:
        folder: folder with an array per corruption and labels.npy, or with the folders
            CORRUPTION/STRENGTH/CLASS.
        form: form in which the images are read.
        classes: names of the classes of the models.

    Raises:
        ValueError: the folder contains no corruptions.
    """
    folder = Path(folder)
    files = {path.stem: path for path in sorted(folder.glob("*.npy")) if path.name != LABELS}
    if files and (folder / LABELS).exists():
        return CorruptedSet(folder.name, files, form, tuple(classes))
    candidates = sorted([*folder.glob("*"), *folder.glob("*/*")])
    found = {path.name: path for path in candidates if _has_strengths(path)}
    if not found:
        raise ValueError(
            f"{folder} contains no corrupted images: expected an array per corruption, such as "
            f"fog.npy, and {LABELS} (CIFAR-10-C, CIFAR-100-C), or folders such as fog/1 to fog/5 "
            "with a subfolder per class (ImageNet-C)."
        )
    return CorruptedSet(folder.name, found, form, tuple(classes))


def _has_strengths(folder: Path) -> bool:
    """Return whether a folder has subfolders 1 to 5, each with subfolders of classes."""
    folders = [folder / str(strength) for strength in range(1, N_STRENGTHS + 1)]
    return all(path.is_dir() and any(p.is_dir() for p in path.iterdir()) for path in folders)


def find_arrays(path: str | Path) -> tuple[Path, Path] | None:
    """Return the files of the images and the labels of a test set such as CIFAR-10.1.

    Args:
        path: the file of the images, or a folder with one or more versions of the test set, of
            which the last one is used.

    Returns:
        The paths of ``NAME_data.npy`` and ``NAME_labels.npy``; None if the path is no such test
        set.
    """
    path = Path(path)
    files = [path] if path.is_file() else sorted(path.glob(f"*{DATA_ENDING}"))
    if not files or not files[-1].name.endswith(DATA_ENDING):
        return None
    data = files[-1]
    return data, data.with_name(data.name.removesuffix(DATA_ENDING) + LABELS_ENDING)


def read_arrays(
    data: Path, labels: Path, form: ImageForm, n_classes: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Read the test set that :func:`find_arrays` has found.

    Args:
        data: file of the images.
        labels: file of the labels.
        form: form of the images.
        n_classes: number of classes of the models.

    Returns:
        (n, channels, side, side) uint8 pixels, and (n,) labels.

    Raises:
        ValueError: a file is missing or damaged, or a label is no class.
    """
    found = _read_labels(labels, n_classes)
    pixels = _read_pixels(data, len(found))
    parts = [_to_form(pixels[i : i + CHUNK], form) for i in range(0, len(found), CHUNK)]
    return torch.cat([to_bytes(part) for part in parts]), found


def _to_form(pixels: np.ndarray, form: ImageForm) -> torch.Tensor:
    images = torch.from_numpy(np.array(pixels)).permute(0, 3, 1, 2).float() / 255
    return form.fit(images)


def _read_pixels(path: Path, n: int) -> np.ndarray:
    """Open an array of n images, (n, h, w, 3) uint8, without reading it into memory."""
    pixels = _open_array(path)
    if pixels.ndim != 4 or pixels.shape[3] != 3 or pixels.dtype != np.uint8:
        raise ValueError(
            f"{path} is invalid: expected images, (n, h, w, 3) uint8, got {pixels.shape} "
            f"{pixels.dtype}."
        )
    if len(pixels) != n:
        raise ValueError(
            f"{path} is invalid: expected {n} images, one per label, got {len(pixels)}."
        )
    return pixels


def _read_labels(path: Path, n_classes: int) -> torch.Tensor:
    labels = _open_array(path)
    if labels.ndim != 1 or labels.dtype.kind not in "iu":
        raise ValueError(
            f"{path} is invalid: expected labels, (n,) integers, got {labels.shape} {labels.dtype}."
        )
    if len(labels) and not 0 <= labels.min() <= labels.max() < n_classes:
        raise ValueError(
            f"{path} is invalid: expected labels from 0 to {n_classes - 1}, the classes of the "
            f"model, got {labels.min()} to {labels.max()}."
        )
    return torch.from_numpy(labels.astype(np.int64))


def _open_array(path: Path) -> np.ndarray:
    try:
        array: np.ndarray = np.load(path, mmap_mode="r", allow_pickle=False)
    except FileNotFoundError:
        raise ValueError(f"{path} is missing.") from None
    except Exception as error:  # numpy raises many kinds of exceptions for damaged files
        raise ValueError(f"{path} cannot be read as an array: {reason(error, 100)}") from None
    if not isinstance(array, np.ndarray):
        raise ValueError(f"{path} cannot be read as an array: it contains several arrays.")
    return array
