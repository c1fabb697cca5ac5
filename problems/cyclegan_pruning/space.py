"""Search space: masks with one bit per filter of two generators."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Architecture:
    """Masks of both generators. A mask is a string of ones (kept filters) and zeros (pruned).

    Args:
        a: masks of the generator from A to B, in the order of the encoding.
        b: masks of the generator from B to A.
    """

    a: tuple[str, ...]
    b: tuple[str, ...]

    def __str__(self) -> str:
        """Return the number of filters that each mask keeps, as "a1 a2 ... / b1 b2 ..."."""
        return " / ".join(
            " ".join(str(mask.count("1")) for mask in masks) for masks in (self.a, self.b)
        )

    def masks(self, domain: str) -> list[np.ndarray]:
        """Return the masks of one generator as bool arrays.

        Args:
            domain: source domain of the generator, "a" or "b".
        """
        return [np.array(list(mask)) == "1" for mask in getattr(self, domain)]


class Space:
    """Encoding of architectures as rows of bits, (p | q), with one half per generator.

    Args:
        sizes: number of bits of each mask of one generator.

    Attributes:
        n_bits: number of bits of one generator.
        slices: position of each mask in a row; the masks of generator a come first.
    """

    def __init__(self, sizes: Iterable[int]) -> None:
        self.sizes = tuple(sizes)
        self.n_bits = sum(self.sizes)
        stops = list(accumulate(self.sizes * 2))
        self.slices = [slice(stop - n, stop) for n, stop in zip(self.sizes * 2, stops, strict=True)]

    def decode(self, x: np.ndarray) -> Architecture:
        """Return the architecture that is encoded by a row, (2 n_bits,).

        Raises:
            ValueError: the row has the wrong length, or a mask keeps no filter.
        """
        x = np.asarray(x).astype(bool)
        if x.shape != (2 * self.n_bits,):
            raise ValueError(f"Expected {2 * self.n_bits} bits; got an array of shape {x.shape}.")
        masks = ["".join("1" if bit else "0" for bit in x[part]) for part in self.slices]
        n = len(self.sizes)
        return self._checked(Architecture(tuple(masks[:n]), tuple(masks[n:])))

    def encode(self, architecture: Architecture) -> np.ndarray:
        """Return the row that encodes an architecture, (2 n_bits,) bool."""
        row: np.ndarray = np.array(list("".join((*architecture.a, *architecture.b)))) == "1"
        return row

    def uniform(self, share: float, rng: np.random.Generator | None = None) -> Architecture:
        """Return an architecture that keeps the same share of filters in every mask.

        Args:
            share: share of its filters that each mask keeps, but at least one filter.
            rng: random number generator that selects the filters. If omitted, each mask keeps its
                first filters.
        """

        def mask(n: int) -> np.ndarray:
            kept = np.zeros(n, dtype=bool)
            order = np.arange(n) if rng is None else rng.permutation(n)
            kept[order[: max(1, round(share * n))]] = True
            return kept

        return self.decode(np.concatenate([mask(n) for n in self.sizes * 2]))

    def check(self, X: np.ndarray) -> None:
        """Raise a ``ValueError`` if a mask of a row of X, (n, 2 n_bits) bool, keeps no filter."""
        for i, part in enumerate(self.slices):
            if not X[:, part].any(axis=1).all():
                raise ValueError(_empty_mask(i % len(self.sizes), "ab"[i // len(self.sizes)]))

    @staticmethod
    def to_json(architecture: Architecture) -> dict[str, list[str]]:
        """Return the architecture as JSON values."""
        return {"a": list(architecture.a), "b": list(architecture.b)}

    def from_json(self, value: Any) -> Architecture:
        """Return the architecture from the result of :meth:`to_json`.

        Raises:
            ValueError: the value is not an architecture of this space.
        """
        try:
            return self._checked(Architecture(tuple(value["a"]), tuple(value["b"])))
        except (KeyError, TypeError) as error:
            raise ValueError(
                f"Expected the masks of two generators, with keys 'a' and 'b': {error}"
            ) from None

    def _checked(self, architecture: Architecture) -> Architecture:
        """Return the architecture, or raise a ``ValueError`` if it is not in this space."""
        for name in "ab":
            masks = getattr(architecture, name)
            if set("".join(masks)) - {"0", "1"}:
                raise ValueError(
                    f"A mask of generator {name} contains characters other than 0 and 1."
                )
            if tuple(map(len, masks)) != self.sizes:
                raise ValueError(
                    f"Expected masks of {list(self.sizes)} bits for each generator; got "
                    f"{[len(mask) for mask in masks]}."
                )
            for i, mask in enumerate(masks):
                if "1" not in mask:
                    raise ValueError(_empty_mask(i, name))
        return architecture


def _empty_mask(i: int, name: str) -> str:
    return f"Mask {i} of generator {name} keeps no filter; each mask must keep at least one."
