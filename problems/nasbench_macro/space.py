"""The search space of NAS-Bench-Macro: one of three operations for each of eight layers.

A gene is the operation of a layer, an index into ``OPERATIONS``. The layers belong to three stages
of two, three and three layers; the first layer of a stage halves the side length of its input and
doubles the number of channels.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from moonas.spaces import genes

OPERATIONS = ("identity", "mb3_k3", "mb6_k5")  # inverted residual: expansion, kernel size
STAGES = (2, 3, 3)  # number of layers
N_CHOICES = np.full(sum(STAGES), len(OPERATIONS))


@dataclass(frozen=True)
class Architecture:
    """A network of eight layers.

    Args:
        operations: name of the operation of each layer.
    """

    operations: tuple[str, ...]

    def __str__(self) -> str:
        """The operations by stage, as the benchmark numbers them: ``02 111 201``."""
        digits = "".join(str(OPERATIONS.index(name)) for name in self.operations)
        ends = np.cumsum(STAGES).tolist()
        return " ".join(digits[end - n : end] for n, end in zip(STAGES, ends, strict=True))


def decode(x: Iterable[int]) -> Architecture:
    """Return the architecture of one row, (8,) ints."""
    return Architecture(tuple(OPERATIONS[int(gene)] for gene in x))


def encode(architecture: Architecture) -> np.ndarray:
    """Return the row, (8,) int64, of an architecture."""
    return np.array([OPERATIONS.index(name) for name in architecture.operations], dtype=np.int64)


def to_json(architecture: Architecture) -> dict[str, Any]:
    """Return an architecture as a JSON-serializable dict."""
    return {"operations": list(architecture.operations)}


def from_json(value: Any) -> Architecture:
    """Return the architecture that :func:`to_json` wrote.

    Raises:
        ValueError: the value is not an architecture of this space.
    """
    operations = value.get("operations") if isinstance(value, dict) else None
    valid = isinstance(operations, list) and len(operations) == len(N_CHOICES)
    if not valid or set(map(str, operations or ())) - set(OPERATIONS):
        raise ValueError(
            f"{value!r} is not a network of NAS-Bench-Macro: expected a dict with 'operations', a "
            f"list of {len(N_CHOICES)} names from {list(OPERATIONS)}."
        )
    return Architecture(tuple(operations or ()))


def all_rows() -> np.ndarray:
    """Return all rows of the space, (6561, 8) ints, in lexicographic order."""
    return genes.all_rows(N_CHOICES)
