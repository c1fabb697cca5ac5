"""Comparison of algorithms: runs paired by seed, statistics, tables and figures."""

from __future__ import annotations

from ..deprecation import renamed_names
from .compare import compare
from .plan import Plan, Task, make_plan
from .results import Comparison
from .runs import Run, run_algorithm

__all__ = ["Comparison", "Plan", "Run", "Task", "compare", "make_plan", "run_algorithm"]

__getattr__ = renamed_names(__name__, play="run_algorithm")
