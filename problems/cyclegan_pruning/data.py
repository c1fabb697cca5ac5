"""Images of two domains, rendered from digits or read from a folder."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from moonas.data import load, split
from moonas.data.form import ImageForm
from moonas.metrics.features import denormalize
from moonas.settings import require

from . import digits
from .domains import Domain, load_domains
from .folders import domain_folders
from .settings import CycleSettings

TEXTURE_SEEDS = {"search": 1, "test": 2}  # textures of domain B are the same in all runs
MIN_IMAGES = 10  # per domain and split of the digits: one per class


@dataclass(frozen=True)
class DomainsInfo:
    """Properties of two domains that are known before their images are loaded.

    Args:
        name: name of the data set.
        size: height and width of the images in pixels.
        n_classes: number of classes of the images; a correct translation preserves the class. None
            if the images have no labels.
        channels: number of channels of the images, 1 or 3.
        resize: how images of other proportions are fitted, see
            :class:`~moonas.data.form.ImageForm`.
    """

    name: str
    size: tuple[int, int]
    n_classes: int | None = None
    channels: int = 3
    resize: str = "crop"

    @property
    def form(self) -> ImageForm:
        """The form of the images."""
        return ImageForm.of_size(self.size, self.channels, self.resize)

    @property
    def side(self) -> int:
        """Side length in pixels, or the height of images that are not square."""
        return self.size[0]

    @property
    def shape(self) -> tuple[int, int, int]:
        """Shape (channels, height, width) of an image."""
        return self.channels, *self.size


def size_entries(size: tuple[int, int]) -> dict[str, int]:
    """Return the entries of a file that contain the size of images.

    Args:
        size: height and width in pixels.

    Returns:
        "side", the side length or height, and "image_width" if the images are not square.
    """
    height, width = size
    return {"side": height} | ({} if width == height else {"image_width": width})


def size_of(entries: Mapping[str, Any]) -> tuple[int, int]:
    """Return the height and width in the entries of :func:`size_entries`."""
    return entries["side"], entries.get("image_width", entries["side"])


def describe(settings: CycleSettings) -> DomainsInfo:
    """Return the properties of the two domains that the settings select.

    Raises:
        ValueError: ``data`` is neither ``digits`` nor a folder of two domains.
    """
    channels = settings.image_channels
    if channels not in (1, 3):
        raise ValueError(f"image_channels={channels} is invalid: expected 1 (gray) or 3 (color).")
    if settings.data == "digits":
        expected = "3, since the digits of domain B are in color"
        require(channels == 3, settings, "image_channels", expected)
        return DomainsInfo("digits", settings.size, 10, resize=settings.resize)
    if not Path(settings.data).is_dir():
        raise ValueError(f"data={settings.data!r} is invalid: expected digits or a folder.")
    domain_folders(settings.data)
    name, resize = Path(settings.data).name, settings.resize
    return DomainsInfo(name, settings.size, channels=channels, resize=resize)


def load_data(settings: CycleSettings, info: DomainsInfo) -> dict[str, Domain]:
    """Load both domains.

    Half of the training and validation digits are rendered for domain A and the other half for
    domain B, so no digit occurs in both domains. All test digits occur in both domains. The
    classifier of a domain is trained on all training and validation digits, rendered in the style
    of that domain.

    Args:
        settings: settings of the stage.
        info: result of :func:`describe`.

    Returns:
        A dict from the names of the domains, "a" and "b", to their images.

    Raises:
        ValueError: an image cannot be read, or a set of images is too small.
    """
    if settings.data != "digits":
        a, b = load_domains(
            settings.data,
            info.size,
            image_channels=settings.image_channels,
            resize=settings.resize,
            margin=settings.margin,
            train_share=settings.train_share,
            data_in=settings.data_in,
            loader_workers=settings.loader_workers,
        )
        return {"a": a, "b": b}
    data = load("digits")
    rows_a, rows_b = split(data.labels, len(data.labels) // 2)

    def domain(rows: np.ndarray, render: Callable[[torch.Tensor, int], torch.Tensor]) -> Domain:
        rendered = _to_bytes(
            render(denormalize(data, data.images.tensor()), TEXTURE_SEEDS["search"])
        )
        n_train = round(settings.train_share * len(rows))
        enough = MIN_IMAGES <= n_train <= len(rows) - MIN_IMAGES
        require(
            enough,
            settings,
            "train_share",
            f"a share that leaves at least {MIN_IMAGES} training images and {MIN_IMAGES} "
            "validation images per domain",
        )
        train, validation = split(data.labels[rows], n_train)
        return Domain(
            rendered[rows[train]],
            rendered[rows[validation]],
            _to_bytes(render(denormalize(data, data.test_images.tensor()), TEXTURE_SEEDS["test"])),
            rendered,
            data.labels,
            data.test_labels,
        )

    return {
        "a": domain(rows_a, lambda images, _: digits.white_on_black(images, info.side)),
        "b": domain(rows_b, lambda images, seed: digits.outlines(images, seed, info.side)),
    }


def _to_bytes(images: torch.Tensor) -> torch.Tensor:
    """Convert images in [-1, 1] to uint8."""
    return ((images + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)
