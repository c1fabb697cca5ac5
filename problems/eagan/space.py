"""Search spaces of EAGAN: how a row of integers encodes a generator or a discriminator.

Section 3.2 and figure 1 of the paper describe both spaces; the edges are in the same order as in
the released code of the paper. A generator has three Up-Cells and a discriminator has three
Down-Cells, as in the paper; networks for larger images have four or five cells. A cell has five
nodes, 0 to 4, and seven edges. Node 0 is the input of the cell and node 4 is its output; a node is
the sum of the edges that lead into it. Each edge is one gene, so a row x has seven integers per
cell, 21 with three cells, cell by cell; the edges of a cell are in this order:

    Up-Cell     E0: 0-1 up    E1: 0-2 up    E2: 1-3    E3: 2-3    E4: 1-4    E5: 2-4    E6: 3-4
    Down-Cell   E0: 0-1    E1: 0-2    E2: 1-2    E3: 1-3    E4: 0-3    E5: 2-4 down    E6: 3-4 down

A gene is an index into the operations that its edge can have. Every row within the bounds decodes
to a legal network because ``decode`` applies these rules:

- If every edge into a node is ``none``, the last of them is replaced by an identity. This can
  change E3 and E6 of an Up-Cell, and E2 and E4 of a Down-Cell; E0 of a Down-Cell cannot be
  ``none``.
- If E5 of a Down-Cell is ``none``, the cell keeps the spatial size, and E6 is ``none`` regardless
  of its gene. The output is then the sum of nodes 2 and 3.
- If the input of a Down-Cell is a single pixel, E5 and E6 are both ``none``.

Several rows may therefore decode to the same architecture; ``encode`` returns the canonical one.
There are 147,744 Up-Cells, hence 3.2e15 generators with three cells, and 511,488 Down-Cells.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from moonas.spaces.graph import Graph

UP_OPERATIONS = ("nearest", "bilinear", "deconv")
NORMAL_OPERATIONS = (
    "none",
    "skip_connect",
    "conv_1x1",
    "conv_3x3",
    "conv_5x5",
    "dil_conv_3x3",
    "dil_conv_5x5",
)
DOWN_OPERATIONS = ("avg_pool", "max_pool", "conv_3x3", "conv_5x5", "dil_conv_3x3", "dil_conv_5x5")
N_CELLS = 3  # per network of the paper
MAX_CELLS = 5  # per network
SMALL_MAP = 8  # pixels; by default, the first feature map of a generator is smaller than this
N_EDGES = 7  # per cell
SHORT_NAMES = {
    "none": "-",
    "skip_connect": "skip",
    "nearest": "near",
    "bilinear": "bil",
    "deconv": "dec",
    "avg_pool": "avg",
    "max_pool": "max",
}
SHORT_NAMES |= {f"conv_{k}x{k}": f"c{k}" for k in (1, 3, 5)}
SHORT_NAMES |= {f"dil_conv_{k}x{k}": f"d{k}" for k in (3, 5)}

CHANNEL_SCHEDULES = ("halve", "constant")

CellNames = tuple[tuple[str, ...], ...]  # names of the operations, by cell and edge


@dataclass(frozen=True)
class Architecture:
    """A generator or a discriminator: the operations on the edges of its cells.

    Args:
        cells: names of the operations, one tuple of seven names per cell.
    """

    cells: CellNames

    def __str__(self) -> str:
        """Return the short names of the operations, edge by edge; ``-`` stands for ``none``."""
        return " / ".join(" ".join(SHORT_NAMES[name] for name in cell) for cell in self.cells)


@dataclass(frozen=True)
class ArchitecturePair:
    """A generator and a discriminator that evolve together in a coupled search (figure 6)."""

    generator: Architecture
    discriminator: Architecture

    def __str__(self) -> str:
        return f"{self.generator} | {self.discriminator}"


class CellSpace:
    """Search space of networks with the same number of cells, all Up-Cells or all Down-Cells.

    Args:
        n_cells: number of cells of a network.

    Attributes:
        kind: "Up-Cell" or "Down-Cell".
        edge_choices: names of the operations that each edge of a cell can have.
        edge_nodes: start node and end node of each edge.
    """

    kind: str = ""
    edge_choices: tuple[tuple[str, ...], ...] = ()
    edge_nodes: tuple[tuple[int, int], ...] = ()

    def __init__(self, n_cells: int = N_CELLS) -> None:
        self.n_cells = n_cells

    def make_legal(self, cells: Iterable[Sequence[str]]) -> CellNames:
        """Apply the rules that make cells a legal architecture.

        Args:
            cells: names of the operations on the seven edges of each cell.

        Returns:
            The legal cells, one tuple of seven names per cell.
        """
        raise NotImplementedError

    @property
    def n_choices(self) -> np.ndarray:
        """(7 n_cells,) number of choices of each gene."""
        return np.array([len(choices) for choices in self.edge_choices] * self.n_cells)

    def decode(self, x: np.ndarray) -> Architecture:
        """Return the legal architecture that a row x of integers, (7 n_cells,), encodes."""
        genes = np.asarray(x).reshape(self.n_cells, N_EDGES).tolist()
        names = [[self.edge_choices[e][gene] for e, gene in enumerate(cell)] for cell in genes]
        return Architecture(self.make_legal(names))

    def encode(self, architecture: Architecture) -> np.ndarray:
        """Return the canonical row of an architecture, (7 n_cells,) int64."""
        x = []
        for cell in architecture.cells:
            for choices, name in zip(self.edge_choices, cell, strict=True):
                x.append(choices.index(name) if name in choices else 0)  # a rule set the operation
        return np.array(x)

    def graphs(self, architecture: Architecture) -> list[Graph]:
        """Return one graph per cell, from node 0 (the input) to node 4 (the output)."""
        graphs = []
        for number, cell in enumerate(architecture.cells):
            edges = tuple(
                (str(start), str(end), SHORT_NAMES[name])
                for name, (start, end) in zip(cell, self.edge_nodes, strict=True)
                if name != "none"
            )
            if not any(end == "4" for _, end, _ in edges):  # the output is the sum of nodes 2 and 3
                edges += (("2", "4", ""), ("3", "4", ""))
            title = f"{self.kind} {number + 1}"
            graphs.append(Graph(title, ("0",), ("1", "2", "3", "4"), edges, ("4",)))
        return graphs

    def to_json(self, architecture: Architecture) -> dict[str, Any]:
        """Return an architecture as a dict of lists, which can be stored as JSON."""
        return {"cells": [list(cell) for cell in architecture.cells]}

    def from_json(self, value: Any) -> Architecture:
        """Return the architecture that :meth:`to_json` stored.

        Raises:
            ValueError: the value is not a legal architecture of this space.
        """
        if not isinstance(value, dict) or set(value) != {"cells"}:
            raise ValueError(
                f'Expected {{"cells": {self.n_cells} lists of {N_EDGES} names}}; got {value!r}.'
            )
        return self.from_names(value["cells"])

    def from_names(self, cells: Iterable[Iterable[str]]) -> Architecture:
        """Return the architecture whose operations have these names.

        Args:
            cells: names of the operations, a list of seven names per cell.

        Raises:
            ValueError: the cells are not a legal architecture of this space.
        """
        names = tuple(tuple(cell) for cell in cells)
        self._check_n_edges(names)
        for number, cell in enumerate(names):
            for e, name in enumerate(cell):
                if name not in (*self.edge_choices[e], *self.names_set_by_rules(e)):
                    raise ValueError(
                        f"E{e} of {self.kind} {number + 1} cannot be {name!r}; choose from "
                        f"{list(self.edge_choices[e])}."
                    )
        for number, (cell, legal) in enumerate(zip(names, self.make_legal(names), strict=True)):
            if cell != legal:
                raise ValueError(
                    f"{self.kind} {number + 1} is not a legal cell: {' '.join(cell)}. The closest "
                    f"legal cell is {' '.join(legal)}."
                )
        return Architecture(names)

    def from_released_numbers(self, cells: Sequence[Sequence[int]]) -> Architecture:
        """Return the architecture whose operations have these numbers in the released code.

        Args:
            cells: a list of seven numbers per cell; -1 for E5 and E6 of a Down-Cell means that the
                cell keeps the spatial size.

        Raises:
            ValueError: the cells are not a legal architecture of this space.
        """
        self._check_n_edges(cells)
        names = self.names_by_released_number()
        for cell in cells:
            for e, number in enumerate(cell):
                if not -1 <= number < len(names[e]) or (number == -1 and e not in (5, 6)):
                    raise ValueError(f"E{e} of a {self.kind} cannot be number {number}.")
        return self.from_names(
            [["none" if n == -1 else names[e][n] for e, n in enumerate(cell)] for cell in cells]
        )

    def from_text(self, text: str) -> Architecture:
        """Return the architecture that a text describes.

        Args:
            text: operations on the edges, separated by spaces, with ``/`` between cells. All are
                names, short names as in ``str(architecture)``, or numbers as in
                :meth:`from_released_numbers`.

        Raises:
            ValueError: the text is not a legal architecture of this space.
        """
        cells = [cell.split() for cell in text.split("/")]
        if all(word.removeprefix("-").isdigit() for cell in cells for word in cell):
            return self.from_released_numbers([[int(word) for word in cell] for cell in cells])
        full_names = {short: name for name, short in SHORT_NAMES.items()}
        return self.from_names([[full_names.get(word, word) for word in cell] for cell in cells])

    def _check_n_edges(self, cells: Sequence[Sequence[Any]]) -> None:
        n_edges = [len(cell) for cell in cells]
        if n_edges != [N_EDGES] * self.n_cells:
            raise ValueError(
                f"Expected {self.n_cells} {self.kind}s of {N_EDGES} edges each; got {n_edges} "
                "edges."
            )

    def names_set_by_rules(self, edge: int) -> tuple[str, ...]:
        """Return the operations that only a rule, but no gene, can place on an edge."""
        return ()

    def names_by_released_number(self) -> tuple[tuple[str, ...], ...]:
        """Return the operations of each edge in the order of their released numbers."""
        return self.edge_choices


class GeneratorSpace(CellSpace):
    """Search space of generators, which consist of Up-Cells.

    Args:
        n_cells: number of Up-Cells of a generator; 3 in the paper.
    """

    kind = "Up-Cell"
    edge_choices = (
        UP_OPERATIONS,
        UP_OPERATIONS,
        NORMAL_OPERATIONS,
        NORMAL_OPERATIONS,
        NORMAL_OPERATIONS,
        NORMAL_OPERATIONS,
        NORMAL_OPERATIONS,
    )
    edge_nodes = ((0, 1), (0, 2), (1, 3), (2, 3), (1, 4), (2, 4), (3, 4))

    def make_legal(self, cells: Iterable[Sequence[str]]) -> CellNames:
        """Ensure that an edge other than ``none`` leads into nodes 3 and 4 of each cell."""
        legal = []
        for cell in map(list, cells):
            _ensure_an_input(cell, (2, 3))
            _ensure_an_input(cell, (4, 5, 6))
            legal.append(tuple(cell))
        return tuple(legal)


class DiscriminatorSpace(CellSpace):
    """Search space of discriminators, which consist of Down-Cells, for one image size.

    Args:
        side: side length of the images in pixels.
        n_cells: number of Down-Cells of a discriminator; 3 in the paper.
    """

    kind = "Down-Cell"
    edge_choices = (
        NORMAL_OPERATIONS[1:],
        NORMAL_OPERATIONS,
        NORMAL_OPERATIONS,
        NORMAL_OPERATIONS,
        NORMAL_OPERATIONS,
        (*DOWN_OPERATIONS, "none"),
        DOWN_OPERATIONS,
    )
    edge_nodes = ((0, 1), (0, 2), (1, 2), (1, 3), (0, 3), (2, 4), (3, 4))

    def __init__(self, side: int, n_cells: int = N_CELLS) -> None:
        super().__init__(n_cells)
        self.side = side

    def make_legal(self, cells: Iterable[Sequence[str]]) -> CellNames:
        """Ensure that every node has an input, and that no single pixel is downsampled."""
        side, legal = halve_side(self.side), []  # the first block halves the side length
        for cell in map(list, cells):
            _ensure_an_input(cell, (1, 2))
            _ensure_an_input(cell, (3, 4))
            if side == 1 or cell[5] == "none":
                cell[5] = cell[6] = "none"
            else:
                if cell[6] == "none":  # possible in a text or a file, not in a row
                    cell[6] = cell[5]
                side = halve_side(side)
            legal.append(tuple(cell))
        return tuple(legal)

    def names_set_by_rules(self, edge: int) -> tuple[str, ...]:
        return ("none",) if edge == 6 else ()

    def names_by_released_number(self) -> tuple[tuple[str, ...], ...]:
        return (
            NORMAL_OPERATIONS,
            NORMAL_OPERATIONS,
            NORMAL_OPERATIONS,
            NORMAL_OPERATIONS,
            NORMAL_OPERATIONS,
            DOWN_OPERATIONS,
            DOWN_OPERATIONS,
        )


def number_of_cells(side: int, n_cells: int | None = None) -> int:
    """Return the number of cells of the generators of images with a given side length.

    By default, it is the smallest number, 3 or more, with which the first feature map of a
    generator is smaller than 8x8: 3 cells up to 56 pixels, 4 cells for 64 pixels, 5 cells for 128
    pixels. If such a number does not divide the side length, it is the largest number that does.

    Args:
        side: side length of the images in pixels.
        n_cells: number of cells, if it is already known; it is checked.

    Raises:
        ValueError: the side length is not a positive multiple of 2 to the power of the number of
            cells.
    """
    if n_cells is None:
        possible = [n for n in range(N_CELLS, MAX_CELLS + 1) if side > 0 and side % 2**n == 0]
        small = [n for n in possible if side // 2**n < SMALL_MAP]
        n_cells = small[0] if small else possible[-1] if possible else N_CELLS
    if side < 1 or side % 2**n_cells:
        raise ValueError(
            f"Images of {side}x{side} pixels are invalid: expected a side length that is a "
            f"multiple of {2**n_cells}, because a generator with {n_cells} cells doubles the side "
            f"length {n_cells} times. Set image_size, for example to "
            f"{', '.join(str(k * 2**n_cells) for k in (1, 2, 4))} or {6 * 2**n_cells}, to resize "
            "the images."
        )
    return n_cells


def channel_widths(channels: int, n_cells: int, schedule: str = "halve") -> list[int]:
    """Return the number of channels of each cell of a generator, from the first cell to the last.

    The first three cells, as many as in the paper, have all channels. The cells of a discriminator
    have the same numbers in reverse order, because its first cells have the largest feature maps.

    Args:
        channels: number of channels of the first three cells.
        n_cells: number of cells.
        schedule: "halve": each further cell has half as many channels as the cell before it, but at
            least 1; "constant": all cells have as many.
    """
    n_halvings = [max(0, i + 1 - N_CELLS) if schedule == "halve" else 0 for i in range(n_cells)]
    return [max(1, channels // 2**n) for n in n_halvings]


def halve_side(side: int) -> int:
    """Return half of a side length in pixels, rounded up."""
    return -(-side // 2)


def _ensure_an_input(cell: list[str], edges: Sequence[int]) -> None:
    """Replace the last of these edges by an identity, in place, if all of them are ``none``."""
    if all(cell[e] == "none" for e in edges):
        cell[edges[-1]] = "skip_connect"


class PairSpace:
    """Search space of pairs of a generator and a discriminator.

    A row x consists of the genes of the generator, then those of the discriminator: 42 integers
    with three cells.

    Args:
        side: side length of the images in pixels.
        n_cells: number of cells of a generator, and of a discriminator.
    """

    def __init__(self, side: int, n_cells: int = N_CELLS) -> None:
        self.generators = GeneratorSpace(n_cells)
        self.discriminators = DiscriminatorSpace(side, n_cells)

    @property
    def n_choices(self) -> np.ndarray:
        """(14 n_cells,) number of choices of each gene."""
        return np.concatenate([self.generators.n_choices, self.discriminators.n_choices])

    def decode(self, x: np.ndarray) -> ArchitecturePair:
        """Return the pair that a row x of integers, (14 n_cells,), encodes."""
        generator, discriminator = np.split(np.asarray(x), 2)
        return ArchitecturePair(
            self.generators.decode(generator), self.discriminators.decode(discriminator)
        )

    def encode(self, pair: ArchitecturePair) -> np.ndarray:
        """Return the canonical row of a pair, (14 n_cells,) int64."""
        generator = self.generators.encode(pair.generator)
        return np.concatenate([generator, self.discriminators.encode(pair.discriminator)])

    def graphs(self, pair: ArchitecturePair) -> list[Graph]:
        """Return one graph per cell of the generator, then one per cell of the discriminator."""
        generator = self.generators.graphs(pair.generator)
        return generator + self.discriminators.graphs(pair.discriminator)

    def to_json(self, pair: ArchitecturePair) -> dict[str, Any]:
        """Return a pair as a dict, which can be stored as JSON."""
        return {
            "generator": self.generators.to_json(pair.generator),
            "discriminator": self.discriminators.to_json(pair.discriminator),
        }

    def from_json(self, value: Any) -> ArchitecturePair:
        """Return the pair that :meth:`to_json` stored.

        Raises:
            ValueError: the value does not describe a pair of legal architectures.
        """
        if not isinstance(value, dict) or set(value) != {"generator", "discriminator"}:
            raise ValueError(f"Expected the keys generator and discriminator; got {value!r}.")
        return ArchitecturePair(
            self.generators.from_json(value["generator"]),
            self.discriminators.from_json(value["discriminator"]),
        )
