"""Versions of the packages that results depend on."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

PACKAGES = ("moonas", "pymoo", "moocore", "numpy", "torch", "torchvision")


def installed_versions() -> dict[str, str | None]:
    """Return the version of each of ``PACKAGES`` by name; None if it is not installed."""
    versions: dict[str, str | None] = {}
    for name in PACKAGES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            versions[name] = None
    return versions
