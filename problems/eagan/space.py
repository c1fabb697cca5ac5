"""Search spaces of EAGAN: how a row of integers encodes a generator or a discriminator.

Section 3.2 and figure 1 of the paper describe both spaces; the order of the edges is that of the
paper's released code. A generator has three Up-Cells and a discriminator has three Down-Cells. A
cell has five nodes, 0 to 4, and seven edges. Node 0 is the input of the cell and node 4 is its
output; a node adds up the edges that lead into it. Each edge is one gene, so x has 21 integers,
cell by cell, with the edges in this order:

    Up-Cell     E0: 0-1 up    E1: 0-2 up    E2: 1-3    E3: 2-3    E4: 1-4    E5: 2-4    E6: 3-4
    Down-Cell   E0: 0-1    E1: 0-2    E2: 1-2    E3: 1-3    E4: 0-3    E5: 2-4 down    E6: 3-4 down

A gene is an index into the choices of its edge. Every row within the bounds decodes to a legal
network because ``decode`` applies these rules:

- If all edges into a node are ``none``, the last one becomes an identity. This concerns E3 and E6
  of an Up-Cell, and E2 and E4 of a Down-Cell; E0 of a Down-Cell cannot be ``none``.
- If E5 of a Down-Cell is ``none``, the cell keeps the spatial size, and E6 is ``none`` too,
  whatever its gene is.
- If the input of a Down-Cell is one pixel wide, both E5 and E6 are ``none``.

Several rows may therefore decode to the same architecture; ``encode`` returns the canonical one.
There are 147,744 Up-Cells, hence 3.2e15 generators, and 511,488 Down-Cells.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

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
N_EDGES = 7  # per cell
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

CellNames = tuple[tuple[str, ...], ...]  # the operations on the edges of each cell


@dataclass(frozen=True)
class Architecture:
    """The operations on the seven edges of each of three cells, by name."""

    cells: CellNames

    def __str__(self) -> str:
        """Return the short names of the operations, edge by edge; ``-`` stands for ``none``."""
        return " / ".join(" ".join(SHORT[name] for name in cell) for cell in self.cells)


@dataclass(frozen=True)
class Pair:
    """A generator and a discriminator that evolve together (coupled search, figure 6)."""

    generator: Architecture
    discriminator: Architecture

    def __str__(self) -> str:
        return f"{self.generator} | {self.discriminator}"


class CellSpace:
    """Architectures of three cells of one kind.

    Attributes:
        kind: name of the kind of cell.
        edges: names of the operations that each edge of a cell can take.
        edge_nodes: start node and end node of each edge.
    """

    kind: str = ""
    edges: tuple[tuple[str, ...], ...] = ()
    edge_nodes: tuple[tuple[int, int], ...] = ()

    def make_legal(self, cells: Iterable[Sequence[str]]) -> CellNames:
        """Apply the rules of the space to three cells.

        Args:
            cells: names of the operations on the seven edges of each cell.

        Returns:
            Three tuples of names.
        """
        raise NotImplementedError

    @property
    def n_choices(self) -> np.ndarray:
        """(21,) number of choices of each gene."""
        return np.array([len(choices) for choices in self.edges] * N_CELLS)

    def decode(self, x: np.ndarray) -> Architecture:
        """Return the legal architecture that a row of integers, (21,), encodes."""
        genes = np.asarray(x).reshape(N_CELLS, N_EDGES).tolist()
        names = [[self.edges[e][gene] for e, gene in enumerate(cell)] for cell in genes]
        return Architecture(self.make_legal(names))

    def encode(self, architecture: Architecture) -> np.ndarray:
        """Return the canonical row, (21,) int64, of an architecture."""
        x = []
        for cell in architecture.cells:
            for choices, name in zip(self.edges, cell, strict=True):
                x.append(choices.index(name) if name in choices else 0)  # set by a rule, not a gene
        return np.array(x)

    def graphs(self, architecture: Architecture) -> list[Graph]:
        """Return the graph of each cell, from its input 0 to its output 4."""
        graphs = []
        for number, cell in enumerate(architecture.cells):
            edges = tuple(
                (str(start), str(end), SHORT[name])
                for name, (start, end) in zip(cell, self.edge_nodes, strict=True)
                if name != "none"
            )
            if not any(end == "4" for _, end, _ in edges):  # the output adds up nodes 2 and 3
                edges += (("2", "4", ""), ("3", "4", ""))
            title = f"{self.kind} {number + 1}"
            graphs.append(Graph(title, ("0",), ("1", "2", "3", "4"), edges))
        return graphs

    def to_json(self, architecture: Architecture) -> dict[str, Any]:
        """Return an architecture as a dict of lists that JSON can store."""
        return {"cells": [list(cell) for cell in architecture.cells]}

    def from_json(self, value: Any) -> Architecture:
        """Return the architecture that :meth:`to_json` stored.

        Raises:
            ValueError: the value is not a legal architecture of this space.
        """
        if not isinstance(value, dict) or set(value) != {"cells"}:
            raise ValueError(
                f'Expected {{"cells": three lists of {N_EDGES} names}}; got {value!r}.'
            )
        return self.from_names(value["cells"])

    def from_names(self, cells: Iterable[Iterable[str]]) -> Architecture:
        """Return the architecture with these operations.

        Args:
            cells: three lists of seven names.

        Raises:
            ValueError: the cells are not a legal architecture of this space.
        """
        names = tuple(tuple(cell) for cell in cells)
        self._check_n_edges(names)
        for number, cell in enumerate(names):
            for e, name in enumerate(cell):
                if name not in (*self.edges[e], *self.rule_names(e)):
                    raise ValueError(
                        f"E{e} of {self.kind} {number + 1} cannot be {name!r}; choose from "
                        f"{list(self.edges[e])}."
                    )
        for number, (cell, legal) in enumerate(zip(names, self.make_legal(names), strict=True)):
            if cell != legal:
                raise ValueError(
                    f"{self.kind} {number + 1} is not a legal cell: {' '.join(cell)}. The closest "
                    f"legal cell is {' '.join(legal)}."
                )
        return Architecture(names)

    def from_release(self, cells: Sequence[Sequence[int]]) -> Architecture:
        """Return the architecture with these operations, numbered as in the paper's released code.

        Args:
            cells: three lists of seven numbers; -1 on E5 and E6 of a Down-Cell means that the cell
                keeps the spatial size.

        Raises:
            ValueError: the cells are not a legal architecture of this space.
        """
        self._check_n_edges(cells)
        names = self.release_names()
        for cell in cells:
            for e, number in enumerate(cell):
                if not -1 <= number < len(names[e]) or (number == -1 and e not in (5, 6)):
                    raise ValueError(f"E{e} of a {self.kind} cannot be number {number}.")
        return self.from_names(
            [["none" if n == -1 else names[e][n] for e, n in enumerate(cell)] for cell in cells]
        )

    def from_text(self, text: str) -> Architecture:
        """Parse an architecture whose cells are separated by ``/`` and whose edges by spaces.

        Args:
            text: an edge is a name, a short name as in ``str(architecture)``, or a number as in
                :meth:`from_release`.

        Raises:
            ValueError: the text is not a legal architecture of this space.
        """
        cells = [cell.split() for cell in text.split("/")]
        if all(word.removeprefix("-").isdigit() for cell in cells for word in cell):
            return self.from_release([[int(word) for word in cell] for cell in cells])
        full_names = {short: name for name, short in SHORT.items()}
        return self.from_names([[full_names.get(word, word) for word in cell] for cell in cells])

    def _check_n_edges(self, cells: Sequence[Sequence[Any]]) -> None:
        n_edges = [len(cell) for cell in cells]
        if n_edges != [N_EDGES] * N_CELLS:
            raise ValueError(
                f"Expected {N_CELLS} {self.kind}s of {N_EDGES} edges; got {n_edges} edges."
            )

    def rule_names(self, edge: int) -> tuple[str, ...]:
        """Return the names that an edge can only get from a rule, not from its gene."""
        return ()

    def release_names(self) -> tuple[tuple[str, ...], ...]:
        """Return the names of the released code's numbers, edge by edge."""
        return self.edges


