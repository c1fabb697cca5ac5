"""What a row is made of: integers or real numbers, each with its bounds, or bits. NumPy alone."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Genes:
    """The genes of a row.

    Args:
        low: (n_var,) smallest values.
        high: (n_var,) largest values, included.
        real: (n_var,) bool, which genes are real numbers; the others are integers.
        bits: whether a row is of bools; then no gene is real, and each is 0 or 1.
    """

    low: np.ndarray
    high: np.ndarray
    real: np.ndarray
    bits: bool = False

    def __post_init__(self):
        object.__setattr__(self, "low", np.asarray(self.low, float))
        object.__setattr__(self, "high", np.asarray(self.high, float))
        object.__setattr__(self, "real", np.asarray(self.real, bool))

    @property
    def dtype(self):
        """Type of a row: bool of bits, else int64, or float64 as soon as one gene is real."""
        if self.bits:
            return np.dtype(bool)
        return np.dtype(np.float64 if self.real.any() else np.int64)

    @property
    def n_choices(self):
        """(n_var,) number of values of each gene, int64; 0 for the real ones."""
        return np.where(self.real, 0, self.high - self.low + 1).astype(np.int64)

    def check(self, X):
        """X, (n, n_var) or (n_var,), in the genes' type.

        Raises:
            ValueError: a row has another length, or a gene a value that it cannot have.
        """
        rows = np.atleast_2d(np.asarray(X))
        n_var = len(self.low)
        if rows.shape[1:] != (n_var,) or rows.dtype.kind not in "iufb":
            kind = "numbers" if self.real.any() else "integers"
            raise ValueError(
                f"Expected rows of {n_var} {kind}; got an array of shape {rows.shape} and type "
                f"{rows.dtype}."
            )
        inside = (rows >= self.low) & (rows <= self.high)  # false for NaN
        for wrong, what in (
            (~self.real & (rows != np.floor(rows)), "is no integer"),
            (~inside, "is out of bounds"),
        ):
            if wrong.any():
                i, j = np.argwhere(wrong)[0]
                kind = "real numbers" if self.real[j] else "integers"
                raise ValueError(
                    f"x[{i}, {j}] = {rows[i, j]} {what}; gene {j} takes the {kind} "
                    f"{self.low[j]:g} to {self.high[j]:g}."
                )
        return np.asarray(X).astype(self.dtype)

    def plain(self, x):
        """A row as JSON can hold it: a list of numbers; of bits the digits of a hexadecimal number.

        A row of some hundred bits takes a fifteenth of the room so.
        """
        return np.packbits(x).tobytes().hex() if self.bits else x.tolist()

    def of_plain(self, value):
        """The row, (n_var,), that :meth:`plain` wrote."""
        if self.bits:
            digits = np.frombuffer(bytes.fromhex(value), np.uint8)
            return np.unpackbits(digits, count=len(self.low)).astype(bool)
        return np.array(value, self.dtype)

    def text(self, x):
        """A row as words parted by spaces: integers without a point, real numbers in full.

        A row of bits is one word of ones and zeros.
        """
        if self.bits:
            return "".join(str(int(bit)) for bit in x)
        return " ".join(
            repr(float(value)) if real else str(int(value))
            for value, real in zip(x, self.real, strict=True)
        )


def labels(n_choices):
    """Integer genes, gene j in [0, n_choices[j])."""
    n_choices = np.asarray(n_choices)
    return Genes(np.zeros(len(n_choices)), n_choices - 1, np.zeros(len(n_choices), bool))


def bits(n):
    """n genes that are bits."""
    return Genes(np.zeros(n), np.ones(n), np.zeros(n, bool), bits=True)
