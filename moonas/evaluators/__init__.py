"""Evaluators of image classifiers: the images, the weights and the columns of scores."""

from importlib import import_module

_HOMES = {
    "COSTS": "settings",
    "OBJECTIVES": "settings",
    "QUALITIES": "settings",
    "Classification": "classification",
    "ClassifierSettings": "settings",
    "NetworkCosts": "costs",
    "ProxySettings": "settings",
    "ScratchEvaluator": "scratch",
    "SupernetEvaluator": "supernet",
    "SupernetSettings": "settings",
    "TrainingSettings": "settings",
    "quality_columns": "classification",
}
__all__ = sorted(_HOMES)


def __getattr__(name: str) -> object:
    """Import a public name on first use, so that settings load without torch and pymoo."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f".{_HOMES[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
