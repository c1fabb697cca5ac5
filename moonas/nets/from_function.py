"""Networks that are built by a function of the user."""

from __future__ import annotations

import importlib
import importlib.util
from types import ModuleType

from torch import nn

from moonas.errors import reason


def network_from_function(setting: str, function: str) -> nn.Module:
    """Build a network with a function that a setting names.

    Args:
        setting: name of the setting, for messages.
        function: location of a function without arguments that returns the network, as
            ``package.module:function`` or ``file.py:function``.

    Raises:
        ValueError: the function does not exist, fails, or does not return a network.
    """
    location, _, name = function.rpartition(":")
    try:
        network = getattr(_import(location), name)()
    except Exception as error:  # the function and its file can raise anything
        raise ValueError(
            f"{setting}={function!r} is invalid: expected package.module:function or "
            f"file.py:function, where the function returns a network "
            f"({type(error).__name__}: {reason(error)})."
        ) from None
    if not isinstance(network, nn.Module):
        raise ValueError(
            f"{setting}={function!r} is invalid: expected a function that returns a "
            f"torch.nn.Module; it returned a {type(network).__name__}."
        )
    return network


def _import(location: str) -> ModuleType:
    """Import a module by name, or from a file whose path ends in ``.py``."""
    if not location.endswith(".py"):
        return importlib.import_module(location)
    spec = importlib.util.spec_from_file_location("user_function", location)
    assert spec is not None and spec.loader is not None  # a .py file always has a loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