class GeneratorSpace(CellSpace):
    """Generators of three Up-Cells."""

    kind = "Up-Cell"
    edges = (UP, UP, NORMAL, NORMAL, NORMAL, NORMAL, NORMAL)
    edge_nodes = ((0, 1), (0, 2), (1, 3), (2, 3), (1, 4), (2, 4), (3, 4))

    def make_legal(self, cells: Iterable[Sequence[str]]) -> CellNames:
        """Give nodes 3 and 4 of each cell at least one input edge."""
        legal = []
        for cell in map(list, cells):
            _require_an_edge(cell, (2, 3))
            _require_an_edge(cell, (4, 5, 6))
            legal.append(tuple(cell))
        return tuple(legal)


class DiscriminatorSpace(CellSpace):
    """Discriminators of three Down-Cells, for images of one size.

    Args:
        side: side length of the images in pixels.
    """

    kind = "Down-Cell"
    edges = (NORMAL[1:], NORMAL, NORMAL, NORMAL, NORMAL, (*DOWN, "none"), DOWN)
    edge_nodes = ((0, 1), (0, 2), (1, 2), (1, 3), (0, 3), (2, 4), (3, 4))

    def __init__(self, side: int) -> None:
        self.side = side

    def make_legal(self, cells: Iterable[Sequence[str]]) -> CellNames:
        """Give every node at least one input edge, and never halve a single pixel."""
        side, legal = halve_side(self.side), []  # the first block halves the images
        for cell in map(list, cells):
            _require_an_edge(cell, (1, 2))
            _require_an_edge(cell, (3, 4))
            if side == 1 or cell[5] == "none":
                cell[5] = cell[6] = "none"
            else:
                if cell[6] == "none":  # cannot come from a row, only from a user's text or file
                    cell[6] = cell[5]
                side = halve_side(side)
            legal.append(tuple(cell))
        return tuple(legal)

    def rule_names(self, edge: int) -> tuple[str, ...]:
        return ("none",) if edge == 6 else ()

    def release_names(self) -> tuple[tuple[str, ...], ...]:
        return (NORMAL, NORMAL, NORMAL, NORMAL, NORMAL, DOWN, DOWN)


