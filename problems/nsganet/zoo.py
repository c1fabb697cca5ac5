"""Published architectures with five nodes per block that belong to this space.

Each entry of ``GENOTYPES`` is a normal and a reduction block. An edge is written operation@state,
and each node has two edges. All of these blocks concatenate their loose ends, as this space does.
The last node of AmoebaNet's reduction block has a 7x1 convolution followed by a 1x7; here the 1x7
comes first, with the same number of parameters and multiply-adds.
"""

from __future__ import annotations

from typing import Any

from moonas.models.zoo import Published
from moonas.nets.counting import CellCosts
from moonas.spaces.genotype import parse_edges

from . import space

GENOTYPES = {
    "NSGANet": (
        "skip@0 max3@0 dil5@0 max3@0 dil5@1 sep3@3 max3@1 sep5@3 sep3@1 sep3@0",
        "avg3@0 sep3@1 dil3@1 max3@0 skip@2 dil5@1 skip@2 avg3@1 dil5@1 dil3@1",
    ),
    "NASNet_A": (
        "sep5@1 sep3@0 sep5@0 sep3@0 avg3@1 skip@0 avg3@0 avg3@0 sep3@1 skip@1",
        "sep5@1 sep7@0 max3@1 sep7@0 avg3@1 sep5@0 skip@3 avg3@2 sep3@2 max3@1",
    ),
    "AmoebaNet_A": (
        "avg3@0 max3@1 sep3@0 sep5@2 sep3@0 avg3@3 sep3@1 skip@1 skip@0 avg3@1",
        "avg3@0 sep3@1 max3@0 sep7@2 sep7@0 avg3@1 max3@0 max3@1 1x7@0 sep3@5",
    ),
    "ENAS": (
        "sep3@1 skip@1 sep5@1 skip@0 avg3@0 sep3@1 sep3@0 avg3@0 sep5@1 avg3@0",
        "sep5@0 avg3@1 sep3@1 avg3@1 avg3@1 sep3@1 sep5@4 avg3@1 sep3@5 sep5@0",
    ),
}
SOURCES = {
    "NSGANet": "Lu et al., NSGA-Net, GECCO 2019",
    "NASNet_A": "Zoph et al., NASNet, CVPR 2018",
    "AmoebaNet_A": "Real et al., AmoebaNet, AAAI 2019",
    "ENAS": "Pham et al., ENAS, ICML 2018",
}
CIFAR = dict(layers=20, n_classes=10, image_size=32)
# shape of the networks whose width doubles in each reduction cell
DOUBLING: dict[str, dict[str, Any]] = {
    "CIFAR-10, 36 channels, 20 cells": CIFAR | dict(channels=36, increment=None, squeeze=False),
}
# shapes of the networks whose width grows in every cell; SE: squeeze-and-excitation after each
PYRAMIDS: dict[str, dict[str, Any]] = {
    "CIFAR-10, 34 + 4 channels, 20 cells": CIFAR | dict(channels=34, increment=4, squeeze=False),
    "CIFAR-10, 36 + 6 channels, 20 cells, SE": CIFAR | dict(channels=36, increment=6, squeeze=True),
}


def architectures() -> dict[str, space.Architecture]:
    """Return the published architectures by name."""
    return {
        name: space.from_genotype(parse_edges(normal), parse_edges(reduction))
        for name, (normal, reduction) in GENOTYPES.items()
    }


def published() -> list[Published]:
    """Return the published architectures, with params and macs as their papers count them."""
    costs = {
        title: CellCosts(space.OPERATIONS, n_nodes=space.N_NODES, **shape)
        for title, shape in (PYRAMIDS | DOUBLING).items()
    }
    items = []
    for name, architecture in architectures().items():
        X = space.encode(architecture)[None]
        edges, n_out = space.edges(X), space.count_loose_ends(X)
        shapes = PYRAMIDS if name == "NSGANet" else DOUBLING
        counts = {title: tuple(costs[title].count(*edges, n_out)[0].tolist()) for title in shapes}
        items.append(Published(name, "nsganet", architecture, SOURCES[name], counts, shapes))
    return items


__all__ = ["architectures", "published"]
