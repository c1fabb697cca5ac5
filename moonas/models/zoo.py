"""The published architectures of all problems, by name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
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
        shapes: description of a network, as in ``counts`` -> keyword arguments with which
            ``problem.network`` builds it, such as ``channels`` and ``layers``, and its
            ``image_size`` and ``n_classes``; empty if the architecture determines its shape.
    """

    name: str
    problem: str
    architecture: Any
    source: str
    counts: dict[str, tuple[int, int]]
    shapes: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def shape_for(self, image_size: int, stem: str = "auto") -> tuple[str, dict[str, Any]]:
        """Return the published network for images of a given size.

        Args:
            image_size: side length of the images in pixels.
            stem: stem of networks of cells, as in :class:`~moonas.nets.cells.CellNetworkShape`.

        Returns:
            (description, shape): description of the first network whose published stem is as large
            as the stem for these images, or else of the first network; and its shape without
            ``image_size`` and ``n_classes``. Both are empty if there are no shapes.
        """
        from ..nets.cells import has_large_stem

        if not self.shapes:
            return "", {}
        is_large = has_large_stem(stem, image_size)
        fitting = [
            title
            for title, shape in self.shapes.items()
            if has_large_stem("auto", shape["image_size"]) == is_large
        ]
        title = (fitting or list(self.shapes))[0]
        ignored = ("image_size", "n_classes")
        return title, {k: v for k, v in self.shapes[title].items() if k not in ignored}


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
