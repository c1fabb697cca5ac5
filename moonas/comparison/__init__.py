"""Comparison of algorithms: runs paired by seed, statistics, tables and figures."""

from __future__ import annotations

import warnings
from typing import Any

from .compare import compare
from .plan import Plan, Task, make_plan
from .results import Comparison
from .runs import Run, run_algorithm

__all__ = ["Comparison", "Plan", "Run", "Task", "compare", "make_plan", "run_algorithm"]


def __getattr__(name: str) -> Any:
    """Return an object by its deprecated name."""
    if name == "play":
        text = "moonas.comparison.play is deprecated; use run_algorithm."
        warnings.warn(text, DeprecationWarning, stacklevel=2)
        return run_algorithm
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
