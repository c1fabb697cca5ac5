"""The supernet of NSGANetV1's space; a forward pass computes one architecture."""

from typing import Any

from moonas.nets.cell_supernet import CellSupernet
from moonas.nets.cells import loose_ends

from .space import N_NODES, OPERATIONS


class Supernet(CellSupernet):
    """The shared weights of all architectures of the space.

    See :class:`~moonas.nets.cell_supernet.CellSupernet`.

    Args:
        shape: ``channels``, ``layers``, ``n_classes``, ``in_channels``, ``image_size`` and
            ``increment``.
    """

    def __init__(self, **shape: Any) -> None:
        super().__init__(OPERATIONS, N_NODES, loose_ends, **shape)
