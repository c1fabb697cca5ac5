"""Genes, the elements of a row of a population: bounded integers, bounded real numbers or bits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..deprecation import renamed_names


@dataclass(frozen=True)
class Genes:
    """Type and bounds of each gene of a row.

    Args:
        low: (n_var,) smallest value of each gene.
        high: (n_var,) largest value of each gene, inclusive.
        real: (n_var,) bool, whether each gene is a real number; all other genes are integers.
        bits: whether all genes are bits. If so, rows are bool, and no gene may be real.
    """

    low: np.ndarray
    high: np.ndarray
    real: np.ndarray
    bits: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "low", np.asarray(self.low, float))
        object.__setattr__(self, "high", np.asarray(self.high, float))
        object.__setattr__(self, "real", np.asarray(self.real, bool))

    @property
    def dtype(self) -> np.dtype[Any]:
        """Data type of a row: bool for bits, float64 if any gene is real, else int64."""
        if self.bits:
            return np.dtype(bool)
        return np.dtype(np.float64 if self.real.any() else np.int64)

    @property
    def n_choices(self) -> np.ndarray:
        """(n_var,) int64, number of possible values of each gene; 0 for real genes."""
        return np.where(self.real, 0, self.high - self.low + 1).astype(np.int64)

    def check(self, X: Any) -> np.ndarray:
        """Validate rows and convert them to :attr:`dtype`.

        Args:
            X: (n, n_var) rows, or a single row (n_var,).

        Returns:
            Array of the shape of ``X``.

        Raises:
            ValueError: the rows have the wrong length, a value is out of bounds, or the value of an
                integer gene is not an integer.
        """
        rows = np.atleast_2d(np.asarray(X))
        n_var = len(self.low)
        if rows.shape[1:] != (n_var,) or rows.dtype.kind not in "iufb":
            kind = "numbers" if self.real.any() else "integers"
            raise ValueError(
                f"Expected rows of {n_var} {kind}; got an array of shape {rows.shape} and type "
                f"{rows.dtype}."
            )
        in_bounds = (rows >= self.low) & (rows <= self.high)  # False for NaN
        for invalid, problem in (
            (~self.real & (rows != np.floor(rows)), "is not an integer"),
            (~in_bounds, "is out of bounds"),
        ):
            if invalid.any():
                i, j = np.argwhere(invalid)[0]
                kind = "a real number" if self.real[j] else "an integer"
                raise ValueError(
                    f"x[{i}, {j}] = {rows[i, j]} {problem}; gene {j} must be {kind} from "
                    f"{self.low[j]:g} to {self.high[j]:g}."
                )
        return np.asarray(X).astype(self.dtype)

    def to_json(self, x: np.ndarray) -> Any:
        """Convert a row to a JSON value.

        Args:
            x: (n_var,) row.

        Returns:
            A list of numbers or, for a row of bits, a string of hexadecimal digits, which is about
            fifteen times shorter than the list.
        """
        return np.packbits(x).tobytes().hex() if self.bits else x.tolist()

    def from_json(self, value: Any) -> np.ndarray:
        """Convert a JSON value from :meth:`to_json` to a row (n_var,)."""
        if self.bits:
            packed = np.frombuffer(bytes.fromhex(value), np.uint8)
            return np.unpackbits(packed, count=len(self.low)).astype(bool)
        return np.array(value, self.dtype)

    def text(self, x: np.ndarray) -> str:
        """Format a row (n_var,) as text that identifies the row exactly.

        Genes are separated by spaces; integers are written without a decimal point, and real
        numbers with all digits. A row of bits becomes a string of zeros and ones.
        """
        if self.bits:
            return "".join(str(int(bit)) for bit in x)
        return " ".join(
            repr(float(value)) if real else str(int(value))
            for value, real in zip(x, self.real, strict=True)
        )


def categorical_genes(n_choices: Sequence[int] | np.ndarray) -> Genes:
    """Return categorical genes: gene j is an integer label in [0, n_choices[j])."""
    n_choices = np.asarray(n_choices)
    return Genes(np.zeros(len(n_choices)), n_choices - 1, np.zeros(len(n_choices), bool))


def all_rows(n_choices: Sequence[int] | np.ndarray) -> np.ndarray:
    """Return all rows of categorical genes in lexicographic order, (n, n_var) int64."""
    shape = tuple(n_choices)
    return np.stack(np.unravel_index(np.arange(np.prod(shape)), shape), axis=1)


def bit_genes(n: int) -> Genes:
    """Return the type and bounds of ``n`` bit genes."""
    return Genes(np.zeros(n), np.ones(n), np.zeros(n, bool), bits=True)


__getattr__ = renamed_names(__name__, labels="categorical_genes", bits="bit_genes")
