"""Versions of the packages that results depend on."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

PACKAGES = ("moonas", "pymoo", "moocore", "numpy", "torch", "torchvision")


def installed_versions() -> dict[str, str | None]:
    """Versions of ``PACKAGES`` by name; None for one that is not installed."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = None
    return found
