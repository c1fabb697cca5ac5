"""Trained models: files, export, robustness, latency tables and published architectures."""

from __future__ import annotations

from importlib import import_module

_MODULES = {  # public name -> module that defines it
    "MODEL": "model",
    "Classifier": "model",
    "Generator": "model",
    "Model": "model",
    "Published": "zoo",
    "Translator": "model",
    "find_model": "model",
    "load_model": "model",
    "write_model": "model",
}
__all__ = sorted(_MODULES)


def __getattr__(name: str) -> object:
    """Import a public name on first use, so that this package loads without PyTorch."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_MODULES[name]}", __name__), name)
