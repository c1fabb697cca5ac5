"""Search space of stage 2 of EG-DARTS: the encoding of a network as a vector (Table I).

A network has three resolution levels. The vector has six genes:

    v0          channels of level 1
    v1, v2, v3  number of normal cells of levels 1, 2 and 3
    v4          channels of level 2, divided by those of level 1
    v5          channels of level 3, divided by those of level 2

v0 to v3 are integers, v4 and v5 are real numbers. A reduction cell connects two successive levels;
it has as many channels as the later level. v1 to v3 do not count reduction cells: the column
"depth" of Table III equals v1 + v2 + v3 in all of its 30 rows. Widths are cumulative: C2 = v0 v4
and C3 = C2 v5, rounded to the nearest even number, because reduction cells split the channels in
halves.

Because widths are rounded, several vectors encode the same network: ``decode(encode(a)) == a`` for
each architecture a, but ``encode(decode(x))`` may differ from x.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from moonas.spaces.genes import Genes

N_LEVELS = 3


@dataclass(frozen=True)
class Architecture:
    """Width and depth of a network with three resolution levels.

    Args:
        widths: channels of each node, one number per level.
        depths: number of normal cells, one number per level.
    """

    widths: tuple[int, ...]
    depths: tuple[int, ...]

    @property
    def depth(self) -> int:
        """Number of normal cells of all levels."""
        return sum(self.depths)

    def __str__(self) -> str:
        """Return a text such as ``12-18-24 channels, 2-1-1 cells``."""
        widths, depths = ("-".join(map(str, numbers)) for numbers in (self.widths, self.depths))
        return f"{widths} channels, {depths} cells"


@dataclass(frozen=True)
class Space:
    """Bounds of the six genes; each pair is the smallest and the largest value.

    Args:
        first_width: bounds of v0.
        cells: bounds of v1, v2 and v3.
        widening: bounds of v4 and v5.
    """

    first_width: tuple[int, int] = (8, 60)
    cells: tuple[int, int] = (1, 6)
    widening: tuple[float, float] = (1.0, 3.0)

    @property
    def genes(self) -> Genes:
        """Bounds and types of the six genes."""
        pairs = [self.first_width, *[self.cells] * N_LEVELS, *[self.widening] * (N_LEVELS - 1)]
        low, high = (np.array(bounds) for bounds in zip(*pairs, strict=True))
        return Genes(low, high, np.array([False] * (1 + N_LEVELS) + [True] * (N_LEVELS - 1)))

    def decode(self, x: Sequence[float] | np.ndarray) -> Architecture:
        """Return the architecture that a vector (6,) encodes."""
        widths = [int(x[0])]
        for factor in x[1 + N_LEVELS :]:
            widths.append(round_to_even(widths[-1] * float(factor)))
        return Architecture(tuple(widths), tuple(int(v) for v in x[1 : 1 + N_LEVELS]))

    def encode(self, architecture: Architecture) -> np.ndarray:
        """Return a vector (6,) of float64 numbers that encodes an architecture."""
        first, *later = architecture.widths
        factors = [
            np.clip(wider / width, *self.widening)
            for width, wider in zip(architecture.widths, later, strict=False)
        ]
        return np.array([first, *architecture.depths, *factors], dtype=float)

    def widest(self) -> Architecture:
        """Return the widest and deepest architecture."""
        return self.decode(self.genes.high)

    def neighboring_widths(self) -> list[tuple[int, int, int]]:
        """Return triples of widths that contain every pair of widths of two successive levels."""
        low, high = self.widening

        def next_widths(width: int) -> range:
            return range(round_to_even(width * low), round_to_even(width * high) + 1, 2)

        smallest, largest = self.first_width
        first = range(smallest, largest + 1)
        second = {w for width in first for w in next_widths(width)}
        triples = [(w, v, next_widths(v)[0]) for w in first for v in next_widths(w)]
        for v in sorted(second):
            w = next(w for w in first if v in next_widths(w))
            triples += [(w, v, third) for third in next_widths(v)]
        return triples

    def to_json(self, architecture: Architecture) -> dict[str, list[int]]:
        """Return a dict that represents an architecture in JSON."""
        return {"widths": list(architecture.widths), "depths": list(architecture.depths)}

    def from_json(self, value: Any) -> Architecture:
        """Return the architecture from a dict that :meth:`to_json` returned.

        Raises:
            ValueError: the value does not represent an architecture of this search space.
        """
        keys = ("widths", "depths")
        if not isinstance(value, dict) or not set(keys) <= set(value):
            raise ValueError(f"Expected a dict with the keys 'widths' and 'depths'; got {value!r}.")
        for key in keys:
            numbers = value[key]
            positive = isinstance(numbers, list) and all(type(n) is int and n > 0 for n in numbers)
            if not positive or len(numbers) != N_LEVELS:
                raise ValueError(
                    f"{key}={numbers!r} is invalid: expected {N_LEVELS} whole numbers of at least "
                    "1."
                )
        architecture = Architecture(*(tuple(value[key]) for key in keys))
        row = self.encode(architecture)
        self.genes.check(row)
        if self.decode(row) != architecture:
            raise ValueError(
                f"widths={value['widths']!r} is invalid: expected even widths after the first one, "
                f"each {self.widening[0]:g} to {self.widening[1]:g} times the previous one."
            )
        return architecture


def round_to_even(width: float) -> int:
    """Return the nearest even number, at least 2; odd integers are rounded up."""
    return max(2, 2 * int(np.floor(width / 2 + 0.5)))
