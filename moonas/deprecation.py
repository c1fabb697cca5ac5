"""Aliases for deprecated names; each use issues a ``DeprecationWarning``.

A deprecated name works for one more version.
"""

from __future__ import annotations

import functools
import inspect
import sys
import warnings
from collections.abc import Callable
from types import FrameType
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
                    warn(f"{old}= is deprecated; use {new}=.")
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
        warn(f"{owner.__name__}.{self.old} is deprecated; use {self.new}.")
        return getattr(owner if instance is None else instance, self.new)

    def __set__(self, instance: Any, value: Any) -> None:
        warn(f"{type(instance).__name__}.{self.old} is deprecated; use {self.new}.")
        setattr(instance, self.new, value)


def rename_class_attributes(cls: type) -> None:
    """Rename class attributes that a subclass defines under deprecated names.

    The deprecated names are those of the :class:`RenamedAttribute` aliases of its base classes.

    Args:
        cls: the subclass, as passed to ``__init_subclass__``.
    """
    aliases = {name: a for base in cls.__mro__[1:] for name, a in vars(base).items()}
    for name in list(vars(cls)):
        alias = aliases.get(name)
        if isinstance(alias, RenamedAttribute):
            warn(f"{cls.__name__}.{name} is deprecated; use {alias.new}.")
            setattr(cls, alias.new, vars(cls)[name])
            delattr(cls, name)


def renamed_names(module: str, **new_names: str) -> Callable[[str], Any]:
    """Return a module's ``__getattr__``, which resolves deprecated names of its contents.

    Args:
        module: ``__name__`` of the module.
        new_names: deprecated name -> current name.
    """

    def resolve(name: str) -> Any:
        if name not in new_names:
            raise AttributeError(f"module {module!r} has no attribute {name!r}")
        current = getattr(sys.modules[module], new_names[name])
        call = "()" if inspect.isfunction(current) else ""
        warn(f"{module}.{name}{call} is deprecated; use {new_names[name]}{call}.")
        return current

    return resolve


def warn(text: str, category: type[Warning] = DeprecationWarning) -> None:
    """Issue a warning whose location is the code outside moonas that called moonas.

    The code of class statements is found, too: the frames of ``abc`` are skipped.

    Args:
        text: the message.
        category: class of the warning.
    """
    frame, level = sys._getframe(1), 2
    while frame.f_back and _package(frame) in ("moonas", "abc"):
        frame, level = frame.f_back, level + 1
    warnings.warn(text, category, stacklevel=level)


def _package(frame: FrameType) -> str:
    """Return the top-level package of the code that a frame executes."""
    name: str = frame.f_globals.get("__name__", "")
    return name.partition(".")[0]
