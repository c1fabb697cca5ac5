"""CARS: continuous evolution for efficient neural architecture search (Yang et al., CVPR 2020)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from . import space

if TYPE_CHECKING:
    from moonas.nets.cell_network import CellNetwork


def network(architecture: space.Architecture, **shape: Any) -> CellNetwork:
    """Build the stand-alone network of an architecture, untrained.

    Args:
        architecture: a :class:`moonas.problems.cars.space.Architecture`.
        shape: keyword arguments of :class:`moonas.nets.cell_network.CellNetwork`, such as
            ``channels=36``, ``layers=20``, ``n_classes=10``, ``image_size=32`` and
            ``auxiliary=False``.
    """
    from moonas.nets.cell_network import CellNetwork

    return CellNetwork(architecture.normal, architecture.reduction, **shape)


__all__ = ["network", "space"]
