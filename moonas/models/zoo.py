"""Published architectures of all problems, by name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .. import registry


@dataclass(frozen=True)
class Published:
    """An architecture that a paper prints.

    Args:
        name: of the architecture.
        problem: name of the problem whose space it belongs to.
        architecture: in that space.
        source: the paper.
        counts: (params, macs) by a description of the network that they are counted in.
    """

    name: str
    problem: str
    architecture: Any
    source: str
    counts: dict[str, tuple[int, int]]


def zoo(name: str | None = None) -> dict[str, Published] | Published:
    """All published architectures by name, or the one of a name.

    With a name, problems are imported until one has it. moonas's own problems come first; a problem
    that fails, or repeats a name, is named in a warning and skipped.

    Raises:
        ValueError: the name is unknown.
    """
    found: dict[str, Published] = {}
    for problem, entry in registry.each_entry():
        if not isinstance(entry, registry.ProblemEntry):
            continue
        try:
            items = _published(problem)
        except Exception as error:  # a plug-in's code, which must not take the others with it
            registry.warn_of_plugin(f"problem {problem!r}", f"its zoo: {registry.reason(error)}")
            continue
        for item in items:
            if item.name in found:
                fault = f"the published architecture {item.name!r} is there already"
                registry.warn_of_plugin(f"problem {problem!r}", fault)
            found.setdefault(item.name, item)
        if name in found:
            return found[name]
    if name is None:
        return found
    raise ValueError(f"Unknown architecture {name!r}; choose from {sorted(found)}.")


def _published(problem: str) -> list[Published]:
    """The published architectures of a problem, checked."""
    items = list(registry.load_problem(problem).zoo())
    for item in items:
        if not isinstance(item, Published):
            raise TypeError(f"expected items of type Published, got {item!r}")
    return items
