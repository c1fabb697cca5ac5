"""The spaces of EAGAN: what vectors of integers mean (section 3.2; figure 1; the release's edges).

A generator is three Up-Cells, a discriminator three Down-Cells; a cell has five nodes, 0 to 4, and
seven edges, each one gene. Node 0 is the cell's input and node 4 its output; nodes add up what
comes in. x is 21 integers, cell by cell, in the order of these edges:

    Up-Cell     E0: 0-1 up    E1: 0-2 up    E2: 1-3    E3: 2-3    E4: 1-4    E5: 2-4    E6: 3-4
    Down-Cell   E0: 0-1    E1: 0-2    E2: 1-2    E3: 1-3    E4: 0-3    E5: 2-4 down    E6: 3-4 down

A gene is an index into the edge's choices. Every vector within the bounds is a legal network: where
a node would get nothing, the last of the edges into it is an identity (in an Up-Cell E3 and E6, in
a Down-Cell E2 and E4; E0 of a Down-Cell has no ``none``). A Down-Cell whose E5 is ``none`` does not
halve the side, and its E6 is then ``none``, too, whatever its gene; so are both where the input of
the cell is one pixel wide. ``decode`` makes legal, ``encode`` gives the one row that stands for an
architecture.

There are 147,744 Up-Cells, hence 3.2e15 generators, and 511,488 Down-Cells.
"""

from dataclasses import dataclass

import numpy as np

from moonas.spaces.graph import Graph

UP = ("nearest", "bilinear", "deconv")
NORMAL = (
    "none",
    "skip_connect",
    "conv_1x1",
    "conv_3x3",
    "conv_5x5",
    "dil_conv_3x3",
    "dil_conv_5x5",
)
DOWN = ("avg_pool", "max_pool", "conv_3x3", "conv_5x5", "dil_conv_3x3", "dil_conv_5x5")
N_CELLS = 3
N_EDGES = 7  # of a cell
SHORT = {
    "none": "-",
    "skip_connect": "skip",
    "nearest": "near",
    "bilinear": "bil",
    "deconv": "dec",
    "avg_pool": "avg",
    "max_pool": "max",
}
SHORT |= {f"conv_{k}x{k}": f"c{k}" for k in (1, 3, 5)}
SHORT |= {f"dil_conv_{k}x{k}": f"d{k}" for k in (3, 5)}


@dataclass(frozen=True)
class Architecture:
    """Three cells, each a tuple of the operations on its seven edges."""

    cells: tuple[tuple[str, ...], ...]

    def __str__(self):
        """In words: the edges of a cell in order, ``-`` where there is none."""
        return " / ".join(" ".join(SHORT[name] for name in cell) for cell in self.cells)


@dataclass(frozen=True)
class Pair:
    """A generator and a discriminator that evolve together (figure 6, the coupled search)."""

    generator: Architecture
    discriminator: Architecture

    def __str__(self):
        return f"{self.generator} | {self.discriminator}"


class _Cells:
    """Three cells of one kind; a subclass says which edges there are and what is legal."""

    kind = ""  # of cell, in words
    edges = ()  # choices of each edge of a cell
    joined = ()  # the two nodes that each edge joins

    @property
    def n_choices(self):
        """(21,) number of choices of each gene."""
        return np.array([len(choices) for choices in self.edges] * N_CELLS)

    def decode(self, x):
        """The legal architecture of one row of integers, (21,)."""
        genes = np.asarray(x).reshape(N_CELLS, N_EDGES).tolist()
        named = [[self.edges[e][gene] for e, gene in enumerate(cell)] for cell in genes]
        return Architecture(self.legal(named))

    def encode(self, architecture):
        """The row of integers, (21,) int64, that stands for an architecture."""
        x = []
        for cell in architecture.cells:
            for choices, name in zip(self.edges, cell, strict=True):
                x.append(choices.index(name) if name in choices else 0)  # what is forced
        return np.array(x)

    def graphs(self, architecture):
        """The three cells, each a :class:`~moonas.spaces.graph.Graph` from input to output."""
        found = []
        for number, cell in enumerate(architecture.cells):
            edges = tuple(
                (str(start), str(end), SHORT[name])
                for name, (start, end) in zip(cell, self.joined, strict=True)
                if name != "none"
            )
            if not any(end == "4" for _, end, _ in edges):  # no down-sampling: nodes 2 and 3 add up
                edges += (("2", "4", ""), ("3", "4", ""))
            found.append(Graph(f"{self.kind} {number + 1}", ("0",), ("1", "2", "3", "4"), edges))
        return found

    def to_json(self, architecture):
        """A dict that JSON can hold."""
        return {"cells": [list(cell) for cell in architecture.cells]}

    def from_json(self, value):
        """The architecture that :meth:`to_json` wrote.

        Raises:
            ValueError: it is none of this space, and why.
        """
        if not isinstance(value, dict) or set(value) != {"cells"}:
            raise ValueError(
                f'Expected {{"cells": three lists of {N_EDGES} names}}; got {value!r}.'
            )
        return self.of_names(value["cells"])

    def of_names(self, cells):
        """The architecture of three lists of seven names.

        Raises:
            ValueError: it is none of this space, and why.
        """
        cells = tuple(tuple(cell) for cell in cells)
        if [len(cell) for cell in cells] != [N_EDGES] * N_CELLS:
            raise ValueError(
                f"Expected {N_CELLS} {self.kind}s of {N_EDGES} edges; got "
                f"{[len(cell) for cell in cells]} edges."
            )
        for number, cell in enumerate(cells):
            for e, name in enumerate(cell):
                if name not in (*self.edges[e], *self.forced(e)):
                    raise ValueError(
                        f"E{e} of {self.kind} {number + 1} cannot be {name!r}; choose from "
                        f"{list(self.edges[e])}."
                    )
        legal = self.legal(cells)
        for number, (cell, wanted) in enumerate(zip(cells, legal, strict=True)):
            if cell != wanted:
                raise ValueError(
                    f"{self.kind} {number + 1} is no legal cell: {' '.join(cell)}. The nearest "
                    f"legal one is {' '.join(wanted)}."
                )
        return Architecture(cells)

    def of_arrays(self, cells):
        """The architecture of three lists of seven numbers, as the release of EAGAN stores them.

        -1 on E5 and E6 of a Down-Cell is its mark for no down-sampling.
        """
        names = self.released_names()
        if [len(cell) for cell in cells] != [N_EDGES] * N_CELLS:
            return self.of_names(cells)  # which says what is wrong
        for cell in cells:
            for e, number in enumerate(cell):
                if not -1 <= number < len(names[e]) or (number == -1 and e not in (5, 6)):
                    raise ValueError(f"E{e} of a {self.kind} cannot be number {number}.")
        return self.of_names(
            [["none" if n == -1 else names[e][n] for e, n in enumerate(cell)] for cell in cells]
        )

    def of_text(self, text):
        """The architecture of a text: cells parted by ``/``, edges by spaces, as names or numbers.

        Names may be short, as in ``str(architecture)``; numbers are those of :meth:`of_arrays`.
        """
        cells = [cell.split() for cell in text.split("/")]
        try:
            return self.of_arrays([[int(word) for word in cell] for cell in cells])
        except ValueError as error:
            if all(word.lstrip("-").isdigit() for cell in cells for word in cell):
                raise error
        long = {short: name for name, short in SHORT.items()}
        return self.of_names([[long.get(word, word) for word in cell] for cell in cells])

    def forced(self, edge):
        """Names that only a rule can put on an edge."""
        return ()

    def released_names(self):
        """The names that the release's numbers mean, an edge each."""
        return self.edges


