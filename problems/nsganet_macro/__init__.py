"""The macro space of NSGA-Net (Lu et al., GECCO 2019), searched for accuracy and robustness."""

from . import space


def network(architecture, **shape):
    """The stand-alone network of an architecture, a plain ``nn.Module``.

    Args:
        architecture: a :class:`moonas.problems.nsganet_macro.space.Architecture`.
        shape: channels, n_classes, in_channels; see
            :class:`moonas.problems.nsganet_macro.networks.MacroNetwork`.
    """
    from .networks import MacroNetwork

    return MacroNetwork(architecture, **shape)


__all__ = ["network", "space"]