def halve_side(side: int) -> int:
    """Return the side length in pixels after a down-sampling; odd sides are rounded up."""
    return -(-side // 2)


def _require_an_edge(cell: list[str], edges: Sequence[int]) -> None:
    """Make the last of these edges an identity if all of them are ``none``, in place."""
    if all(cell[e] == "none" for e in edges):
        cell[edges[-1]] = "skip_connect"


class PairSpace:
    """Pairs of a generator and a discriminator; x has 42 integers, those of the generator first.

    Args:
        side: side length of the images in pixels.
    """

    def __init__(self, side: int) -> None:
        self.generators, self.discriminators = GeneratorSpace(), DiscriminatorSpace(side)

    @property
    def n_choices(self) -> np.ndarray:
        """(42,) number of choices of each gene."""
        return np.concatenate([self.generators.n_choices, self.discriminators.n_choices])

    def decode(self, x: np.ndarray) -> Pair:
        """Return the pair that a row of integers, (42,), encodes."""
        generator, discriminator = np.split(np.asarray(x), 2)
        return Pair(self.generators.decode(generator), self.discriminators.decode(discriminator))

    def encode(self, pair: Pair) -> np.ndarray:
        """Return the canonical row, (42,) int64, of a pair."""
        generator = self.generators.encode(pair.generator)
        return np.concatenate([generator, self.discriminators.encode(pair.discriminator)])

    def graphs(self, pair: Pair) -> list[Graph]:
        """Return the graphs of the generator's cells, then those of the discriminator's."""
        generator = self.generators.graphs(pair.generator)
        return generator + self.discriminators.graphs(pair.discriminator)

    def to_json(self, pair: Pair) -> dict[str, Any]:
        """Return a pair as a dict that JSON can store."""
        return {
            "generator": self.generators.to_json(pair.generator),
            "discriminator": self.discriminators.to_json(pair.discriminator),
        }

    def from_json(self, value: Any) -> Pair:
        """Return the pair that :meth:`to_json` stored.

        Raises:
            ValueError: the value is not a pair of legal architectures.
        """
        if not isinstance(value, dict) or set(value) != {"generator", "discriminator"}:
            raise ValueError(f"Expected a generator and a discriminator; got {value!r}.")
        return Pair(
            self.generators.from_json(value["generator"]),
            self.discriminators.from_json(value["discriminator"]),
        )
