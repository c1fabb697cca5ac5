"""Folders with the images of two domains; imports neither torch nor pymoo."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from moonas.files.image_folders import is_image

LARGEST_SIDE = 256  # default side length of larger images, in pixels
SMALLEST_SIDE = 8
N_MEASURED = 50  # images per domain whose size is read
MAPS_FOLDER = "test_labels"  # folder with the label maps of the test images of a domain
KEYS = [(domain, part) for domain in "AB" for part in ("train", "test")]


@dataclass(frozen=True)
class Layout:
    """Names of the subfolders of a folder with two domains.

    Args:
        images: format of the name of a folder of images, with the fields ``domain`` and ``part``.
        maps: format of the name of a folder of label maps, with the field ``domain``.
    """

    images: str
    maps: str


LAYOUTS = (
    Layout("{domain}/{part}", f"{{domain}}/{MAPS_FOLDER}"),
    Layout("{part}{domain}", f"{MAPS_FOLDER}{{domain}}"),
    Layout("{part}/{domain}", f"{MAPS_FOLDER}/{{domain}}"),
)


def find_layout(folder: str | Path) -> Layout:
    """Return the layout of a folder with two domains.

    Args:
        folder: folder with the subfolders A/train, A/test, B/train and B/test; or trainA, testA,
            trainB and testB; or train/A, train/B, test/A and test/B.

    Raises:
        ValueError: a subfolder is missing.
    """
    folder = Path(folder)
    for layout in LAYOUTS:
        names = [layout.images.format(domain=d, part=p) for d, p in KEYS]
        if all((folder / name).is_dir() for name in names):
            return layout
    raise ValueError(
        f"{folder} is not a folder of two domains: expected the subfolders A/train, A/test, "
        "B/train and B/test (or trainA, testA, trainB and testB; or train/A, train/B, test/A and "
        "test/B) with images."
    )


def domain_folders(folder: str | Path) -> dict[tuple[str, str], Path]:
    """Return the four folders of images by domain and split, such as ("A", "train").

    Args:
        folder: see :func:`find_layout`.

    Raises:
        ValueError: a subfolder is missing.
    """
    names = find_layout(folder).images
    return {(d, p): Path(folder) / names.format(domain=d, part=p) for d, p in KEYS}


def maps_folder(folder: str | Path, domain: str) -> Path:
    """Return the folder of the label maps of a domain, "A" or "B"; it need not exist.

    Args:
        folder: see :func:`find_layout`.
        domain: "A" or "B".
    """
    return Path(folder) / find_layout(folder).maps.format(domain=domain)


def typical_side(folder: str | Path) -> int:
    """Return the side length that suits the images of a folder, a multiple of 4 pixels.

    This is the median of the shorter sides of the first ``N_MEASURED`` training images of both
    domains, rounded down to a multiple of 4, but at least ``SMALLEST_SIDE`` and at most
    ``LARGEST_SIDE`` pixels. Without readable images, it is ``LARGEST_SIDE``; reading the images
    raises the error.

    Args:
        folder: see :func:`find_layout`; the folder need not exist.
    """
    from PIL import Image

    sides: list[int] = []
    try:
        folders = domain_folders(folder)
        for domain in "AB":
            paths: Sequence[Path] = sorted(p for p in folders[domain, "train"].iterdir())
            for path in [path for path in paths if is_image(path)][:N_MEASURED]:
                with Image.open(path) as image:
                    sides.append(min(image.size))
    except (OSError, ValueError):
        return LARGEST_SIDE
    if not sides:
        return LARGEST_SIDE
    return max(SMALLEST_SIDE, min(LARGEST_SIDE, int(median(sides)) // 4 * 4))
