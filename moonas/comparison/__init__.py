"""Comparison of algorithms: runs paired by seed, statistics, tables and figures.

:mod:`.proxies` compares cheap proxies with the full training of architectures.
"""

from __future__ import annotations

from ..deprecation import renamed_names
from .compare import compare
from .plan import Plan, Task, make_plan
from .proxies import compare_proxies
from .results import Comparison
from .runs import Run, run_algorithm
from .suites import Instance, suite

__all__ = [
    "Comparison",
    "Instance",
    "Plan",
    "Run",
    "Task",
    "compare",
    "compare_proxies",
    "make_plan",
    "run_algorithm",
    "suite",
]

__getattr__ = renamed_names(__name__, play="run_algorithm")
