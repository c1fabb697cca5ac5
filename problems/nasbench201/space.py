"""The cell of NAS-Bench-201: four nodes, six edges, one of five operations an edge.

A gene is the operation of an edge, in the order 0-1, 0-2, 1-2, 0-3, 1-3, 2-3.
"""

import re
from dataclasses import dataclass

import numpy as np

OPERATIONS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
SHORT = dict(zip(OPERATIONS, ("", "skip", "c1", "c3", "avg"), strict=True))
EDGES = ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))
N_CHOICES = np.full(len(EDGES), len(OPERATIONS))


@dataclass(frozen=True)
class Architecture:
    """A cell.

    Args:
        operations: of the edges, in their order.
    """

    operations: tuple[str, ...]

    def __str__(self):
        """The cell as the benchmark writes it, |op~0|+|op~0|op~1|+|op~0|op~1|op~2|."""
        nodes = []
        for node in (1, 2, 3):
            into = [
                f"{op}~{start}"
                for op, (start, end) in zip(self.operations, EDGES, strict=True)
                if end == node
            ]
            nodes.append(f"|{'|'.join(into)}|")
        return "+".join(nodes)


def decode(x):
    """The architecture of a row, (6,) ints."""
    return Architecture(tuple(OPERATIONS[int(gene)] for gene in x))


def encode(architecture):
    """The row of an architecture, (6,) int64."""
    return np.array([OPERATIONS.index(op) for op in architecture.operations])


def to_json(architecture):
    """A dict that JSON can hold."""
    return {"cell": str(architecture)}


def from_json(value):
    """The architecture of such a dict.

    Raises:
        ValueError: it is none of this space.
    """
    if not isinstance(value, dict) or "cell" not in value:
        raise ValueError(f"Expected a dict with 'cell'; got {value!r}.")
    return parse(value["cell"])


def parse(text):
    """The architecture that the benchmark writes as ``text``.

    Raises:
        ValueError: it is none of this space.
    """
    parts = re.findall(r"([a-z0-9_]+)~(\d)", str(text))
    operations = tuple(op for op, _ in parts)
    starts = [int(start) for _, start in parts]
    if starts != [start for start, _ in EDGES] or set(operations) - set(OPERATIONS):
        raise ValueError(
            f"{text!r} is no cell of NAS-Bench-201; expected |op~0|+|op~0|op~1|+|op~0|op~1|op~2| "
            f"with operations out of {list(OPERATIONS)}."
        )
    return Architecture(operations)
