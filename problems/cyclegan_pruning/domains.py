"""Images of two domains, A and B, no two of which belong together: for unpaired translation."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from moonas.data.readers import is_image, open_image, read_image
from moonas.data.splits import split

IGNORED = 255  # class of a pixel that no score counts
MAPS = "test_labels"  # folder of a domain's label maps


@dataclass(frozen=True)
class Domain:
    """Images of one domain, uint8 (n, 3, side, side).

    Args:
        train: images that train; larger by a margin, to be cropped.
        validation: images that a search scores with; larger by the same margin.
        test: images for the final test, which no search touches.
        known: images of the domain with labels, for a classifier of it; None where there are none.
        labels: int64 (n,) of known.
        test_labels: int64 (n,) of test, what a right translation still shows; or None.
        test_maps: uint8 (n, side, side), the class of each pixel of a right translation of the test
            images, ``IGNORED`` for none; or None.
    """

    train: torch.Tensor
    validation: torch.Tensor
    test: torch.Tensor
    known: torch.Tensor | None = None
    labels: torch.Tensor | None = None
    test_labels: torch.Tensor | None = None
    test_maps: torch.Tensor | None = None


def domain_folders(folder):
    """The four folders of images by (domain, part), as ("A", "train").

    Args:
        folder: holds A/train, A/test, B/train and B/test, or trainA, testA, trainB and testB.

    Raises:
        ValueError: it does not.
    """
    folder = Path(folder)
    parts = [(domain, part) for domain in "AB" for part in ("train", "test")]
    for name in ("{domain}/{part}", "{part}{domain}"):
        found = {(d, p): folder / name.format(domain=d, part=p) for d, p in parts}
        if all(path.is_dir() for path in found.values()):
            return found
    raise ValueError(
        f"{folder} should hold the folders A/train, A/test, B/train and B/test (or trainA, testA, "
        "trainB and testB) with the images of two domains."
    )


def load_domains(folder, side, *, margin=0, train_share=0.8):
    """Both :class:`Domain` of a folder.

    Images for the final test may have label maps: PNGs of one channel, the class of each pixel, of
    the same names in a folder ``test_labels`` beside ``test`` (``test_labelsA`` beside ``testA``).

    Args:
        folder: see :func:`domain_folders`.
        side: pixels that images are brought to.
        margin: pixels that images to search with have more.
        train_share: share of the images of ``train`` that trains; the rest validates.

    Raises:
        ValueError: a folder or a label map is missing, an image cannot be read, or images are too
            few.
    """
    folders = domain_folders(folder)
    return tuple(_read_domain(folders, d, side, margin, train_share) for d in "AB")


def center_crop(images, side):
    """The middle of images, (n, c, side, side)."""
    room = (images.shape[-1] - side) // 2
    return images[..., room : room + side, room : room + side]


def _read_domain(folders, domain, side, margin, train_share):
    paths = _images(folders[domain, "train"])
    if not 1 <= round(train_share * len(paths)) < len(paths):
        raise ValueError(
            f"{folders[domain, 'train']} holds {len(paths)} images, too few to train with "
            f"{train_share:g} of them and to validate with the rest."
        )
    rows = torch.arange(len(paths))[:, None]  # of no class, so that nothing is stratified
    first, second = split(rows, round(train_share * len(paths)))
    test = _images(folders[domain, "test"])
    if not test:
        raise ValueError(f"{folders[domain, 'test']} holds no images.")
    maps = folders[domain, "test"]
    maps = maps.with_name(maps.name.replace("test", MAPS))
    return Domain(
        _read([paths[i] for i in first], side + margin),
        _read([paths[i] for i in second], side + margin),
        _read(test, side),
        test_maps=_read_maps(maps, test, side) if maps.is_dir() else None,
    )


def _images(folder):
    return sorted(path for path in folder.iterdir() if is_image(path))


def _read(paths, side):
    images = torch.empty(len(paths), 3, side, side, dtype=torch.uint8)
    for i, path in enumerate(paths):
        images[i] = (255 * read_image(path, side)[0]).round().clamp(0, 255)
    return images


def _read_maps(folder, images, side):
    """Label maps of images, brought to the side by taking the nearest pixel."""
    from PIL import Image

    maps = []
    for image in images:
        path = folder / f"{image.stem}.png"
        if not path.exists():
            raise ValueError(f"{path} is missing: {image.name} has no label map.")
        with open_image(path) as file:
            mode = file.mode
            maps.append(np.array(file.resize((side, side), Image.Resampling.NEAREST)))
        if mode not in ("L", "P"):
            raise ValueError(
                f"{path} is no label map: expected one channel of 8 bits, the class of each pixel; "
                f"got mode {mode}."
            )
    return torch.from_numpy(np.stack(maps))
