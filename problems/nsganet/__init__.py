"""NSGANetV1: multi-objective evolutionary design of deep networks (Lu et al., TEVC 2020)."""

from . import space


def network(architecture, **shape):
    """The stand-alone network of an architecture, a plain ``nn.Module``.

    Args:
        architecture: a :class:`moonas.problems.nsganet.space.Architecture`.
        shape: channels=36, increment=6, layers=20, n_classes=10, image_size=32, squeeze=False and
            the other options of :class:`moonas.nets.cell_network.CellNetwork`.
    """
    from moonas.nets.cell_network import CellNetwork
    from moonas.nets.cells import loose_ends

    shape = {"concat": loose_ends, "increment": 6} | shape
    return CellNetwork(architecture.normal, architecture.reduction, **shape)


__all__ = ["network", "space"]
