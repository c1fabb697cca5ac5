"""NSGANetV1: multi-objective evolutionary design of deep networks (Lu et al., TEVC 2020)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from . import space

if TYPE_CHECKING:
    from moonas.nets.cell_network import CellNetwork


def network(architecture: space.Architecture, **shape: Any) -> CellNetwork:
    """Build the stand-alone network of an architecture, untrained.

    Args:
        architecture: a :class:`moonas.problems.nsganet.space.Architecture`.
        shape: keyword arguments of :class:`moonas.nets.cell_network.CellNetwork`, such as
            ``channels=36``, ``increment=6``, ``layers=20``, ``n_classes=10``, ``image_size=32`` and
            ``squeeze=False``.
    """
    from moonas.nets.cell_network import CellNetwork
    from moonas.nets.cells import loose_ends

    options: dict[str, Any] = {"concat": loose_ends, "increment": 6} | shape
    return CellNetwork(architecture.normal, architecture.reduction, **options)


__all__ = ["network", "space"]
