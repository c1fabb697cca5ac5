"""The macro space of NSGA-Net (Lu et al., GECCO 2019), searched for accuracy and robustness."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from . import space

if TYPE_CHECKING:
    from .networks import MacroNetwork


def network(architecture: space.Architecture, **shape: Any) -> MacroNetwork:
    """Build the stand-alone network of an architecture, untrained.

    Args:
        architecture: a :class:`moonas.problems.nsganet_macro.space.Architecture`.
        shape: ``channels``, ``n_classes`` and ``in_channels``, see
            :class:`moonas.problems.nsganet_macro.networks.MacroNetwork`.
    """
    from .networks import MacroNetwork

    return MacroNetwork(architecture, **shape)


__all__ = ["network", "space"]
