"""The network level of EG-DARTS: what a vector of integers and real numbers means (Table I).

    v0          channels of the first stage
    v1, v2, v3  normal cells of the three stages
    v4, v5      how much wider the second stage is than the first, and the third than the second

v0 to v3 are integers, v4 and v5 real. Between stages stands a reduction cell, as wide as the stage
behind it; it is not one of the cells that are counted, and so the column "depth" of the paper's
Table III is v1 + v2 + v3, in all of its 30 rows. Widths are cumulative: C2 = v0 v4 and C3 = C2 v5,
rounded to the nearest even number (what halves the side does so in two halves of the channels).

Several vectors mean one network, since widths are rounded: ``decode`` after ``encode`` gives the
same architecture, ``encode`` after ``decode`` a vector of the same network.
"""

from dataclasses import dataclass

import numpy as np

from moonas.spaces.genes import Genes

N_STAGES = 3


@dataclass(frozen=True)
class Architecture:
    """Three stages of cells."""

    widths: tuple[int, int, int]  # channels of a node
    depths: tuple[int, int, int]  # normal cells

    @property
    def depth(self):
        """Normal cells of all stages."""
        return sum(self.depths)

    def __str__(self):
        """In words, as ``12-18-24 channels, 2-1-1 cells``."""
        return " ".join(
            f"{'-'.join(map(str, numbers))} {what}"
            for numbers, what in ((self.widths, "channels,"), (self.depths, "cells"))
        )


@dataclass(frozen=True)
class Space:
    """Bounds of the vector; each pair is the smallest and the largest value.

    Args:
        first_width: of v0.
        cells: of v1, v2 and v3.
        widening: of v4 and v5.
    """

    first_width: tuple[int, int] = (8, 60)
    cells: tuple[int, int] = (1, 6)
    widening: tuple[float, float] = (1.0, 3.0)

    @property
    def genes(self):
        """The :class:`~moonas.spaces.genes.Genes` of a vector."""
        pairs = [self.first_width, *[self.cells] * N_STAGES, *[self.widening] * (N_STAGES - 1)]
        low, high = zip(*pairs, strict=True)
        return Genes(low, high, [False] * (1 + N_STAGES) + [True] * (N_STAGES - 1))

    def decode(self, x):
        """The architecture of one row, (6,)."""
        widths = [int(x[0])]
        for factor in x[1 + N_STAGES :]:
            widths.append(even(widths[-1] * float(factor)))
        return Architecture(tuple(widths), tuple(int(v) for v in x[1 : 1 + N_STAGES]))

    def encode(self, architecture):
        """A row, (6,) float64, of an architecture."""
        first, *others = architecture.widths
        factors = [
            np.clip(wider / width, *self.widening)
            for width, wider in zip(architecture.widths, others, strict=False)
        ]
        return np.array([first, *architecture.depths, *factors], dtype=float)

    def widest(self):
        """The architecture that is widest and deepest."""
        return self.decode(self.genes.high)

    def neighbouring_widths(self):
        """Triples of widths that hold every pair of widths which two stages can have in a row."""
        low, high = self.widening

        def behind(width):
            return range(even(width * low), even(width * high) + 1, 2)

        first, last = self.first_width
        second = {w for width in range(first, last + 1) for w in behind(width)}
        pairs = [(w, v, behind(v)[0]) for w in range(first, last + 1) for v in behind(w)]
        for v in sorted(second):
            before = next(w for w in range(first, last + 1) if v in behind(w))
            pairs += [(before, v, third) for third in behind(v)]
        return pairs

    def to_json(self, architecture):
        """A dict that JSON can hold: {"widths": [...], "depths": [...]}."""
        return {"widths": list(architecture.widths), "depths": list(architecture.depths)}

    def from_json(self, value):
        """The architecture of such a dict; else a ``ValueError`` says what is wrong with it."""
        keys = ("widths", "depths")
        if not isinstance(value, dict) or not set(keys) <= set(value):
            raise ValueError(f"An architecture has the keys 'widths' and 'depths'; got {value!r}.")
        for key in keys:
            numbers = value[key]
            whole = isinstance(numbers, list) and all(type(n) is int and n > 0 for n in numbers)
            if not whole or len(numbers) != N_STAGES:
                raise ValueError(f"{key}={numbers!r} will not do: three whole numbers above 0.")
        architecture = Architecture(*(tuple(value[key]) for key in keys))
        row = self.encode(architecture)
        self.genes.check(row)
        if self.decode(row) != architecture:
            raise ValueError(
                f"widths={value['widths']!r} will not do: behind the first one they are even, each "
                f"{self.widening[0]:g} to {self.widening[1]:g} times the one before."
            )
        return architecture


def even(width):
    """The nearest even number, the larger one of two; 2 at least."""
    return max(2, 2 * int(np.floor(width / 2 + 0.5)))
