"""Aliases for deprecated names; each use issues a ``DeprecationWarning``.

A deprecated name works for one more version.
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Mapping
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")


def renamed_arguments(**new_names: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Return a decorator that makes a function accept deprecated names of keyword arguments.

    If a call uses a deprecated name, the decorator issues a ``DeprecationWarning`` and passes the
    argument to the function under its current name. A call that uses both names raises a
    ``TypeError``.

    Args:
        new_names: deprecated name -> current name.
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
    """Descriptor that makes a class attribute a deprecated alias of another attribute.

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
    """Rename class attributes that a subclass defines under deprecated names.

    Args:
        cls: the subclass, as passed to ``__init_subclass__``.
        new_names: deprecated name -> current name.
    """
    # stacklevel skips __init_subclass__ and the metaclass, so the warning names the class statement
    for old, new in new_names.items():
        if old in vars(cls):
            _warn(f"{cls.__name__}.{old} is deprecated; use {new}.", stacklevel=5)
            setattr(cls, new, vars(cls)[old])
            delattr(cls, old)


def _warn(text: str, stacklevel: int = 3) -> None:
    warnings.warn(text, DeprecationWarning, stacklevel=stacklevel)
