"""Neural architecture search and GAN compression as pymoo problems on real images."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from . import plot as plot
    from .algorithms.named import algorithm as algorithm
    from .classifier import ClassifierProblem as ClassifierProblem
    from .comparison.compare import compare as compare
    from .comparison.suites import suite as suite
    from .models.model import load_model as load_model
    from .models.zoo import zoo as zoo
    from .pareto import front as front
    from .planning import load_training as load_training
    from .registry import load_problem as load_problem
    from .registry import load_stage as load_stage
    from .registry import problem_names as problem_names
    from .run.callbacks import RunCallback as RunCallback
    from .run.progress_lines import ShowProgress as ShowProgress
    from .task import search as search
    from .task import train as train

_MODULE_OF = {  # public name -> module to import it from
    "algorithm": "moonas.algorithms.named",
    "ClassifierProblem": "moonas.classifier",
    "RunCallback": "moonas.run.callbacks",
    "ShowProgress": "moonas.run.progress_lines",
    "compare": "moonas.comparison",
    "front": "moonas.pareto",
    "load_model": "moonas.models.model",
    "load_problem": "moonas.registry",
    "load_stage": "moonas.registry",
    "load_training": "moonas.planning",
    "problem_names": "moonas.registry",
    "search": "moonas.task",
    "suite": "moonas.comparison.suites",
    "train": "moonas.task",
    "zoo": "moonas.models.zoo",
}
__all__ = sorted([*_MODULE_OF, "plot"])
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used, since importing torch and pymoo is slow."""
    if name == "plot":
        return import_module("moonas.plot")
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'moonas' has no attribute {name!r}")
    return getattr(import_module(_MODULE_OF[name]), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
