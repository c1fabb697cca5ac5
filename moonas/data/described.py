"""What is done to images before a network sees them, as a sentence for the log."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from ..files.image_folders import is_image
from .form import ImageForm
from .image_files import open_image
from .images import DATA_SETS

MOST_LISTED = 20_000  # files of a folder that are considered
MOST_MEASURED = 200  # files whose size is read, since reading all of a large folder takes minutes


def describe_images(data: str, form: ImageForm) -> str:
    """Describe the images of a data set and how they are fitted.

    Args:
        data: name of a data set, or path of a folder of images.
        form: form in which a network sees the images.

    Returns:
        A sentence such as "Images: 320x240 to 640x480 pixels; the shorter side is resized to 32
        pixels, and the center is kept. A network sees 32x32 pixels in color." Sizes are width x
        height; those of a large folder are of evenly spaced files.
    """
    sees = f"A network sees {form.side}x{form.side} pixels in {_color(form)}."
    if data in DATA_SETS:
        side = DATA_SETS[data].side
        sizes = {(side, side)}
    else:
        sizes = image_sizes(data)
    if not sizes:
        return sees
    return f"Images: {_range(sizes)} pixels{_fitted(sizes, form)}. {sees}"


def image_sizes(folder: str | Path) -> set[tuple[int, int]]:
    """Return the sizes, (width, height) in pixels, of images in a folder and its subfolders.

    At most 200 evenly spaced files are read; files that cannot be read as images are left out.
    """
    paths = list(itertools.islice(_image_paths(folder), MOST_LISTED))
    step = -(-len(paths) // MOST_MEASURED) or 1
    sizes = set()
    for path in paths[::step]:
        try:
            with open_image(path) as image:
                sizes.add(image.size)
        except ValueError:  # reported when the images are loaded
            continue
    return sizes


def _image_paths(folder: str | Path) -> Iterator[Path]:
    for place, folders, names in os.walk(folder):
        folders.sort()
        yield from (path for path in map(Path(place).joinpath, sorted(names)) if is_image(path))


def _color(form: ImageForm) -> str:
    return "gray" if form.channels == 1 else "color"


def _range(sizes: Iterable[tuple[int, int]]) -> str:
    """Return the smallest and the largest size, by the number of pixels."""
    ordered = sorted(sizes, key=lambda size: (size[0] * size[1], size))
    texts = [f"{width}x{height}" for width, height in ordered]
    return texts[0] if len(texts) == 1 else f"{texts[0]} to {texts[-1]}"


def _fitted(sizes: Iterable[tuple[int, int]], form: ImageForm) -> str:
    side = form.stored_side
    cropped = f", of which the center of {form.side} pixels is seen" if form.stored else ""
    if set(sizes) == {(side, side)}:
        return cropped
    if all(width == height for width, height in sizes):
        return f", resized to {side}x{side}{cropped}"
    how = {
        "crop": f"the shorter side is resized to {side} pixels, and the center is kept",
        "pad": f"the longer side is resized to {side} pixels, and black edges are added",
        "squash": f"they are resized to {side}x{side}, which changes their proportions",
    }[form.resize]
    return f"; {how}{cropped}"