class GeneratorSpace(_Cells):
    """Generators of three Up-Cells."""

    kind = "Up-Cell"
    edges = (UP, UP, NORMAL, NORMAL, NORMAL, NORMAL, NORMAL)
    joined = ((0, 1), (0, 2), (1, 3), (2, 3), (1, 4), (2, 4), (3, 4))

    def legal(self, cells):
        """Three cells in which nodes 3 and 4 get something, as tuples."""
        made = []
        for cell in map(list, cells):
            _fed(cell, (2, 3))
            _fed(cell, (4, 5, 6))
            made.append(tuple(cell))
        return tuple(made)


class DiscriminatorSpace(_Cells):
    """Discriminators of three Down-Cells, for images of some size.

    Args:
        side: of the images, in pixels.
    """

    kind = "Down-Cell"
    edges = (NORMAL[1:], NORMAL, NORMAL, NORMAL, NORMAL, (*DOWN, "none"), DOWN)
    joined = ((0, 1), (0, 2), (1, 2), (1, 3), (0, 3), (2, 4), (3, 4))

    def __init__(self, side):
        self.side = side

    def legal(self, cells):
        """Three cells in which all nodes get something and no single pixel is halved, as tuples."""
        side, made = halved(self.side), []  # the first block halves
        for cell in map(list, cells):
            _fed(cell, (1, 2))
            _fed(cell, (3, 4))
            if side == 1 or cell[5] == "none":
                cell[5] = cell[6] = "none"
            else:
                if cell[6] == "none":  # not from a row; half of a pair
                    cell[6] = cell[5]
                side = halved(side)
            made.append(tuple(cell))
        return tuple(made)

    def forced(self, edge):
        return ("none",) if edge == 6 else ()

    def released_names(self):
        return (NORMAL, NORMAL, NORMAL, NORMAL, NORMAL, DOWN, DOWN)


def halved(side):
    """Pixels a side behind what halves; odd sides are rounded up."""
    return -(-side // 2)


def _fed(cell, edges):
    """Let the last of some edges be an identity where none of them leads anywhere."""
    if all(cell[e] == "none" for e in edges):
        cell[edges[-1]] = "skip_connect"


class PairSpace:
    """Generator and discriminator in one row of 42 integers, the generator first."""

    def __init__(self, side):
        self.parts = GeneratorSpace(), DiscriminatorSpace(side)

    @property
    def n_choices(self):
        """(42,) number of choices of each gene."""
        return np.concatenate([part.n_choices for part in self.parts])

    def decode(self, x):
        """The :class:`Pair` of one row of integers, (42,)."""
        return Pair(
            *(p.decode(h) for p, h in zip(self.parts, np.split(np.asarray(x), 2), strict=True))
        )

    def encode(self, pair):
        """The row of integers, (42,) int64."""
        generator, discriminator = self.parts
        return np.concatenate(
            [generator.encode(pair.generator), discriminator.encode(pair.discriminator)]
        )

    def graphs(self, pair):
        """The cells of both."""
        generator, discriminator = self.parts
        return generator.graphs(pair.generator) + discriminator.graphs(pair.discriminator)

    def to_json(self, pair):
        """A dict that JSON can hold."""
        generator, discriminator = self.parts
        return {
            "generator": generator.to_json(pair.generator),
            "discriminator": discriminator.to_json(pair.discriminator),
        }

    def from_json(self, value):
        """The pair that :meth:`to_json` wrote; else a ``ValueError`` says what is wrong."""
        if not isinstance(value, dict) or set(value) != {"generator", "discriminator"}:
            raise ValueError(f"Expected a generator and a discriminator; got {value!r}.")
        generator, discriminator = self.parts
        return Pair(
            generator.from_json(value["generator"]),
            discriminator.from_json(value["discriminator"]),
        )
