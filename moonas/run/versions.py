"""Versions of the Python packages that affect the results of a run."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

PACKAGES = ("moonas", "pymoo", "moocore", "numpy", "torch", "torchvision")


def installed_versions() -> dict[str, str | None]:
    """Return package name -> version for ``PACKAGES``; None for a package that is not installed."""
    versions: dict[str, str | None] = {}
    for name in PACKAGES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            versions[name] = None
    return versions
