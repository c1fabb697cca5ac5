"""Trained networks: model files, exports, robustness, latency tables, published architectures."""

from importlib import import_module

_HOMES = {
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
__all__ = sorted(_HOMES)


def __getattr__(name):
    """Import torch only when a model is asked for."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_HOMES[name]}", __name__), name)
