"""Which filters two generators keep: one bit a filter, one mask for filters that go together."""

from dataclasses import dataclass
from itertools import accumulate

import numpy as np


@dataclass(frozen=True)
class Architecture:
    """The masks of both generators, each a text of ones (kept) and zeros.

    Args:
        a: masks of the generator that translates images of A, in the order of the encoding.
        b: masks of the other one.
    """

    a: tuple[str, ...]
    b: tuple[str, ...]

    def __str__(self):
        """Filters that each mask keeps: of a / of b."""
        return " / ".join(" ".join(str(m.count("1")) for m in half) for half in (self.a, self.b))

    def masks(self, domain):
        """The masks of one generator as bool arrays.

        Args:
            domain: "a" or "b", where its images come from.
        """
        return [np.array(list(mask)) == "1" for mask in getattr(self, domain)]


class Space:
    """Rows of bits, (p | q), and what they mean.

    Args:
        sizes: number of filters of each mask of one generator.
    """

    def __init__(self, sizes):
        self.sizes = tuple(sizes)
        self.n_bits = sum(self.sizes)
        stops = list(accumulate(self.sizes * 2))
        self.slices = [slice(stop - n, stop) for n, stop in zip(self.sizes * 2, stops, strict=True)]

    def decode(self, x):
        """The architecture of a row, (2 n_bits,).

        Raises:
            ValueError: the row has another length, or a mask keeps no filter.
        """
        x = np.asarray(x).astype(bool)
        if x.shape != (2 * self.n_bits,):
            raise ValueError(f"Expected {2 * self.n_bits} bits; got an array of shape {x.shape}.")
        masks = ["".join("1" if bit else "0" for bit in x[part]) for part in self.slices]
        n = len(self.sizes)
        return self._checked(Architecture(tuple(masks[:n]), tuple(masks[n:])))

    def encode(self, architecture):
        """The row of an architecture, (2 n_bits,) bool."""
        return np.array(list("".join((*architecture.a, *architecture.b)))) == "1"

    def uniform(self, share, rng=None):
        """Both generators with the same share of the filters of every mask, one at least.

        Args:
            share: of the filters of each mask.
            rng: ``numpy.random.Generator`` that draws which; the first ones without it.
        """

        def mask(n):
            kept = np.zeros(n, dtype=bool)
            order = np.arange(n) if rng is None else rng.permutation(n)
            kept[order[: max(1, round(share * n))]] = True
            return kept

        return self.decode(np.concatenate([mask(n) for n in self.sizes * 2]))

    def check(self, X):
        """Raise a ``ValueError`` if a mask of a row of X, (n, 2 n_bits) bool, keeps no filter."""
        for i, part in enumerate(self.slices):
            if not X[:, part].any(axis=1).all():
                raise ValueError(_no_filter(i % len(self.sizes), "ab"[i // len(self.sizes)]))

    @staticmethod
    def to_json(architecture):
        """A dict that JSON can hold."""
        return {"a": list(architecture.a), "b": list(architecture.b)}

    def from_json(self, value):
        """The architecture of such a dict.

        Raises:
            ValueError: it is none of this space.
        """
        try:
            return self._checked(Architecture(tuple(value["a"]), tuple(value["b"])))
        except (KeyError, TypeError) as error:
            raise ValueError(f"Not the masks of two generators: {error}") from None

    def _checked(self, architecture):
        for name in "ab":
            masks = getattr(architecture, name)
            if set("".join(masks)) - {"0", "1"}:
                raise ValueError(f"A mask of generator {name} has other characters than 0 and 1.")
            if tuple(map(len, masks)) != self.sizes:
                raise ValueError(
                    f"Expected masks of {list(self.sizes)} bits for each generator; got "
                    f"{[len(mask) for mask in masks]}."
                )
            for i, mask in enumerate(masks):
                if "1" not in mask:
                    raise ValueError(_no_filter(i, name))
        return architecture


def _no_filter(i, name):
    return f"Mask {i} of generator {name} keeps no filter; one at least has to stay."
