"""The DARTS supernet; a forward pass computes a single path."""

from typing import Any

from moonas.nets.cell_supernet import CellSupernet

from .space import N_NODES, OPERATIONS


class Supernet(CellSupernet):
    """Shared weights of all architectures, see :class:`~moonas.nets.cell_supernet.CellSupernet`.

    Args:
        shape: ``channels``, ``layers``, ``n_classes``, ``in_channels`` and ``image_size``.
    """

    def __init__(self, **shape: Any) -> None:
        super().__init__(OPERATIONS, N_NODES, **shape)
