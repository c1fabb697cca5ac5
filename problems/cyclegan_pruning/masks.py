"""Masks and networks: what a graph ties together, surgery, and masks without a search."""

import copy

import numpy as np
import torch

from .channels import channel_groups, join_loops, prune
from .space import Architecture

CHANNELS = 3  # of all images


def groups_of(generator, encoding):
    """The groups of filters of a generator that masks are of, fixed ones included.

    Args:
        generator: a plain module.
        encoding: "filters", one bit for each that can go alone: what additions tie together shares
            a mask; or "released", where the filters inside residual blocks share the mask of the
            trunk, too.
    """
    groups = channel_groups(generator, CHANNELS)
    return join_loops(groups) if encoding == "released" else groups


def compressed(gan, architecture, groups):
    """A copy of a CycleGAN whose generators have only the filters of an architecture.

    Args:
        gan: a :class:`~moonas.problems.cyclegan_pruning.training.CycleGAN`; stays as it is.
        architecture: masks of both generators.
        groups: of :func:`groups_of`, of either generator.
    """
    small = copy.deepcopy(gan)
    for domain, generator in gan.generators.items():
        small.generators[domain] = prune(generator, groups, architecture.masks(domain))
    return small


def by_norm(gan, groups, share):
    """The architecture that keeps the filters of the largest L1 norm, the same share of each mask.

    After Li et al., *Pruning filters for efficient ConvNets* (ICLR 2017). Where several
    convolutions share a mask, each counts alike: norms are means over a filter's weights, summed
    over the convolutions.

    Args:
        gan: a :class:`~moonas.problems.cyclegan_pruning.training.CycleGAN`.
        groups: of :func:`groups_of`, of either generator.
        share: of the filters of each mask.
    """

    def half(generator):
        layers, masks = dict(generator.named_modules()), []
        for group in groups:
            if group.fixed:
                continue
            norms = np.zeros(group.size)
            for name in group.producers:
                out = 1 if isinstance(layers[name], torch.nn.ConvTranspose2d) else 0
                weight = layers[name].weight.detach().movedim(out, 0).flatten(1)
                norms += weight.abs().mean(1).cpu().double().numpy()
            kept = np.argsort(-norms, kind="stable")[: max(1, round(share * group.size))]
            masks.append(
                "".join("1" if i in set(kept.tolist()) else "0" for i in range(group.size))
            )
        return tuple(masks)

    return Architecture(*(half(gan.generators[domain]) for domain in "ab"))
