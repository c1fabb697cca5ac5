"""The supernet of NSGANetV1's space; a forward pass computes a single path."""

from typing import Any

from moonas.nets.cell_supernet import CellSupernet
from moonas.nets.cells import loose_ends

from .space import N_NODES, OPERATIONS


class Supernet(CellSupernet):
    """Shared weights of all architectures, see :class:`~moonas.nets.cell_supernet.CellSupernet`.

    Args:
        shape: ``channels``, ``layers``, ``n_classes``, ``in_channels``, ``image_size`` and
            ``increment``.
    """

    def __init__(self, **shape: Any) -> None:
        super().__init__(OPERATIONS, N_NODES, loose_ends, **shape)
