"""Find and read image files."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from ..errors import reason
from ..files.image_folders import files_in, is_image
from .form import ImageForm

if TYPE_CHECKING:
    from PIL import Image

MOST_LISTED = 10  # damaged files that a message lists
REASON_LENGTH = 120  # characters for each of them; advice of moonas is shorter
IGNORED = (".txt", ".md", ".csv", ".json", ".xml", ".yaml", ".html", ".db", ".ini")  # no warning


def images_in(folder: Path) -> list[Path]:
    """Return the image files of a folder and its subfolders, sorted; hidden ones are left out.

    A warning names other files that look like images of an unknown format.
    """
    images: list[Path] = []
    others: list[Path] = []
    for path in sorted(files_in(folder)):
        (images if is_image(path) else others).append(path)
    others = [path for path in others if path.suffix.lower() not in IGNORED]
    if others and images:
        counts = Counter(path.suffix or "without an ending" for path in others)
        kinds = ", ".join(f"{n} {ending}" for ending, n in counts.most_common(3))
        warnings.warn(
            f"{folder}: ignored files that are not known as images ({kinds}), such as "
            f"{others[0].name}.",
            stacklevel=2,
        )
    return images


def class_folders(folder: Path) -> list[Path]:
    """Return the subfolders that contain images at any depth, one per class, sorted by name.

    Hidden folders, such as .ipynb_checkpoints, are no classes.
    """
    subfolders = (path for path in folder.iterdir() if not path.name.startswith("."))
    return sorted(path for path in subfolders if path.is_dir() and has_images(path))


def has_images(folder: Path) -> bool:
    """Return whether a folder or a subfolder of any depth contains an image."""
    return any(is_image(path) for path in files_in(folder))


def read_images(paths: Sequence[Path], form: ImageForm) -> torch.Tensor:
    """Read image files, and convert them to a form, uint8 (n, channels, *form.size).

    Args:
        paths: paths of n files.
        form: size and channels of the images.

    Raises:
        ValueError: files cannot be read as images; the message lists them.
    """
    images, errors = read_images_or_errors(paths, form)
    if errors:
        raise damaged_images_error(list(errors.values()), len(paths))
    return images


def read_images_or_errors(
    paths: Sequence[Path], form: ImageForm, *, shared: bool = False
) -> tuple[torch.Tensor, dict[int, ValueError]]:
    """Read image files as :func:`read_images` does, but return errors instead of raising them.

    Args:
        paths: paths of n files.
        form: size and channels of the images.
        shared: whether the images are in memory that processes share.

    Returns:
        The images, uint8 (n, channels, *form.size); and position of a file that cannot be read ->
        error. Its image is undefined.
    """
    images = torch.empty(len(paths), form.channels, *form.size, dtype=torch.uint8)
    if shared:
        images.share_memory_()  # type: ignore[no-untyped-call]  # torch lacks the type
    errors: dict[int, ValueError] = {}
    for i, path in enumerate(paths):
        try:
            images[i] = read_image(path, form)[0]
        except ValueError as error:
            errors[i] = error
    return images, errors


def damaged_images_error(damaged: Sequence[ValueError], n: int) -> ValueError:
    """Return an error that lists the damaged images among n images.

    Args:
        damaged: at least one error of an image.
        n: number of images that were read.
    """
    if len(damaged) == 1:
        return damaged[0]
    rest = len(damaged) - MOST_LISTED
    listed = "; ".join(reason(error, REASON_LENGTH + 80) for error in damaged[:MOST_LISTED])
    more = f"; and {rest} more" if rest > 0 else ""
    return ValueError(f"{len(damaged)} of {n} images cannot be read: {listed}{more}")


def read_image(path: Path, form: ImageForm) -> torch.Tensor:
    """Read an image file in a form, uint8 (1, channels, *form.size); see :func:`image_pixels`.

    Raises:
        ValueError: if the file cannot be read as an image.
    """
    with open_image(path) as image:
        return fit_to_bytes(image_pixels(image), form)


def image_pixels(image: Image.Image) -> torch.Tensor:
    """Return the pixels of an image, (1, 3, h, w): uint8, or float32 in [0, 1] of 16-bit gray.

    The image is turned as its Exif orientation says, and transparency is ignored. Gray values of 16
    bits are divided by 65,535.

    Raises:
        ValueError: if the range of the gray values is unknown.
    """
    from PIL import ImageOps

    turned = ImageOps.exif_transpose(image)
    gray = _gray_pixels(turned)
    pixels = np.array(turned.convert("RGB")) if gray is None else gray
    return torch.from_numpy(pixels).permute(2, 0, 1)[None]


def fit_to_bytes(images: torch.Tensor, form: ImageForm) -> torch.Tensor:
    """Convert images to a form and to 8 bits, uint8 (n, channels, *form.size).

    Args:
        images: (n, c, h, w) with 1 or 3 channels; uint8 from 0 to 255, or floats in [0, 1].
        form: size and channels of the result.
    """
    if images.dtype == torch.uint8:
        if form.stored is None and images.shape[1:] == (form.channels, *form.size):
            return images  # the conversions would change nothing
        images = images.float() / 255
    return to_bytes(form.fit(images))


def to_bytes(images: torch.Tensor, levels: int = 255) -> torch.Tensor:
    """Convert pixels in [0, 1] to uint8 from 0 to ``levels``."""
    return (images * levels).round_().clamp_(0, levels).to(torch.uint8)


def _gray_pixels(image: Image.Image) -> np.ndarray | None:
    """Return the pixels of an image with more than 8 bits of gray, (h, w, 3) in [0, 1].

    Pillow would clip them to 255. The result is None for other images.

    Raises:
        ValueError: the range of the gray values is unknown.
    """
    if image.mode not in ("I", "F") and not image.mode.startswith("I;16"):
        return None
    gray = np.asarray(image).astype(np.float32)
    low, high = float(gray.min()), float(gray.max())
    largest = 1.0 if image.mode == "F" else 65535.0
    if not 0 <= low <= high <= largest:  # also of NaN
        raise ValueError(
            f"its gray values are from {low:g} to {high:g}, expected 0 to {largest:g}; convert it "
            "to 8 or 16 bits"
        )
    return np.repeat(gray[:, :, None] / largest, 3, axis=2)


@contextmanager
def open_image(path: Path) -> Iterator[Image.Image]:
    """Open an image file in a context; errors are raised as a ``ValueError`` with the path."""
    from PIL import Image

    try:
        with Image.open(path) as image:
            yield image
    except Exception as error:  # Pillow raises many kinds of exceptions for damaged files
        text = reason(error, REASON_LENGTH, without=f" {str(path)!r}")
        raise ValueError(f"{path} cannot be read as an image: {text}") from None
