"""Limits of columns, such as ``params <= 50000``; a candidate that exceeds a limit is infeasible.

pymoo calls them inequality constraints. Each of them is divided by its bound, so that violations of
limits with different units can be compared and added up.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

_PATTERN = re.compile(r"\s*(?P<column>\w+)\s*(?P<relation><=|>=)\s*(?P<bound>\S+)\s*")


@dataclass(frozen=True)
class Limit:
    """An upper or a lower bound on the values of a column.

    Args:
        column: name of the column.
        relation: "<=" or ">=".
        bound: largest or smallest value that a feasible candidate has, in the unit of the column.
    """

    column: str
    relation: str
    bound: float

    def __str__(self) -> str:
        return f"{self.column} {self.relation} {self.bound:.15g}"

    def constraint(self, values: ArrayLike) -> np.ndarray:
        """Return how far values exceed the bound, relative to the bound.

        Args:
            values: (n,) values of the column.

        Returns:
            (n,) floats, positive for infeasible candidates: 0.1 if a value exceeds an upper bound
            by 10 % of the bound. The difference is not divided by a bound of 0. For NaN, the result
            is infinite.
        """
        excess = np.asarray(values, float) - self.bound
        if self.relation == ">=":
            excess = -excess
        scaled: np.ndarray = excess / (abs(self.bound) or 1.0)
        return np.where(np.isnan(scaled), np.inf, scaled)


def parse_limit(text: str) -> Limit:
    """Parse a limit such as ``params <= 50000`` or ``error <= 7.5``.

    Raises:
        ValueError: the text is not a limit.
    """
    match = _PATTERN.fullmatch(text)
    try:
        bound = float(match["bound"]) if match is not None else np.nan
    except ValueError:
        bound = np.nan
    if match is None or not np.isfinite(bound):
        raise ValueError(
            f"The limit {text!r} is invalid: expected COLUMN <= NUMBER or COLUMN >= NUMBER, such "
            "as 'params <= 50000'."
        )
    return Limit(match["column"], match["relation"], bound)


def parse_limits(texts: Iterable[str]) -> tuple[Limit, ...]:
    """Parse several limits.

    Raises:
        ValueError: a text is not a limit, or two limits bound a column on the same side.
    """
    limits = tuple(parse_limit(text) for text in texts)
    seen: set[tuple[str, str]] = set()
    for limit in limits:
        side = limit.column, limit.relation
        if side in seen:
            raise ValueError(
                f"The limits {[str(one) for one in limits]} are invalid: expected at most one "
                f"limit {' '.join(side)}."
            )
        seen.add(side)
    return limits


def check_limits(limits: Iterable[Limit], known: Collection[str]) -> None:
    """Raise a ``ValueError`` if a limit bounds an unknown column.

    Args:
        limits: the limits.
        known: names of the columns of a problem.
    """
    for limit in limits:
        if limit.column not in known:
            raise ValueError(
                f"The limit '{limit}' is invalid: unknown column {limit.column!r}; choose from "
                f"{list(known)}."
            )
