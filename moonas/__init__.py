"""Neural architecture search and GAN compression as pymoo problems on real images."""

from importlib import import_module

_HOMES = {
    "algorithm": "moonas.algorithms.named",
    "ClassifierProblem": "moonas.classifier",
    "RunCallback": "moonas.run.callbacks",
    "compare": "moonas.comparison",
    "front": "moonas.pareto",
    "load_model": "moonas.models.model",
    "load_problem": "moonas.registry",
    "load_stage": "moonas.registry",
    "load_training": "moonas.task",
    "problem_names": "moonas.registry",
    "search": "moonas.task",
    "train": "moonas.task",
    "zoo": "moonas.models.zoo",
}
__all__ = sorted(_HOMES)
__version__ = "0.1.0"


def __getattr__(name):
    """Import what is asked for only then: torch and pymoo are slow to start."""
    if name not in _HOMES:
        raise AttributeError(f"module 'moonas' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__():
    return [*__all__, "__version__"]
