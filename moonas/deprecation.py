"""Names of earlier versions, which keep working for one version with a ``DeprecationWarning``."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Mapping
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")


def renamed_arguments(**new_names: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Decorate a function to accept the old names of its keyword arguments.

    Args:
        new_names: old name -> new name.

    Returns:
        A decorator. The decorated function passes an old keyword on under its new name, with a
        ``DeprecationWarning``, and raises ``TypeError`` if a call uses both.
    """

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        @functools.wraps(function)
        def call(*args: P.args, **kwargs: P.kwargs) -> R:
            for old, new in new_names.items():
                if old in kwargs:
                    if new in kwargs:
                        raise TypeError(f"Got both {old}= and {new}=; use {new}=.")
                    _warn(f"{old}= is deprecated; use {new}=.")
                    kwargs[new] = kwargs.pop(old)
            return function(*args, **kwargs)

        return call

    return decorate


class RenamedAttribute:
    """A deprecated alias of an attribute, for the body of a class.

    Args:
        old: deprecated name of the attribute.
        new: current name of the attribute.
    """

    def __init__(self, old: str, new: str) -> None:
        self.old, self.new = old, new

    def __get__(self, instance: Any, owner: type) -> Any:
        _warn(f"{owner.__name__}.{self.old} is deprecated; use {self.new}.")
        return getattr(owner if instance is None else instance, self.new)

    def __set__(self, instance: Any, value: Any) -> None:
        _warn(f"{type(instance).__name__}.{self.old} is deprecated; use {self.new}.")
        setattr(instance, self.new, value)


def rename_class_attributes(cls: type, new_names: Mapping[str, str]) -> None:
    """Rename attributes that the body of a subclass defines under their old names.

    Args:
        cls: the subclass, as ``__init_subclass__`` gets it.
        new_names: old name -> new name.
    """
    # The warning names the line of the class: above are __init_subclass__ and the metaclass.
    for old, new in new_names.items():
        if old in vars(cls):
            _warn(f"{cls.__name__}.{old} is deprecated; use {new}.", stacklevel=5)
            setattr(cls, new, vars(cls)[old])
            delattr(cls, old)


def _warn(text: str, stacklevel: int = 3) -> None:
    warnings.warn(text, DeprecationWarning, stacklevel=stacklevel)
