"""Genes of a population's rows: bounded integers, bounded real numbers or bits. NumPy only."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

RENAMED = {"labels": "categorical_genes", "bits": "bit_genes"}  # functions of earlier versions


@dataclass(frozen=True)
class Genes:
    """Type and bounds of each gene of a row.

    Args:
        low: (n_var,) smallest value of each gene.
        high: (n_var,) largest value of each gene, inclusive.
        real: (n_var,) bool, whether each gene is a real number; all others are integers.
        bits: whether all genes are bits. Rows are then bool, and no gene may be real.
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
        """(n_var,) number of values of each gene, int64; 0 for real genes."""
        return np.where(self.real, 0, self.high - self.low + 1).astype(np.int64)

    def check(self, X: Any) -> np.ndarray:
        """Validate rows and convert them to :attr:`dtype`.

        Args:
            X: (n, n_var) rows, or a single row (n_var,).

        Returns:
            Array of the shape of ``X``.

        Raises:
            ValueError: the rows have the wrong length, or a value is out of bounds or not an
                integer where the gene is one.
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
            A list of numbers. A row of bits becomes a string of hexadecimal digits instead, which
            is about fifteen times shorter.
        """
        return np.packbits(x).tobytes().hex() if self.bits else x.tolist()

    def from_json(self, value: Any) -> np.ndarray:
        """Return the row, (n_var,), that :meth:`to_json` converted to ``value``."""
        if self.bits:
            packed = np.frombuffer(bytes.fromhex(value), np.uint8)
            return np.unpackbits(packed, count=len(self.low)).astype(bool)
        return np.array(value, self.dtype)

    def text(self, x: np.ndarray) -> str:
        """Format a row, (n_var,), as text that identifies it exactly.

        Genes are separated by spaces; integers have no decimal point, and real numbers have all
        their digits. A row of bits is a string of zeros and ones.
        """
        if self.bits:
            return "".join(str(int(bit)) for bit in x)
        return " ".join(
            repr(float(value)) if real else str(int(value))
            for value, real in zip(x, self.real, strict=True)
        )


def categorical_genes(n_choices: Sequence[int] | np.ndarray) -> Genes:
    """Return genes that are labels: gene j is an integer in [0, n_choices[j])."""
    n_choices = np.asarray(n_choices)
    return Genes(np.zeros(len(n_choices)), n_choices - 1, np.zeros(len(n_choices), bool))


def bit_genes(n: int) -> Genes:
    """Return ``n`` genes that are bits."""
    return Genes(np.zeros(n), np.ones(n), np.zeros(n, bool), bits=True)


def __getattr__(name: str) -> Any:
    if name in RENAMED:
        warnings.warn(
            f"{name}() is deprecated; use {RENAMED[name]}().", DeprecationWarning, stacklevel=2
        )
        return globals()[RENAMED[name]]
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
