"""Published generators and discriminators, and functions that parse architectures in settings.

Architectures are stored as arrays of the numbers that the released code of EAGAN uses; see
:meth:`.space.CellSpace.from_released_numbers`.
"""

from __future__ import annotations

from collections.abc import Iterable

from .space import (
    MAX_CELLS,
    N_CELLS,
    Architecture,
    CellSpace,
    DiscriminatorSpace,
    GeneratorSpace,
)

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


def find_generator(text: str | None = None, n_cells: int | None = None) -> Architecture:
    """Return the generator that a text describes.

    Args:
        text: name of a published generator, or cells separated by ``/``. The default is
            ``EAGAN_G``, whose last cell is repeated if ``n_cells`` is larger than three.
        n_cells: number of cells that the generator must have; by default, any number from 3 to 5.

    Raises:
        ValueError: the text is neither a published name nor a sequence of legal cells, or the
            generator has another number of cells.
    """
    if text is None:
        cells = generator(DEFAULT_GENERATOR).cells
        return Architecture(cells + cells[-1:] * ((n_cells or N_CELLS) - N_CELLS))
    if text in GENERATORS:
        return _with_cells(generator(text), n_cells, f"{text} is a generator")
    found = _parse(GeneratorSpace(_n_cells(text)), text, "generator", GENERATORS)
    return _with_cells(found, n_cells, "This is a generator")


def find_discriminator(
    text: str | None = None,
    side: int = 32,
    n_cells: int | None = None,
    *,
    repair: bool = False,
) -> Architecture:
    """Return the discriminator that a text describes.

    Args:
        text: name of a published discriminator, or cells separated by ``/``. The default is
            ``EAGAN_D_C``, whose first cell is repeated if ``n_cells`` is larger than three.
        side: side length of the images in pixels.
        n_cells: number of cells that the discriminator must have; by default, any number from 3 to
            5.
        repair: whether to modify an architecture that is legal only for larger images.

    Raises:
        ValueError: the text is neither a published name nor a sequence of cells that are legal for
            this side length, or the discriminator has another number of cells.
    """
    if text is None:
        cells = discriminator(DEFAULT_DISCRIMINATOR, side).cells
        n_cells = n_cells or N_CELLS
        longer = cells[:1] * (n_cells - N_CELLS) + cells
        return Architecture(DiscriminatorSpace(side, n_cells).make_legal(longer))
    if text in DISCRIMINATORS:
        return _with_cells(discriminator(text, side), n_cells, f"{text} is a discriminator")
    space = DiscriminatorSpace(LARGE_SIDE if repair else side, _n_cells(text))
    found = _parse(space, text, "discriminator", DISCRIMINATORS)
    if repair:
        found = Architecture(DiscriminatorSpace(side, space.n_cells).make_legal(found.cells))
    return _with_cells(found, n_cells, "This is a discriminator")


def _n_cells(text: str) -> int:
    """Return the number of cells that a text lists; 3 if it is not a valid number of cells."""
    n_cells = text.count("/") + 1
    return n_cells if N_CELLS <= n_cells <= MAX_CELLS else N_CELLS


def _with_cells(architecture: Architecture, n_cells: int | None, subject: str) -> Architecture:
    """Return an architecture, or raise a ``ValueError`` if it has another number of cells."""
    found = len(architecture.cells)
    if n_cells not in (None, found):
        raise ValueError(
            f"{subject} with {found} cells, but {n_cells} cells are required. Set cells={found}, "
            f"or list the operations on the edges of {n_cells} cells, with the cells separated by "
            "'/'."
        )
    return architecture


def _parse(space: CellSpace, text: str, noun: str, published: Iterable[str]) -> Architecture:
    if "/" not in text:
        raise ValueError(
            f"Unknown {noun} {text!r}; choose from {list(published)}, or list the operations on "
            f"the edges of its {space.n_cells} cells, with the cells separated by '/'."
        )
    return space.from_text(text)
