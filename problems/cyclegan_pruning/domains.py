"""Unpaired images of two domains, A and B, read from a folder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from moonas.data.form import ImageForm
from moonas.data.image_files import open_image, read_images
from moonas.data.splits import split
from moonas.files.image_folders import is_image
from moonas.run.numbers import plural

from .folders import domain_folders, maps_folder

IGNORED = 255  # class in a label map that excludes a pixel from segmentation scores


@dataclass(frozen=True)
class Domain:
    """Images of one domain, uint8 (n, 3, side, side).

    Args:
        train: training set. The side length includes a margin for random crops.
        validation: validation set, on which candidates are evaluated, with the same margin.
        test: test set, without a margin. The search does not use it.
        labeled: images for training a classifier of this domain; None if there are no labels.
        labels: int64 (n,) labels of ``labeled``, or None.
        test_labels: int64 (n,) labels of ``test``, which a correct translation preserves, or None.
        test_maps: uint8 (n, side, side) class of each pixel in a correct translation of ``test``
            (``IGNORED`` for pixels without a class), or None.
    """

    train: torch.Tensor
    validation: torch.Tensor
    test: torch.Tensor
    labeled: torch.Tensor | None = None
    labels: torch.Tensor | None = None
    test_labels: torch.Tensor | None = None
    test_maps: torch.Tensor | None = None


def load_domains(
    folder: str | Path,
    side: int,
    *,
    resize: str = "crop",
    margin: int = 0,
    train_share: float = 0.8,
) -> tuple[Domain, Domain]:
    """Read both domains of a folder.

    Test images may have label maps: single-channel PNG files that contain the class of each pixel.
    They have the names of the images and are in a folder ``test_labels`` next to ``test`` (or
    ``test_labelsA`` next to ``testA``, or ``test_labels/A`` for images in ``test/A``).

    Args:
        folder: see :func:`.folders.find_layout`.
        side: side length of test images in pixels.
        resize: how images that are not square are fitted, see
            :class:`~moonas.data.form.ImageForm`.
        margin: number of pixels by which the side length of training and validation images exceeds
            ``side``.
        train_share: share of the images for training, of each domain, that form the training set;
            the rest form the validation set.

    Raises:
        ValueError: a folder or a label map is missing, an image cannot be read, or a
            folder contains too few images.
    """
    form = ImageForm(side, resize=resize)
    a, b = (_read_domain(folder, domain, form, margin, train_share) for domain in "AB")
    return a, b


def center_crop(images: torch.Tensor, side: int) -> torch.Tensor:
    """Crop (n, c, h, h) images to the central (n, c, side, side) pixels."""
    offset = (images.shape[-1] - side) // 2
    return images[..., offset : offset + side, offset : offset + side]


def _read_domain(
    folder: str | Path, domain: str, form: ImageForm, margin: int, train_share: float
) -> Domain:
    folders = domain_folders(folder)
    train_folder, test_folder = folders[domain, "train"], folders[domain, "test"]
    paths = _image_paths(train_folder)
    n_train = round(train_share * len(paths))
    if not 1 <= n_train < len(paths):
        raise ValueError(
            f"{train_folder} contains {plural(len(paths), 'image')}, too few to split into a "
            f"training set and a validation set with train_share={train_share:g}."
        )
    rows = torch.arange(len(paths))[:, None]  # no class labels, so the split is not stratified
    train_rows, validation_rows = split(rows, n_train)
    test = _image_paths(test_folder)
    if not test:
        raise ValueError(f"{test_folder} contains no images.")
    maps, larger = maps_folder(folder, domain), replace(form, side=form.side + margin)
    return Domain(
        read_images([paths[i] for i in train_rows], larger),
        read_images([paths[i] for i in validation_rows], larger),
        read_images(test, form),
        test_maps=_read_maps(maps, test, form) if maps.is_dir() else None,
    )


def _image_paths(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if is_image(path))


def _read_maps(folder: Path, images: Sequence[Path], form: ImageForm) -> torch.Tensor:
    """Read the label maps of images, fitted as the images are."""
    maps = []
    for image in images:
        path = folder / f"{image.stem}.png"
        if not path.exists():
            raise ValueError(f"{path} is missing: {image.name} has no label map.")
        with open_image(path) as file:
            mode, labels = file.mode, np.array(file)
        if mode not in ("L", "P"):
            raise ValueError(
                f"{path} is not a label map: expected one 8-bit channel with the class of "
                f"each pixel; got mode {mode}."
            )
        maps.append(form.fit_map(torch.from_numpy(labels)[None], IGNORED))
    return torch.cat(maps)
