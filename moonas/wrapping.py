"""Problems of pymoo that wrap a problem of moonas, for example to add constraints."""

from __future__ import annotations

from typing import Any

DEFINING = ("genes", "n_choices", "nodes", "blocks", "space")  # attributes that operators read


def architecture_problem(problem: Any) -> Any:
    """Return the problem of moonas that a problem is or wraps.

    Args:
        problem: a :class:`~moonas.problem.ArchitectureProblem`, or a pymoo problem with such a
            problem in one of its attributes.

    Raises:
        TypeError: it is neither.
    """
    if any(hasattr(problem, name) for name in DEFINING):
        return problem
    for value in vars(problem).values():
        if hasattr(value, "genes") and hasattr(value, "objectives"):
            return value
    raise TypeError(
        f"{type(problem).__name__} is no problem of moonas and wraps none: expected a problem of "
        "moonas.load_problem, or a pymoo problem with such a problem in an attribute."
    )
