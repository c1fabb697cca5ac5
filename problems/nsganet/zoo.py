"""Published architectures of five nodes a block that this space holds.

An edge is written operation@state, two a node, the normal block first. What a block concatenates
is not written: in all of them it is the nodes that no edge starts from, as it is here. AmoebaNet's
last reduction node has a 7x1 convolution and then a 1x7; here it is 1x7 and then 7x1, of the same
size.
"""

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
DOUBLING = "CIFAR-10, 36 channels, 20 cells"
PYRAMIDS = {  # widths grow with every cell; the last one with squeeze-and-excitation a cell
    "CIFAR-10, 34 + 4 channels, 20 cells": dict(channels=34, increment=4),
    "CIFAR-10, 36 + 6 channels, 20 cells, SE": dict(channels=36, increment=6, squeeze=True),
}


def architectures():
    """The published architectures by name."""
    return {
        name: space.from_genotype(parse_edges(normal), parse_edges(reduction))
        for name, (normal, reduction) in GENOTYPES.items()
    }


def published():
    """All of them as :class:`~moonas.models.zoo.Published`, counted as their papers print them."""
    costs = {words: CellCosts(space.OPERATIONS, n_nodes=5, **s) for words, s in PYRAMIDS.items()}
    costs[DOUBLING] = CellCosts(space.OPERATIONS, n_nodes=space.N_NODES)
    items = []
    for name, architecture in architectures().items():
        X = space.encode(architecture)[None]
        edges, loose = space.edges(X), space.n_loose(X)
        shapes = PYRAMIDS if name == "NSGANet" else [DOUBLING]
        counts = {words: tuple(costs[words].count(*edges, loose)[0].tolist()) for words in shapes}
        items.append(Published(name, "nsganet", architecture, SOURCES[name], counts))
    return items


__all__ = ["architectures", "published"]
