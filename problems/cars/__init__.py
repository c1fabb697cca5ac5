"""CARS: continuous evolution for efficient neural architecture search (Yang et al., CVPR 2020)."""

from . import space


def network(architecture, **shape):
    """The stand-alone network of an architecture, a plain ``nn.Module``.

    Args:
        architecture: a :class:`moonas.problems.cars.space.Architecture`.
        shape: channels=36, layers=20, n_classes=10, image_size=32, auxiliary=False and the other
            options of :class:`moonas.nets.cell_network.CellNetwork`.
    """
    from moonas.nets.cell_network import CellNetwork

    return CellNetwork(architecture.normal, architecture.reduction, **shape)


__all__ = ["network", "space"]
