"""Small networks of two stages for images of 8x8 pixels.

A row is six labels: width of the first stage, operation and number of layers of the first stage,
those of the second, and by what the second stage is wider. Between them the side is halved.
"""

from dataclasses import dataclass

import numpy as np

WIDTHS = (4, 8, 16)
OPERATIONS = ("conv1", "conv3", "conv5", "sep3", "res3")
DEPTHS = (1, 2, 3)
WIDENINGS = (1, 2)
N_CHOICES = np.array([3, 5, 3, 5, 3, 2])


@dataclass(frozen=True)
class Architecture:
    """A network.

    Args:
        width: channels of stem and first stage.
        operations: of both stages.
        depths: layers of both stages.
        widening: channels of the second stage by those of the first.
    """

    width: int
    operations: tuple[str, str]
    depths: tuple[int, int]
    widening: int

    def __str__(self):
        """Stages as channels, operation and layers: ``8 conv3x2 / 16 sep3x1``."""
        widths = (self.width, self.width * self.widening)
        stages = zip(widths, self.operations, self.depths, strict=True)
        return " / ".join(f"{c} {operation}x{depth}" for c, operation, depth in stages)


def decode(x):
    """The architecture of a row, (6,) ints."""
    width, first, n_first, second, n_second, widening = (int(gene) for gene in x)
    return Architecture(
        WIDTHS[width],
        (OPERATIONS[first], OPERATIONS[second]),
        (DEPTHS[n_first], DEPTHS[n_second]),
        WIDENINGS[widening],
    )


def encode(architecture):
    """The row of an architecture, (6,) int64."""
    a = architecture
    stages = zip(a.operations, a.depths, strict=True)
    genes = [(OPERATIONS.index(op), DEPTHS.index(depth)) for op, depth in stages]
    return np.array(
        [WIDTHS.index(a.width), *genes[0], *genes[1], WIDENINGS.index(a.widening)], dtype=np.int64
    )


def to_json(architecture):
    """A dict that JSON can hold."""
    a = architecture
    return {
        "width": a.width,
        "operations": list(a.operations),
        "depths": list(a.depths),
        "widening": a.widening,
    }


def from_json(value):
    """The architecture of such a dict.

    Raises:
        ValueError: it is none of this space.
    """
    try:
        found = Architecture(
            value["width"], tuple(value["operations"]), tuple(value["depths"]), value["widening"]
        )
        return decode(encode(found))
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{value!r} is no network of digits-table: {error}") from None


def every_row():
    """All rows of the space, (1350, 6), in their order as numbers."""
    return np.stack(np.unravel_index(np.arange(N_CHOICES.prod()), N_CHOICES), axis=1)
