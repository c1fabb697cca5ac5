"""Published generators and discriminators, and parsing of architectures in settings.

The arrays are those of the released code of EAGAN, see :meth:`.space.CellSpace.from_release`.
"""

from __future__ import annotations

from collections.abc import Iterable

from .space import Architecture, CellSpace, DiscriminatorSpace, GeneratorSpace

DEFAULT_GENERATOR, DEFAULT_DISCRIMINATOR = "EAGAN_G", "EAGAN_D_C"
LARGE = 2**20  # side length in pixels at which no rule on small images applies
EAGAN = "Ying et al., EAGAN, ECCV 2022, figures 3 and 4"
GENERATORS = {
    "EAGAN_G": ([[1, 1, 1, 0, 2, 3, 1], [1, 1, 0, 1, 3, 0, 5], [0, 1, 0, 3, 0, 0, 3]], EAGAN),
    "AdversarialNAS_G": (
        [[1, 1, 1, 0, 3, 3, 1], [1, 1, 0, 1, 3, 3, 3], [0, 1, 0, 3, 3, 0, 3]],
        "Gao et al., AdversarialNAS, CVPR 2020",
    ),
}
DISCRIMINATORS = {
    "EAGAN_D_C": ([[3, 0, 3, 0, 2, 0, 0], [1, 0, 3, 0, 1, -1, -1], [3, 0, 3, 0, 1, -1, -1]], EAGAN),
    "EAGAN_D_S": ([[3, 0, 3, 0, 2, 0, 0], [4, 0, 4, 0, 1, -1, -1], [3, 0, 3, 0, 1, -1, -1]], EAGAN),
    "AutoGAN_D": (
        [[3, 0, 3, 0, 2, 0, 0], [3, 0, 3, 0, 1, -1, -1], [3, 0, 3, 0, 1, -1, -1]],
        "Gong et al., AutoGAN, ICCV 2019",
    ),
}


def generator(name: str) -> Architecture:
    """Return the architecture of a published generator."""
    return GeneratorSpace().from_release(GENERATORS[name][0])


def discriminator(name: str, side: int = 32) -> Architecture:
    """Return the architecture of a published discriminator.

    Args:
        name: name of the discriminator.
        side: side length of the images in pixels, at least 8.
    """
    return DiscriminatorSpace(side).from_release(DISCRIMINATORS[name][0])


def find_generator(text: str | None = None) -> Architecture:
    """Return the generator that a text describes.

    Args:
        text: name of a published generator, or three cells separated by ``/``; ``EAGAN_G`` by
            default.

    Raises:
        ValueError: the text is neither.
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
        repair: whether to adapt an architecture that is only legal for larger images.

    Raises:
        ValueError: the text is neither, or the discriminator is not legal for this side length.
    """
    text = text or DEFAULT_DISCRIMINATOR
    if text in DISCRIMINATORS:
        return discriminator(text, side)
    space = DiscriminatorSpace(side)
    if repair:
        unrepaired = _parse(DiscriminatorSpace(LARGE), text, "discriminator", DISCRIMINATORS)
        return Architecture(space.make_legal(unrepaired.cells))
    return _parse(space, text, "discriminator", DISCRIMINATORS)


def _parse(space: CellSpace, text: str, noun: str, published: Iterable[str]) -> Architecture:
    if "/" not in text:
        raise ValueError(
            f"Unknown {noun} {text!r}; choose from {list(published)}, or give the edges of its "
            "three cells, separated by '/'."
        )
    return space.from_text(text)
