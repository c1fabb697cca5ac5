"""Many runs of several algorithms on several problems, paired by seed, and what they say."""

from .compare import compare
from .plan import Plan, Task, make_plan
from .results import Comparison
from .runs import Run, play

__all__ = ["Comparison", "Plan", "Run", "Task", "compare", "make_plan", "play"]
