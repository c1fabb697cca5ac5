"""The images of a task: two domains, made from digits or read from a folder."""

from dataclasses import dataclass
from pathlib import Path

import torch

from moonas.data import load, split
from moonas.metrics.features import pixels_of
from moonas.settings import require

from . import digits
from .domains import Domain, domain_folders, load_domains

FOLDER_SIDE = 256  # pixels, where nothing else is said
TEXTURES = {"search": 1, "test": 2}  # seeds of the colours of domain B, the same for all runs


@dataclass(frozen=True)
class DomainsInfo:
    """What is known of two domains without loading their images."""

    name: str
    side: int  # pixels
    n_classes: int | None = None  # of what a right translation still shows


def describe(settings):
    """The :class:`DomainsInfo` of settings.

    Raises:
        ValueError: the data are neither digits nor a folder of two domains.
    """
    if settings.data == "digits":
        return DomainsInfo("digits", settings.image_size or digits.SIDE, 10)
    if not Path(settings.data).is_dir():
        raise ValueError(
            f"Data set {settings.data!r} is not there: it is neither digits nor a folder."
        )
    domain_folders(settings.data)
    return DomainsInfo(Path(settings.data).name, settings.image_size or FOLDER_SIDE)


def load_data(settings, info):
    """Both domains of the settings, a dict of :class:`.domains.Domain` with the keys "a" and "b".

    Of the digits to search with, one half is domain A and the other half domain B, so no digit is
    in both; of those for the final test, each is in both. A classifier of a domain may know all
    digits to search with, drawn as in that domain.
    """
    if settings.data != "digits":
        a, b = load_domains(
            settings.data, info.side, margin=settings.margin, train_share=settings.train_share
        )
        return {"a": a, "b": b}
    data = load("digits")
    first, second = split(data.labels, len(data.labels) // 2)

    def domain(rows, draw):
        drawn = _bytes(draw(pixels_of(data, data.images), TEXTURES["search"]))
        n = round(settings.train_share * len(rows))
        fits = 10 <= n <= len(rows) - 10  # one of each digit
        require(fits, settings, "train_share", "more images of each part, ten at least")
        train, validation = split(data.labels[rows], n)
        return Domain(
            drawn[rows[train]],
            drawn[rows[validation]],
            _bytes(draw(pixels_of(data, data.test_images), TEXTURES["test"])),
            drawn,
            data.labels,
            data.test_labels,
        )

    return {
        "a": domain(first, lambda images, _: digits.white_on_black(images, info.side)),
        "b": domain(second, lambda images, seed: digits.outlines(images, seed, info.side)),
    }


def _bytes(images):
    """Images in [-1, 1] as uint8."""
    return ((images + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)
