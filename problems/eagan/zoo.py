"""Published generators and discriminators, and functions that parse architectures in settings.

Architectures are stored as arrays of the numbers that the released code of EAGAN uses; see
:meth:`.space.CellSpace.from_released_numbers`.
"""

from __future__ import annotations

from collections.abc import Iterable

from .space import Architecture, CellSpace, DiscriminatorSpace, GeneratorSpace

DEFAULT_GENERATOR, DEFAULT_DISCRIMINATOR = "EAGAN_G", "EAGAN_D_C"
LARGE_SIDE = 2**20  # side length in pixels for which the rule on single pixels never applies
EAGAN_SOURCE = "Ying et al., EAGAN, ECCV 2022, figures 3 and 4"
GENERATORS = {
    "EAGAN_G": (
        [[1, 1, 1, 0, 2, 3, 1], [1, 1, 0, 1, 3, 0, 5], [0, 1, 0, 3, 0, 0, 3]],
        EAGAN_SOURCE,
    ),
    "AdversarialNAS_G": (
        [[1, 1, 1, 0, 3, 3, 1], [1, 1, 0, 1, 3, 3, 3], [0, 1, 0, 3, 3, 0, 3]],
        "Gao et al., AdversarialNAS, CVPR 2020",
    ),
}
DISCRIMINATORS = {
    "EAGAN_D_C": (
        [[3, 0, 3, 0, 2, 0, 0], [1, 0, 3, 0, 1, -1, -1], [3, 0, 3, 0, 1, -1, -1]],
        EAGAN_SOURCE,
    ),
    "EAGAN_D_S": (
        [[3, 0, 3, 0, 2, 0, 0], [4, 0, 4, 0, 1, -1, -1], [3, 0, 3, 0, 1, -1, -1]],
        EAGAN_SOURCE,
    ),
    "AutoGAN_D": (
        [[3, 0, 3, 0, 2, 0, 0], [3, 0, 3, 0, 1, -1, -1], [3, 0, 3, 0, 1, -1, -1]],
        "Gong et al., AutoGAN, ICCV 2019",
    ),
}


def generator(name: str) -> Architecture:
    """Return the architecture of a published generator."""
    return GeneratorSpace().from_released_numbers(GENERATORS[name][0])


def discriminator(name: str, side: int = 32) -> Architecture:
    """Return the architecture of a published discriminator.

    Args:
        name: name of the discriminator.
        side: side length of the images in pixels, at least 8.
    """
    return DiscriminatorSpace(side).from_released_numbers(DISCRIMINATORS[name][0])


def find_generator(text: str | None = None) -> Architecture:
    """Return the generator that a text describes.

    Args:
        text: name of a published generator, or three cells separated by ``/``; ``EAGAN_G`` by
            default.

    Raises:
        ValueError: the text is neither a published name nor three legal cells.
    """
    text = text or DEFAULT_GENERATOR
    if text in GENERATORS:
        return generator(text)
    return _parse(GeneratorSpace(), text, "generator", GENERATORS)


def find_discriminator(
    text: str | None = None, side: int = 32, *, repair: bool = False
) -> Architecture:
    """Return the discriminator that a text describes.

    Args:
        text: name of a published discriminator, or three cells separated by ``/``; ``EAGAN_D_C``
            by default.
        side: side length of the images in pixels.
        repair: whether to modify an architecture that is legal only for larger images.

    Raises:
        ValueError: the text is neither a published name nor three cells that are legal for this
            side length.
    """
    text = text or DEFAULT_DISCRIMINATOR
    if text in DISCRIMINATORS:
        return discriminator(text, side)
    space = DiscriminatorSpace(side)
    if repair:
        unrepaired = _parse(DiscriminatorSpace(LARGE_SIDE), text, "discriminator", DISCRIMINATORS)
        return Architecture(space.make_legal(unrepaired.cells))
    return _parse(space, text, "discriminator", DISCRIMINATORS)


def _parse(space: CellSpace, text: str, noun: str, published: Iterable[str]) -> Architecture:
    if "/" not in text:
        raise ValueError(
            f"Unknown {noun} {text!r}; choose from {list(published)}, or list the operations on "
            "the edges of its three cells, with the cells separated by '/'."
        )
    return space.from_text(text)
