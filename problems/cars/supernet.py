"""The DARTS supernet; a forward pass computes one architecture."""

from typing import Any

from moonas.nets.cell_supernet import CellSupernet

from .space import N_NODES, OPERATIONS


class Supernet(CellSupernet):
    """The shared weights of all architectures of the space.

    See :class:`~moonas.nets.cell_supernet.CellSupernet`.

    Args:
        shape: ``channels``, ``layers``, ``n_classes``, ``in_channels`` and ``image_size``.
    """

    def __init__(self, **shape: Any) -> None:
        super().__init__(OPERATIONS, N_NODES, **shape)
