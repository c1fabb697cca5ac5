"""What is done to images before a network sees them, as a sentence for the log."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from ..files.image_folders import files_in, is_image
from .form import ImageForm
from .image_files import open_image
from .images import DATA_SETS

if TYPE_CHECKING:
    from PIL import Image

MOST_MEASURED = 200  # files whose size is read, since reading all of a large folder takes minutes
ORIENTATION = 0x0112  # Exif tag


def describe_images(data: str, form: ImageForm) -> str:
    """Describe the images of a data set and how they are converted to a form.

    Args:
        data: name of a data set, or path of a folder of images.
        form: form in which a network sees the images.

    Returns:
        Sentences such as "Images: 320x240 to 640x480 pixels. Preprocessing: converts to RGB,
        resizes the shorter side to 32 pixels, keeps the center of 32x32, scales pixels to [0, 1]."
        Sizes are width x height; those of a large folder are of evenly spaced files.
    """
    if data in DATA_SETS:
        side = DATA_SETS[data].side
        sizes = {(side, side)}
    else:
        sizes = image_sizes(data)
    texts = [f"Images: {_range(sizes)} pixels."] if sizes else []
    return " ".join([*texts, f"Preprocessing: {describe_form(form, sizes)}."])


def describe_form(form: ImageForm, sizes: Collection[tuple[int, int]] = ()) -> str:
    """List the steps that convert an image to a form, as text.

    Args:
        form: the form.
        sizes: (width, height) in pixels of all images, if they are known. What changes none of
            them is left out.
    """
    height, width = form.whole.size
    whole, seen = f"{width}x{height}", "{1}x{0}".format(*form.size)
    fit = f"resizes to {whole} pixels"
    keeps_proportions = sizes and all(w * height == h * width for w, h in sizes)
    if form.resize == "squash" and not keeps_proportions:
        fit += " whatever the proportions"
    elif not keeps_proportions:
        side, how = {
            "crop": ("shorter", f"cover {whole}"),
            "pad": ("longer", f"fit into {whole}"),
        }[form.resize]
        is_square = form.width is None
        fit = f"resizes the {side} side to {height}" if is_square else f"resizes to {how}"
        fit += " pixels"
        fit += f", adds black edges up to {whole}" if form.resize == "pad" else ""
    is_cut = form.whole.size != form.size or (form.resize == "crop" and not keeps_proportions)
    steps = [
        "converts to RGB" if form.channels == 3 else "converts to gray",
        "" if set(sizes) == {(width, height)} else fit,
        f"keeps the center of {seen}" if is_cut else "",
        "scales pixels to [0, 1]",
    ]
    return ", ".join(filter(None, steps))


def image_sizes(folder: str | Path) -> set[tuple[int, int]]:
    """Return the sizes, (width, height) in pixels, of images in a folder and its subfolders.

    They are the sizes after the images are turned as their Exif orientation says. At most 200
    evenly spaced files are read; files that cannot be read as images are left out.
    """
    if not Path(folder).is_dir():
        return set()
    paths = sorted(filter(is_image, files_in(Path(folder))))
    step = -(-len(paths) // MOST_MEASURED) or 1
    sizes = set()
    for path in paths[::step]:
        try:
            with open_image(path) as image:
                sizes.add(_turned_size(image))
        except ValueError:  # reported when the images are loaded
            continue
    return sizes


def _turned_size(image: Image.Image) -> tuple[int, int]:
    """Return the width and height of an image that is turned as its Exif orientation says."""
    from PIL import Image

    exif = Image.Image.getexif(image)  # that of a subclass decodes the pixels of a PNG file
    if exif.get(ORIENTATION, 1) < 5:
        return image.size
    if image.format == "TIFF":
        image.load()  # which turns it, in old versions of Pillow
        return image.size
    return image.height, image.width


def _range(sizes: Iterable[tuple[int, int]]) -> str:
    """Return the smallest and the largest size, by the number of pixels."""
    ordered = sorted(sizes, key=lambda size: (size[0] * size[1], size))
    texts = [f"{width}x{height}" for width, height in ordered]
    return texts[0] if len(texts) == 1 else f"{texts[0]} to {texts[-1]}"
