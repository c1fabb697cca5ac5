"""Published architectures of all tasks, by name."""

from dataclasses import dataclass

from ..registry import load_problem, problem_names


@dataclass(frozen=True)
class Published:
    """An architecture that a paper prints.

    Args:
        name: of the architecture.
        problem: the problem whose space it belongs to.
        architecture: in that space.
        source: the paper.
        counts: (params, macs) by the network it is counted in, in words.
    """

    name: str
    problem: str
    architecture: object
    source: str
    counts: dict


def zoo(name=None):
    """All published architectures as a dict of :class:`Published` by name, or the one named.

    Raises:
        ValueError: there is none of that name.
    """
    found = {item.name: item for problem in problem_names() for item in load_problem(problem).zoo()}
    if name is None:
        return found
    if name not in found:
        raise ValueError(f"Unknown architecture {name!r}; choose from {sorted(found)}.")
    return found[name]
