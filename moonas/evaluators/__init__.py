"""Evaluators of image classifiers, with shared or individual weights; their data and columns."""

from __future__ import annotations

from importlib import import_module

_MODULES = {  # public name -> module that defines it
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
__all__ = sorted(_MODULES)


def __getattr__(name: str) -> object:
    """Import a public name on first use; settings can thus be imported without PyTorch or pymoo."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f".{_MODULES[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
