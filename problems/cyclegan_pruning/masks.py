"""Pruning of both generators of a CycleGAN, and selection of filters by their norms."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence

import numpy as np
from torch import nn

from .channels import Convolution, Group, channel_axis, channel_groups, merge_residual_groups, prune
from .networks import image_channels
from .space import Architecture
from .training import CycleGAN


def filter_groups(generator: nn.Module, encoding: str) -> list[Group]:
    """Return the groups of filters that share a mask, including fixed groups.

    Args:
        generator: generator before pruning.
        encoding: "filters" for one bit per filter, shared by filters whose outputs are added; or
            "released", where the filters inside residual blocks also share the mask of the residual
            additions.
    """
    groups = channel_groups(generator, image_channels(generator))
    return merge_residual_groups(groups) if encoding == "released" else groups


def compress(gan: CycleGAN, architecture: Architecture, groups: Sequence[Group]) -> CycleGAN:
    """Return a copy of a CycleGAN whose generators have only the filters that the masks keep.

    Args:
        gan: CycleGAN before pruning, which is not modified.
        architecture: masks of both generators.
        groups: result of :func:`filter_groups` for either generator.
    """
    pruned = {k: prune(gan.generators[k], groups, architecture.masks(k)) for k in "ab"}
    # the memo makes deepcopy use the pruned generators instead of copies of the originals
    return copy.deepcopy(gan, {id(gan.generators): nn.ModuleDict(pruned)})


def filter_norms(gan: CycleGAN, groups: Sequence[Group]) -> dict[str, list[np.ndarray]]:
    """Return the L1 norm of each filter, divided by the number of its weights.

    The norms of the convolutions that share a mask are added, so they have equal influence.

    Args:
        gan: CycleGAN before pruning.
        groups: result of :func:`filter_groups` for either generator.

    Returns:
        Source domain of a generator, "a" or "b" -> one array per mask with a value per filter.
    """
    norms: dict[str, list[np.ndarray]] = {}
    for k, generator in gan.generators.items():
        layers = dict(generator.named_modules())
        norms[k] = []
        for group in groups:
            if group.fixed:
                continue
            total = np.zeros(group.size)
            for name in group.producers:
                layer = layers[name]
                assert isinstance(layer, Convolution)
                axis = channel_axis(layer, out=True)
                weight = layer.weight.detach().movedim(axis, 0).flatten(1)
                total += weight.abs().mean(1).cpu().double().numpy()
            norms[k].append(total)
    return norms


def select_by_norm(gan: CycleGAN, groups: Sequence[Group], share: float) -> Architecture:
    """Return the architecture that keeps the filters with the largest L1 norms in each mask.

    The method is described by Li et al., *Pruning filters for efficient ConvNets* (ICLR 2017). Here
    it is a weak baseline: before instance normalization without parameters, the scale of a filter
    has no influence on the output.

    Args:
        gan: CycleGAN before pruning.
        groups: result of :func:`filter_groups` for either generator.
        share: share of its filters that each mask keeps, but at least one filter.
    """
    return keep_largest(filter_norms(gan, groups), share)


def keep_largest(values: Mapping[str, Sequence[np.ndarray]], share: float) -> Architecture:
    """Return the architecture that keeps the filters with the largest values in each mask.

    Args:
        values: source domain of a generator, "a" or "b" -> one array per mask with a value per
            filter, such as its importance; of equal values, the first counts as larger.
        share: share of its filters that each mask keeps, but at least one filter.
    """

    def mask(numbers: np.ndarray) -> str:
        n_kept = max(1, round(share * len(numbers)))
        kept = set(np.argsort(-numbers, kind="stable")[:n_kept].tolist())
        return "".join("1" if i in kept else "0" for i in range(len(numbers)))

    return Architecture(*(tuple(mask(np.asarray(v)) for v in values[k]) for k in "ab"))
