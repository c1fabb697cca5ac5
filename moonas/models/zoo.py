"""The published architectures of all problems, by name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, overload

from .. import registry


@dataclass(frozen=True)
class Published:
    """A published architecture.

    Args:
        name: name of the architecture.
        problem: name of the problem whose search space contains it.
        architecture: an instance of the architecture class of the search space.
        source: paper that published the architecture.
        counts: description of a network with this architecture -> (parameters, multiply-adds) of
            the network.
    """

    name: str
    problem: str
    architecture: Any
    source: str
    counts: dict[str, tuple[int, int]]


@overload
def zoo(name: None = None) -> dict[str, Published]: ...
@overload
def zoo(name: str) -> Published: ...
def zoo(name: str | None = None) -> dict[str, Published] | Published:
    """Return all published architectures by name, or the architecture with a given name.

    The architectures of the problems in moonas come first. Problems whose architectures cannot be
    loaded, and architectures whose name is already in use, are skipped with a warning.

    Args:
        name: name of an architecture; None returns all architectures. Problems are imported one by
            one until a problem has the architecture.

    Raises:
        ValueError: if the name is unknown.
    """
    published: dict[str, Published] = {}
    for problem, entry in registry.each_entry():
        if not isinstance(entry, registry.ProblemEntry):
            continue
        try:
            items = _published_architectures(problem)
        except Exception as error:  # an error in a plug-in must not affect other problems
            registry.warn_of_plugin(f"problem {problem!r}", f"its zoo: {registry.reason(error)}")
            continue
        for item in items:
            if item.name in published:
                fault = (
                    f"its published architecture {item.name!r} has a name that is already in use"
                )
                registry.warn_of_plugin(f"problem {problem!r}", fault)
            published.setdefault(item.name, item)
        if name in published:
            return published[name]
    if name is None:
        return published
    raise ValueError(f"Unknown architecture {name!r}; choose from {sorted(published)}.")


def _published_architectures(problem: str) -> list[Published]:
    """Load the published architectures of a problem, and check their type."""
    items: list[Published] = list(registry.load_problem(problem).zoo())
    for item in items:
        if not isinstance(item, Published):
            raise TypeError(f"expected items of type Published, got {item!r}")
    return items
