"""The search space of digits-table: small networks of two stages for images of 8x8 pixels.

The six genes are: the width of the first stage, the operation and the number of layers of the first
stage, the operation and the number of layers of the second stage, and the ratio of the second
stage's width to the first's.
The first layer of the second stage halves the side length.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from moonas.spaces import genes

WIDTHS = (4, 8, 16)
OPERATIONS = ("conv1", "conv3", "conv5", "sep3", "res3")
DEPTHS = (1, 2, 3)
WIDENINGS = (1, 2)
N_CHOICES = np.array([3, 5, 3, 5, 3, 2])


@dataclass(frozen=True)
class Architecture:
    """A network of two stages.

    Args:
        width: number of channels of the stem and the first stage.
        operations: operation of each stage.
        depths: number of layers of each stage.
        widening: ratio of the second stage's number of channels to the first's.
    """

    width: int
    operations: tuple[str, str]
    depths: tuple[int, int]
    widening: int

    def __str__(self) -> str:
        """Channels, operation and number of layers of each stage: ``8 conv3x2 / 16 sep3x1``."""
        widths = (self.width, self.width * self.widening)
        stages = zip(widths, self.operations, self.depths, strict=True)
        return " / ".join(f"{c} {operation}x{depth}" for c, operation, depth in stages)


def decode(x: Iterable[int]) -> Architecture:
    """Return the architecture of one row, (6,) ints."""
    width, first, n_first, second, n_second, widening = (int(gene) for gene in x)
    return Architecture(
        WIDTHS[width],
        (OPERATIONS[first], OPERATIONS[second]),
        (DEPTHS[n_first], DEPTHS[n_second]),
        WIDENINGS[widening],
    )


def encode(architecture: Architecture) -> np.ndarray:
    """Return the row, (6,) int64, of an architecture."""
    a = architecture
    stages = zip(a.operations, a.depths, strict=True)
    genes = [(OPERATIONS.index(op), DEPTHS.index(depth)) for op, depth in stages]
    return np.array(
        [WIDTHS.index(a.width), *genes[0], *genes[1], WIDENINGS.index(a.widening)], dtype=np.int64
    )


def to_json(architecture: Architecture) -> dict[str, Any]:
    """Return an architecture as a JSON-serializable dict."""
    a = architecture
    return {
        "width": a.width,
        "operations": list(a.operations),
        "depths": list(a.depths),
        "widening": a.widening,
    }


def from_json(value: Any) -> Architecture:
    """Return the architecture that :func:`to_json` wrote.

    Raises:
        ValueError: the value is not an architecture of this space.
    """
    try:
        architecture = Architecture(
            value["width"], tuple(value["operations"]), tuple(value["depths"]), value["widening"]
        )
        return decode(encode(architecture))
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{value!r} is not a network of digits-table: {error}") from None


def all_rows() -> np.ndarray:
    """Return all rows of the space, (1350, 6) ints, in lexicographic order."""
    return genes.all_rows(N_CHOICES)
