"""The supernet of NSGANetV1's space, of which a forward pass computes one path."""

from moonas.nets.cell_supernet import CellSupernet
from moonas.nets.cells import loose_ends

from .space import N_NODES, OPERATIONS


class Supernet(CellSupernet):
    """Shared weights of all architectures; see :class:`~moonas.nets.cell_supernet.CellSupernet`.

    Args:
        shape: channels, layers, n_classes, in_channels, image_size and increment.
    """

    def __init__(self, **shape):
        super().__init__(OPERATIONS, N_NODES, loose_ends, **shape)
