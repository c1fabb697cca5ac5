"""The search space of NAS-Bench-201: a cell of four nodes and six edges with five operations.

Each of the six genes is the operation of an edge, an index into ``OPERATIONS``. The edges are in
the order 0-1, 0-2, 1-2, 0-3, 1-3, 2-3.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import numpy as np

OPERATIONS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
SHORT_NAMES = dict(zip(OPERATIONS, ("", "skip", "c1", "c3", "avg"), strict=True))
EDGES = ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))
N_CHOICES = np.full(len(EDGES), len(OPERATIONS))


@dataclass(frozen=True)
class Architecture:
    """A cell of four nodes and six edges.

    Args:
        operations: names of the edges' operations, in the order of ``EDGES``.
    """

    operations: tuple[str, ...]

    def __str__(self) -> str:
        """The cell as the benchmark writes it, |op~0|+|op~0|op~1|+|op~0|op~1|op~2|."""
        nodes = []
        for node in (1, 2, 3):
            edges = [
                f"{op}~{start}"
                for op, (start, end) in zip(self.operations, EDGES, strict=True)
                if end == node
            ]
            nodes.append(f"|{'|'.join(edges)}|")
        return "+".join(nodes)


def decode(x: np.ndarray) -> Architecture:
    """Return the architecture of one row, (6,) ints."""
    return Architecture(tuple(OPERATIONS[int(gene)] for gene in x))


def encode(architecture: Architecture) -> np.ndarray:
    """Return the row, (6,) int64, of an architecture."""
    return np.array([OPERATIONS.index(op) for op in architecture.operations])


def to_json(architecture: Architecture) -> dict[str, str]:
    """Return an architecture as a JSON-serializable dict."""
    return {"cell": str(architecture)}


def from_json(value: Any) -> Architecture:
    """Return the architecture that :func:`to_json` wrote.

    Raises:
        ValueError: the value is not an architecture of this space.
    """
    if not isinstance(value, dict) or "cell" not in value:
        raise ValueError(f"Expected a dict with 'cell'; got {value!r}.")
    return parse(value["cell"])


def parse(text: str) -> Architecture:
    """Parse a cell as the benchmark writes it, |op~0|+|op~0|op~1|+|op~0|op~1|op~2|.

    Raises:
        ValueError: the text is not a cell of this space.
    """
    parts = re.findall(r"([a-z0-9_]+)~(\d)", str(text))
    operations = tuple(op for op, _ in parts)
    starts = [int(start) for _, start in parts]
    if starts != [start for start, _ in EDGES] or set(operations) - set(OPERATIONS):
        raise ValueError(
            f"{text!r} is not a cell of NAS-Bench-201: expected |op~0|+|op~0|op~1|+"
            f"|op~0|op~1|op~2| with operations from {list(OPERATIONS)}."
        )
    return Architecture(operations)
