"""Published generators and discriminators, as EAGAN's release stores them, and words for any."""

from .space import Architecture, DiscriminatorSpace, GeneratorSpace

DEFAULT_GENERATOR, DEFAULT_DISCRIMINATOR = "EAGAN_G", "EAGAN_D_C"
LARGE = 2**20  # pixels: a side at which every discriminator is legal
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


def generator(name):
    """The architecture of a published generator."""
    return GeneratorSpace().of_arrays(GENERATORS[name][0])


def discriminator(name, side=32):
    """The architecture of a published discriminator; legal from 8 pixels a side on."""
    return DiscriminatorSpace(side).of_arrays(DISCRIMINATORS[name][0])


def find_generator(words=None):
    """The generator of a published name or of its edges; None is the default.

    Raises:
        ValueError: it is neither.
    """
    words = words or DEFAULT_GENERATOR
    if words in GENERATORS:
        return generator(words)
    return _of_edges(GeneratorSpace(), words, "generator", GENERATORS)


def find_discriminator(words=None, side=32, *, mend=False):
    """The discriminator of a published name or of its edges; None is the default.

    Args:
        words: the name, or three cells parted by ``/``.
        side: of the images in pixels.
        mend: make legal for this side what is so for a larger one.

    Raises:
        ValueError: it is neither, or no such D takes images of that side.
    """
    words = words or DEFAULT_DISCRIMINATOR
    if words in DISCRIMINATORS:
        return discriminator(words, side)
    space = DiscriminatorSpace(side)
    if mend:
        any_side = _of_edges(DiscriminatorSpace(LARGE), words, "discriminator", DISCRIMINATORS)
        return Architecture(space.legal(any_side.cells))
    return _of_edges(space, words, "discriminator", DISCRIMINATORS)


def _of_edges(space, words, what, published):
    if "/" not in words:
        raise ValueError(
            f"No {what} {words!r} is known; choose from {list(published)}, or give its edges, "
            "three cells parted by '/'."
        )
    return space.of_text(words)
